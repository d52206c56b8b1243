"""The ladder of a retriever, over a tiny encoder."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from coterie.agents.index import Index
from coterie.agents.passages import read_corpus
from coterie.agents.promotion import add
from coterie.agents.served_search import serve_search
from coterie.tuning.candidates import Candidate, store
from coterie.tuning.datasets import Dataset
from coterie.tuning.errors import DatasetError
from coterie.tuning.rankings import ndcg
from coterie.tuning.recipes import Recipe
from coterie.tuning.retriever import Rung, RungReport, ladder_of, tune_retriever
from coterie.tuning.rows import RetrieverRow, Source, Split

if TYPE_CHECKING:
    from coterie.agents.engine import Engine

pytestmark = pytest.mark.anyio

ROLE = "finance/search"
PASSAGES = {
    "sales": "net sales rose by ten percent",
    "profit": "the company expects lower profit",
    "board": "a new chief executive was approved",
    "share": "the price moved after the report",
    "income": "costs were higher in the quarter",
    "outlook": "warns of weak demand",
    "first": "the first dividend of the company",
    "how": "how did revenue grow?",
}
ASKED = {  # no word is shared with the passage that answers
    "sales": "turnover",
    "profit": "surplus",
    "board": "boss",
    "share": "stock",
    "income": "spending",
    "outlook": "future",
    "first": "payout",
    "how": "growth",
}
FORMS = ("{}", "about {}", "{} of this year", "tell me of {}")
RECIPE = Recipe(
    method="full", learning_rate=5e-3, head_learning_rate=3e-2, layer_decay=1.0, epochs=20, batch_tokens=64,
    patience=20, negatives=2, temperature=0.02, precision="float32",
)  # fmt: skip


def dataset(parts: tuple[Split, ...] = ("train", "train", "train", "validation")) -> Dataset[RetrieverRow]:
    """Four questions for each passage, in these parts."""
    rows = tuple(
        RetrieverRow(text, text, (name,), part, Source("test", text))
        for name, topic in ASKED.items()
        for text, part in zip([form.format(topic) for form in FORMS], parts, strict=True)
    )
    return Dataset(role=ROLE, kind="retriever", rows=rows, passages=PASSAGES)


def tuned(base: Path, recipe: Recipe, ladder: tuple[Rung, ...], folder: Path) -> tuple[Candidate, list[RungReport]]:
    """A tuning on the CPU that climbs every rung."""
    said: list[RungReport] = []
    candidate = tune_retriever(
        dataset(), str(base), recipe, ladder=ladder, always=True, report=said.append, folder=folder, device="cpu"
    )
    return candidate, said


async def served_ndcg(engine: "Engine", base: Path, candidate: Candidate, folder: Path) -> float:
    """Mean nDCG@10 of the validation questions, asked of the index as `candidate` answers."""
    release = store(candidate)
    index = await Index.open(
        read_corpus([{"id": name, "text": text} for name, text in PASSAGES.items()]), engine, str(base), folder
    )
    search = await serve_search(ROLE, str(base), engine, release.digest)
    gains = []
    for row in dataset().part("validation"):
        found = await index.search(row.query, len(PASSAGES), search)
        gains.append(ndcg([passage.id for passage in found], row.relevant, 10))
    return float(np.mean(gains))


@pytest.mark.parametrize(
    ("recipe", "rungs"),
    [
        (Recipe.fast(), ("map",)),
        (Recipe.balanced(), ("map", "query")),
        (Recipe(method="lora"), ("map", "query")),
        (Recipe.best(), ("map", "query", "both")),
    ],
)
def test_a_recipe_says_how_high_the_ladder_is(recipe: Recipe, rungs: tuple[Rung, ...]) -> None:
    """Both sides are tuned only where every layer is."""
    assert ladder_of(recipe) == rungs


async def test_the_closed_form_is_served_as_it_was_measured(
    engine: "Engine", tiny_encoder: Path, tmp_path: Path
) -> None:
    """And finds no less on validation than the base as it is."""
    candidate, (untuned, rung) = tuned(tiny_encoder, Recipe.fast(), ("map",), tmp_path)
    assert candidate.search is not None
    assert candidate.search.query_map == ("query.safetensors" in candidate.files)
    assert rung.ndcg >= untuned.ndcg
    assert await served_ndcg(engine, tiny_encoder, candidate, tmp_path / "cache") == pytest.approx(rung.ndcg, abs=1e-4)


@pytest.fixture(scope="module", params=["query", "both"])
def own_weights(
    request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Rung, Candidate, list[RungReport]]:
    """A tuning with weights of its own, of the query side or of both."""
    return request.param, *tuned(tiny_encoder, RECIPE, (request.param,), tmp_path_factory.mktemp("tuned"))


async def test_own_weights_learn_what_words_do_not_tell(
    engine: "Engine", tiny_encoder: Path, tmp_path: Path, own_weights: tuple[Rung, Candidate, list[RungReport]]
) -> None:
    """They are kept where they find more beyond chance, and what is kept is served as it was measured."""
    side, candidate, (untuned, rung) = own_weights
    assert rung.ndcg > untuned.ndcg
    assert rung.gain is not None
    assert rung.kept == (rung.gain.low > 0)
    assert candidate.search is not None
    assert (candidate.search.documents == "model") == (rung.kept and side == "both")
    assert (
        {"model/config.json", "model/model.safetensors", "query.safetensors"} <= candidate.files.keys()
    ) == rung.kept
    found = await served_ndcg(engine, tiny_encoder, candidate, tmp_path / "cache")
    assert found == pytest.approx(rung.ndcg if rung.kept else untuned.ndcg, abs=0.02)


def test_the_ladder_ends_at_the_first_rung_that_does_not_pay(tiny_encoder: Path) -> None:
    """A rung that cannot move anything is not kept, and none is climbed after it."""
    said: list[RungReport] = []
    still = RECIPE.model_copy(update={"learning_rate": 1e-12, "head_learning_rate": 1e-12, "epochs": 0.1})
    candidate = tune_retriever(
        dataset(), str(tiny_encoder), still, ladder=("query", "both"), report=said.append, device="cpu"
    )
    assert [report.kept for report in said] == [True, False]
    assert dict(candidate.files) == {}
    assert "not kept" in candidate.note


def test_a_tuning_without_rows_to_validate_with_is_an_error(tiny_encoder: Path) -> None:
    """In words."""
    rows = dataset(("train", "train", "train", "train"))
    with pytest.raises(DatasetError, match="has no validation row with a relevant passage among the 8"):
        tune_retriever(rows, str(tiny_encoder), Recipe.fast(), device="cpu")


def test_a_release_of_no_files_can_be_stored(tiny_encoder: Path) -> None:
    """Fusion weights alone are a release."""
    candidate = tune_retriever(dataset(), str(tiny_encoder), Recipe.fast(), ladder=(), device="cpu")
    release = add(
        ROLE,
        kind="retriever",
        base=candidate.base,
        base_digest=candidate.base_digest,
        files={},
        search=candidate.search,
    )
    assert release.manifest.search == candidate.search
