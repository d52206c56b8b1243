"""Retrievers and dialogue managers learn as classifiers do: tuned, measured as they are served, judged."""

import random
from pathlib import Path

import anyio.to_thread
import pytest

from coterie.agents.engine import Engine
from coterie.agents.inference import ChatTurn
from coterie.agents.releases import live_digest, release
from coterie.tuning.candidates import store
from coterie.tuning.datasets import Dataset
from coterie.tuning.dialogue_learner import DialogueLearner
from coterie.tuning.learners import Step
from coterie.tuning.learning import learn
from coterie.tuning.recipes import Recipe
from coterie.tuning.retriever_learner import RetrieverLearner
from coterie.tuning.rows import DialogueRow, RetrieverRow, Source, Split

pytestmark = pytest.mark.anyio
PARTS: tuple[Split, ...] = ("train", "train", "validation", "gate")


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A COTERIE_HOME of this test's own."""
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))


def conversations(count: int) -> Dataset[DialogueRow]:
    """A user's word and an assistant that always answers in the same way."""
    chance = random.Random(0)
    rows = []
    for number in range(count):
        asked = " ".join(chance.choices(("revenue", "profit", "sales", "costs", "share"), k=3))
        turns = (ChatTurn("user", asked), ChatTurn("assistant", "the board approved a dividend"))
        rows.append(
            DialogueRow(
                f"row-{number}", turns, (False, True), PARTS[number % 4], Source(f"line {number}", f"t{number}")
            )
        )
    return Dataset("desk/writer", "dialogue", tuple(rows))


async def test_a_dialogue_manager_learns_to_say_what_it_should(engine: Engine, tiny_decoder: Path) -> None:
    """Its likelihood of the right words rises, as the released checkpoint has it, and the gate sees that."""
    learner = DialogueLearner("desk/writer", str(tiny_decoder))
    steps: list[Step] = []
    recipe = Recipe(method="full", epochs=6, learning_rate=3e-3, batch_tokens=256, precision="float32", layer_decay=1.0)
    learned = await learn(learner, conversations(240), recipe, engine, listen=steps.append)
    assert learned.after > learned.before + 0.5  # nats a token
    assert learned.verdict.decision == "promote"
    stored = release("desk/writer", live_digest("desk/writer"))
    assert (stored.manifest.kind, stored.manifest.base) == ("dialogue", str(tiny_decoder))
    assert stored.model_folder is not None
    assert any("loss" in step.detail for step in steps)


def questions(count: int) -> Dataset[RetrieverRow]:
    """Each question names its passage by a word that no other has."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghij", k=6)) for _ in range(40)]
    passages = {f"p{number}": f"the {word} report of the company" for number, word in enumerate(words)}
    rows = []
    for number in range(count):
        place = chance.randrange(len(words))
        rows.append(
            RetrieverRow(
                f"row-{number}",
                f"what does {words[place]} say {number}",
                (f"p{place}",),
                PARTS[number % 4],
                Source(f"line {number}", f"t{number}"),
            )
        )
    return Dataset("desk/search", "retriever", tuple(rows), passages=passages)


async def test_a_retriever_is_measured_by_what_its_served_search_ranks(
    engine: Engine, tiny_encoder: Path, tmp_path: Path
) -> None:
    """Untuned and tuned alike; what is kept is never worse on validation, and its release searches as it says."""
    dataset = questions(240)
    learner = RetrieverLearner.of_passages("desk/search", str(tiny_encoder), dataset.passages)
    rows = dataset.part("gate")
    untuned = await learner.outcomes(engine, "", rows)
    assert [one.row_id for one in untuned] == [row.id for row in rows]
    assert all(0 <= one.score <= 1 for one in untuned)
    assert learner.measure.value(untuned) > 0.5  # words alone find most
    tuned = await anyio.to_thread.run_sync(learner.tune, dataset, Recipe.fast(), tmp_path / "work")
    stored = store(tuned.candidate, dataset.rows)
    search = stored.manifest.search
    assert search is not None
    assert 0 <= search.lexical_share <= 1
    found = await learner.outcomes(engine, stored.digest, dataset.part("validation"))
    base = await learner.outcomes(engine, "", dataset.part("validation"))
    assert learner.measure.value(found) >= learner.measure.value(base)
    assert [rung.kept for rung in tuned.rungs].count(True) <= 1
    assert tuned.untuned == pytest.approx(learner.measure.value(base), abs=0.01)
