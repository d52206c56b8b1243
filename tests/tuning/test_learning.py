"""A role learns, is judged and is promoted; on a tiny encoder, through the code that serves it."""

import random
from pathlib import Path
from typing import Literal

import pytest

from coterie.agents.agent import Context
from coterie.agents.classifier import DecisionClassifier
from coterie.agents.engine import Engine
from coterie.agents.hosting import LocalHost
from coterie.agents.messages import Confidence, Message
from coterie.agents.promotion import promote, rollback
from coterie.agents.releases import StoredHead, live_digest, release, releases
from coterie.tuning.candidates import touched_by
from coterie.tuning.classifier_learner import ClassifierLearner
from coterie.tuning.datasets import Dataset
from coterie.tuning.errors import DatasetError, GateRefused, TrainingFailed
from coterie.tuning.learners import Step
from coterie.tuning.learning import learn, workshop
from coterie.tuning.recipes import Recipe
from coterie.tuning.rows import ClassifierRow, Source
from coterie.tuning.splits import split_of

pytestmark = pytest.mark.anyio
ROLE = "desk/mood"
HEADS = (StoredHead(kind="classes", field="label", labels=("bad", "good")),)
WORDS = {"good": ("rose", "grew", "profit", "dividend"), "bad": ("fell", "lower", "weak", "warns")}
OTHERS = ("the", "company", "in", "quarter", "sales", "of", "share", "and")


class Line(Message):
    text: str


class Mood(Message):
    label: Literal["good", "bad"]
    confidence: Confidence


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A COTERIE_HOME of this test's own."""
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def told(count: int, noise: float = 0.0, seed: int = 0) -> Dataset[ClassifierRow]:
    """Lines whose words tell the label, except for a share of them."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        label = chance.choice(("good", "bad"))
        words = [*chance.sample(WORDS[label], 2), *chance.sample(OTHERS, 4)]
        chance.shuffle(words)
        said = label if chance.random() >= noise else chance.choice(("good", "bad"))
        thread = f"thread-{seed}-{number}"
        rows.append(
            ClassifierRow(
                f"row-{number}", " ".join(words), (said,), split_of(thread), Source(f"made, line {number}", thread)
            )
        )
    return Dataset(ROLE, "classifier", tuple(rows), heads=HEADS)


async def test_the_better_candidate_is_put_to_work_and_answers(engine: Engine, tiny_encoder: Path) -> None:
    """From untuned to a promoted release, in one call; what it steps through is told; its rows are kept by thread."""
    learner = ClassifierLearner.of_heads(ROLE, str(tiny_encoder), HEADS)
    dataset = told(400)
    steps: list[Step] = []
    learned = await learn(learner, dataset, Recipe.fast(), engine, listen=steps.append)
    assert learned.verdict.decision == "promote"
    assert (learned.promoted, learned.live, learned.measure) == (True, "", "accuracy")
    assert learned.after > 0.9 > learned.before
    assert live_digest(ROLE) == learned.release.digest
    assert {"gate: live", "gate: candidate"} <= {step.doing for step in steps}
    mood = DecisionClassifier[Line, Mood](ROLE, base=str(tiny_encoder))
    unseen = [row for row in dataset.rows if row.split == "gate"][:20]
    answers = [await mood.handle(Line(text=row.text), Context(LocalHost(engine))) for row in unseen]
    assert {answer.origin.weights for answer in answers if answer.origin is not None} == {learned.release.digest}
    assert sum(answer.label == row.targets[0] for answer, row in zip(answers, unseen, strict=True)) > 15
    trained = next(row for row in dataset.rows if row.split == "train")
    judged = next(row for row in dataset.rows if row.split == "gate")
    assert [one.digest for one in touched_by(trained.source.thread)] == [learned.release.digest]
    assert touched_by(judged.source.thread) == ()


async def test_the_same_training_again_is_refused(engine: Engine, tiny_encoder: Path) -> None:
    """A candidate that equals live is no candidate, and is not even stored."""
    learner = ClassifierLearner.of_heads(ROLE, str(tiny_encoder), HEADS)
    learned = await learn(learner, told(400), Recipe.fast(), engine)
    with pytest.raises(TrainingFailed, match=r"the candidate for 'desk/mood' equals the live release"):
        await learn(learner, told(400), Recipe.fast(), engine)
    assert [one.digest for one in releases(ROLE)] == [learned.release.digest]


async def test_a_worse_candidate_is_kept_but_not_put_to_work(engine: Engine, tiny_encoder: Path) -> None:
    """What was learned from labels drawn by lot does not replace what was learned from true ones."""
    learner = ClassifierLearner.of_heads(ROLE, str(tiny_encoder), HEADS)
    first = await learn(learner, told(400), Recipe.fast(), engine)
    noisy = told(400, noise=1.0, seed=1)
    rows = [row for row in noisy.rows if row.split != "gate"]
    true = [row for row in told(400, seed=2).rows if row.split == "gate"]
    mixed = Dataset(ROLE, "classifier", (*rows, *true), heads=HEADS)
    second = await learn(learner, mixed, Recipe.fast(seed=1), engine)
    assert second.verdict.decision == "keep live"
    assert (second.promoted, live_digest(ROLE)) == (False, first.release.digest)
    assert release(ROLE, second.release.digest).manifest.dataset == mixed.digest
    promote(ROLE, second.release.digest)  # a person may all the same
    assert rollback(ROLE) == first.release


async def test_a_winner_may_be_left_for_a_person_to_promote(engine: Engine, tiny_encoder: Path) -> None:
    """The verdict is given, and nothing changes."""
    learner = ClassifierLearner.of_heads(ROLE, str(tiny_encoder), HEADS)
    learned = await learn(learner, told(400), Recipe.fast(), engine, promote_winner=False)
    assert (learned.verdict.decision, learned.promoted, live_digest(ROLE)) == ("promote", False, "")


async def test_without_rows_to_judge_by_nothing_is_tuned(engine: Engine, tiny_encoder: Path) -> None:
    """It is said before any time is spent."""
    learner = ClassifierLearner.of_heads(ROLE, str(tiny_encoder), HEADS)
    rows = tuple(row for row in told(60).rows if row.split != "gate")
    with pytest.raises(DatasetError, match=r"no row to judge a candidate by: of its \d+ rows none belongs to the gate"):
        await learn(learner, Dataset(ROLE, "classifier", rows, heads=HEADS), Recipe.fast(), engine)
    assert releases(ROLE) == ()


async def test_few_rows_are_not_enough_evidence(engine: Engine, tiny_encoder: Path) -> None:
    """A handful of rows promotes nothing, however well they went; the verdict says about how many more it takes."""
    learner = ClassifierLearner.of_heads(ROLE, str(tiny_encoder), HEADS)
    try:
        learned = await learn(learner, told(30), Recipe.fast(), engine)
    except GateRefused as error:
        assert "does the same as live" in str(error)  # noqa: PT017 - a tiny gate may show no difference at all
    else:
        assert learned.verdict.decision != "promote"
        assert learned.verdict.headline.startswith(("not enough evidence", "keep live"))
    assert live_digest(ROLE) == ""


def test_a_tuning_has_a_folder_of_its_own(house: Path) -> None:
    """The same rows and recipe go on where they were; anything else begins anew."""
    one = workshop(ROLE, "a" * 64, Recipe.fast())
    assert one == workshop(ROLE, "a" * 64, Recipe.fast())
    assert one.is_relative_to(house)
    assert len({one, workshop(ROLE, "b" * 64, Recipe.fast()), workshop(ROLE, "a" * 64, Recipe.fast(seed=1))}) == 3
