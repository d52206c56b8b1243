"""One encoder for questions and passages."""

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.both_sides import batches_apart, cached_vectors
from coterie.tuning.query_encoder import QueryEncoder, Tokens, embed_all
from coterie.tuning.rows import RetrieverRow, Source
from coterie.tuning.search_trials import Questions, SearchedCorpus

TEXTS = ["net sales rose", "the board approved a dividend and a new chief executive", "costs", "weak demand"]


@given(st.lists(st.sets(st.integers(0, 5), min_size=1, max_size=3), min_size=1, max_size=20), st.integers(1, 6))
def test_no_two_questions_of_a_batch_share_a_passage(relevant: list[set[int]], size: int) -> None:
    """And each question is in one batch."""
    corpus = SearchedCorpus.of({str(number): f"text {number}" for number in range(6)})
    rows = [
        RetrieverRow(str(row), "?", tuple(map(str, own)), "train", Source("", str(row)))
        for row, own in enumerate(relevant)
    ]
    questions = Questions.of(rows, corpus)
    batches = batches_apart(questions, size, seed=1)(0)
    assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))
    for batch in batches:
        places = [place for row in batch for place in questions.relevant[row].tolist()]
        assert len(batch) <= size
        assert len(set(places)) == len(places)


def test_micro_batches_change_nothing(tiny_encoder: Path) -> None:
    """Vectors and gradients are those of the whole batch at once, in the order of the texts."""
    encoder = QueryEncoder.load(tiny_encoder, np.eye(32, dtype=np.float32)).eval()
    tokens = Tokens(tiny_encoder)
    rows = tokens.of(TEXTS)
    wanted = torch.from_numpy(np.random.default_rng(0).normal(size=(len(TEXTS), 32)).astype(np.float32))
    gradients = []
    for budget in (10_000, 12):
        encoder.zero_grad()
        vectors = cached_vectors(encoder, tokens, rows, budget, queries=True)
        (vectors * wanted).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None])
        np.testing.assert_allclose(vectors.detach().numpy(), embed_all(encoder, tokens, rows, queries=True), atol=1e-5)
    assert len(gradients[0]) > 10
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-4, rtol=1e-3)
