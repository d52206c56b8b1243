"""Embeddings are those of the plain model, whatever shares their batch; a bad text fails alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from coterie.agents.devices import device_profile
from coterie.agents.encoder import Encoder, EncoderQueue
from coterie.agents.errors import EngineError

TEXTS = ["revenue rose", "the company expects lower profit and warns of weak demand " * 3, "", "?!", "net income fell"]


@dataclass(eq=False)
class Wish:
    """A text that someone awaits, until it is abandoned."""

    text: str
    abandoned: bool = False


class Outcomes:
    """Keeps what a queue delivers, by text."""

    def __init__(self) -> None:
        self.by_text: dict[str, Any] = {}
        self.batches: list[list[str]] = []

    def __call__(self, jobs: Any, outcome: Any) -> None:
        self.batches.append([job.text for job in jobs])
        for index, job in enumerate(jobs):
            self.by_text[job.text] = outcome if isinstance(outcome, Exception) else outcome[index]


@pytest.fixture(scope="module", params=["float32", "probed"])
def encoder(request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """The tiny encoder in float32, and in what the probe chooses here."""
    probed = device_profile(tmp_path_factory.mktemp("probe"), device="cpu").encoder_dtype
    name = "float32" if request.param == "float32" else probed
    return Encoder(tiny_encoder, torch.device("cpu"), getattr(torch, name))


def embed(encoder: Encoder, texts: list[str], batch_tokens: int = 4096) -> tuple[Outcomes, EncoderQueue]:
    outcomes = Outcomes()
    queue = EncoderQueue(encoder, outcomes, batch_tokens)
    queue.add([Wish(text) for text in texts])
    while queue.busy:
        queue.turn()
    return outcomes, queue


def test_embeddings_are_mean_pooled_over_real_tokens(tiny_encoder: Path):
    """A vector equals the plain model's mean over a text's tokens, at unit length."""
    encoder = Encoder(tiny_encoder, torch.device("cpu"), torch.float32)
    found = embed(encoder, TEXTS)[0].by_text
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_encoder), AutoModel.from_pretrained(tiny_encoder).eval()
    for text in TEXTS:
        with torch.inference_mode():
            hidden = model(**tokenizer(text, truncation=True, max_length=64, return_tensors="pt")).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        torch.testing.assert_close(torch.from_numpy(found[text]), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.sampled_from("revenue rose ?9"), max_size=120), min_size=1, max_size=40, unique=True))
def test_a_vector_does_not_depend_on_its_batch(encoder: Encoder, texts: list[str]):
    """Alone or among any others, a text has the same vector, bit for bit."""
    alone = embed(encoder, texts[:1])[0].by_text[texts[0]]
    together = embed(encoder, texts)[0].by_text
    assert together.keys() == set(texts)
    assert (together[texts[0]] == alone).all()


def test_batches_keep_to_their_tokens(encoder: Encoder):
    """No batch holds more tokens than allowed, unless it is one text."""
    texts = [f"revenue {number}" for number in range(20)]
    outcomes, queue = embed(encoder, texts, batch_tokens=64)
    assert max(len(batch) for batch in outcomes.batches) == 4
    assert queue.batches == 5
    assert all(len(batch) == 1 for batch in embed(encoder, texts, batch_tokens=1)[0].batches)


def test_abandoned_texts_are_not_embedded(encoder: Encoder):
    """What nobody awaits any more is dropped from the queue."""
    outcomes = Outcomes()
    queue = EncoderQueue(encoder, outcomes)
    kept, dropped = Wish("kept"), Wish("dropped")
    queue.add([kept, dropped])
    dropped.abandoned = True
    while queue.busy:
        queue.turn()
    assert outcomes.batches == [["kept"]]


def test_a_text_that_cannot_be_tokenised_fails_alone(encoder: Encoder):
    """A lone surrogate breaks the tokenizer; only its own text learns of it."""
    found = embed(encoder, ["good", "bad \ud800"])[0].by_text
    assert isinstance(found["bad \ud800"], EngineError)
    assert "cannot tokenise" in str(found["bad \ud800"])
    assert found["good"].shape == (32,)


def test_long_texts_are_cut(encoder: Encoder):
    """A text of megabytes costs no more than the model's longest input."""
    long = "revenue rose " * 400_000
    found = embed(encoder, [long, long[:4_000]])[0].by_text
    assert (found[long] == found[long[:4_000]]).all()


def test_an_error_of_a_batch_reaches_its_jobs(tiny_encoder: Path):
    """What the model raises is delivered to each text of the batch, and the queue goes on."""
    encoder = Encoder(tiny_encoder, torch.device("cpu"), torch.float32)
    outcomes = Outcomes()
    queue = EncoderQueue(encoder, outcomes)
    encoder.tokenize = lambda texts: [[10_000_000] for _ in texts]  # type: ignore[method-assign]
    queue.add([Wish("one"), Wish("two")])
    queue.turn()
    assert not queue.busy
    assert all(isinstance(outcome, IndexError) for outcome in outcomes.by_text.values())
    assert outcomes.by_text.keys() == {"one", "two"}
