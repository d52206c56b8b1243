"""What each way of searching would find."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.agents.fusion import Fusion
from coterie.agents.index import Index
from coterie.agents.passages import read_corpus
from coterie.tuning.rankings import ndcg
from coterie.tuning.rows import RetrieverRow, Source
from coterie.tuning.search_trials import Questions, SearchedCorpus, SearchTrials, by_meaning, by_words, joined, ndcgs_of

if TYPE_CHECKING:
    from coterie.agents.engine import Engine

PASSAGES = {
    "sales": "net sales rose in the first quarter",
    "board": "the board approved a dividend",
    "costs": "costs were higher and the outlook is weak. " * 60,
    "again": "net sales rose in the first quarter",
}


def row(query: str, *relevant: str, rejected: tuple[str, ...] = (), thread: str = "") -> RetrieverRow:
    return RetrieverRow(query, query, relevant, "train", Source("", thread or query), rejected)


ROWS = [
    row("how did net sales develop", "sales", "again"),
    row("who approved the dividend", "board"),
    row("outlook", "costs"),
    row("sales of the board", "board", "sales", rejected=("costs", "board", "unknown")),
]


@pytest.mark.anyio
@pytest.mark.parametrize("fusion", [Fusion(), Fusion(0.7, 0.1, 0.0), Fusion(0.0), Fusion(1.0, 1.5, 0.75)])
async def test_trials_rank_as_the_served_index_does(
    engine: "Engine", tiny_encoder: Path, tmp_path: Path, fusion: Fusion
) -> None:
    """A passage of several chunks counts with its best, and ties go to the lower id."""
    corpus = SearchedCorpus.of(PASSAGES)
    trials = SearchTrials(corpus, Questions.of(ROWS, corpus))
    asked = await engine.embed(str(tiny_encoder), trials.questions.texts)
    chunks = await engine.embed(str(tiny_encoder), corpus.chunks)
    documents = [{"id": name, "text": text} for name, text in PASSAGES.items()]
    index = await Index.open(read_corpus(documents), engine, str(tiny_encoder), tmp_path, fusion=fusion)
    served = []
    for one in ROWS:
        found = await index.search(one.query, len(index))
        names = list(dict.fromkeys(index.document_of(passage.id) for passage in found))
        served.append(ndcg(names, one.relevant, 10))
    assert len(corpus.chunks) > len(PASSAGES)
    assert trials.ndcgs(asked, chunks, [Fusion(0.5), fusion])[1].tolist() == pytest.approx(served)


@given(st.tuples(*[st.integers(0, 50)] * 3), st.tuples(*[st.integers(-10, 10)] * 3))
def test_scores_are_joined_as_they_are_served(tenths: tuple[int, ...], cosines: tuple[int, ...]) -> None:
    """Of many questions at once."""
    words, meaning = np.array([tenths], np.float32) / 10, np.array([cosines], np.float32) / 10
    found = joined(0.3, by_words(words), by_meaning(meaning))
    np.testing.assert_allclose(found[0], Fusion(0.3).combine(words[0], meaning[0]), atol=1e-4)


def test_rows_hang_together_by_thread_and_by_passage() -> None:
    """Such rows say nothing new of each other; rows that nothing known answers are left out."""
    corpus = SearchedCorpus.of(PASSAGES)
    rows = [*ROWS, row("gone", "unknown"), row("other", "costs", thread="outlook")]
    found = Questions.of(rows, corpus)
    assert len(found) == 5
    assert found.threads == (0, 0, 2, 0, 2)
    assert [corpus.ids[place] for place in found.rejected[3]] == ["costs"]


def test_fewer_passages_than_count_are_ranked() -> None:
    """As many as there are."""
    scores = np.array([[0.2, 0.9]], np.float32)
    assert ndcgs_of(scores, [np.array([0])]).tolist() == pytest.approx([1 / np.log2(3)])
