"""A role learns: tuned on its rows, a candidate is judged beside live on rows that neither saw; the better serves.

    learned = await learn(ClassifierLearner.of(mood), dataset, Recipe.fast(), engine)
    print(learned.verdict)

A candidate is stored before it is judged, so that it can be looked at whatever the verdict; only the verdict `promote`
makes it live. This file does not know what roles do or how they are tuned.
"""

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from ..agents.checkpoints import home
from ..agents.inference import Inference
from ..agents.promotion import promote
from ..agents.releases import Release, live_digest
from .candidates import store
from .datasets import Dataset
from .errors import DatasetError
from .gate import gate
from .learners import Learner, Listen, Rung, Step, Tuned, unheard
from .outcomes import Outcome
from .recipes import Recipe
from .rows import RowType
from .verdict import Policy, Side, Verdict

STANDARD = Policy()


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of tuning one role."""

    role: str
    release: Release  # the candidate, stored
    live: str  # digest of the release that it was compared with; "": untuned
    before: float  # the role's measure of live on the gate's rows
    after: float  # of the candidate
    measure: str
    rungs: tuple[Rung, ...]
    verdict: Verdict
    promoted: bool
    seconds: float  # of it all
    live_outcomes: tuple[Outcome, ...]  # what live did on the gate's rows
    candidate_outcomes: tuple[Outcome, ...]


async def learn(
    learner: Learner[RowType],
    dataset: Dataset[RowType],
    recipe: Recipe,
    engine: Inference,
    policy: Policy = STANDARD,
    *,
    promote_winner: bool = True,
    listen: Listen = unheard,
) -> Learned:
    """Tunes, stores, judges and, where the verdict says so, promotes.

    Args:
        engine: serves both sides on the gate's rows.
        policy: what the candidate must show.
        promote_winner: False: the verdict is given, and live stays.

    Raises:
        DatasetError: there is nothing to learn from, or no row to judge by.
        TrainingFailed: nothing came of the training, or nothing that differs from live.
        GateRefused: the two cannot be compared.
        StorageError: COTERIE_HOME cannot be written.
    """
    began = time.perf_counter()
    dataset.check()
    rows = _judged_by(dataset)
    folder = workshop(learner.role, dataset.digest, recipe)
    tuned = await anyio.to_thread.run_sync(partial(learner.tune, dataset, recipe, folder, listen))
    used = [row for row in dataset.rows if row.split != "gate"]
    release = await anyio.to_thread.run_sync(store, tuned.candidate, used)
    await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
    serving = live_digest(learner.role)
    before = Side(serving, await _outcomes(learner, engine, serving, rows, "live", listen))
    after = Side(release.digest, await _outcomes(learner, engine, release.digest, rows, "candidate", listen))
    verdict = await anyio.to_thread.run_sync(
        partial(
            gate,
            learner.role,
            before,
            after,
            learner.measure,
            policy,
            dataset=dataset.digest,
            expected=_expected_gain(tuned),
        )
    )
    winner = promote_winner and verdict.decision == "promote"
    if winner:
        await anyio.to_thread.run_sync(promote, learner.role, release.digest)
    return Learned(
        role=learner.role,
        release=release,
        live=serving,
        before=learner.measure.value(before.outcomes),
        after=learner.measure.value(after.outcomes),
        measure=learner.measure.name,
        rungs=tuned.rungs,
        verdict=verdict,
        promoted=winner,
        seconds=time.perf_counter() - began,
        live_outcomes=tuple(before.outcomes),
        candidate_outcomes=tuple(after.outcomes),
    )


def workshop(role: str, dataset: str, recipe: Recipe) -> Path:
    """Where a tuning keeps what it has done so far, so that the same tuning goes on there after a kill."""
    same = hashlib.sha256(f"{dataset} {recipe.model_dump_json()}".encode()).hexdigest()
    return home() / "tuning" / role / same[:16]


def _judged_by(dataset: Dataset[RowType]) -> Sequence[RowType]:
    rows = dataset.part("gate")
    if not rows:
        raise DatasetError(
            f"role {dataset.role!r} has no row to judge a candidate by: of its {len(dataset.rows):,} rows none belongs "
            f"to the gate; review more, or give a file of held-out rows"
        )
    return rows


def _expected_gain(tuned: Tuned) -> float | None:
    """The gain that validation rows showed; None where they showed none."""
    gain = max((rung.validation - tuned.untuned for rung in tuned.rungs if rung.kept), default=0.0)
    return gain if gain > 0 else None


async def _outcomes(
    learner: Learner[RowType], engine: Inference, digest: str, rows: Sequence[RowType], name: str, listen: Listen
) -> list[Outcome]:
    def heard(step: Step) -> None:
        listen(Step(f"gate: {name}", step.done, step.total, step.detail))

    return await learner.outcomes(engine, digest, rows, heard)
