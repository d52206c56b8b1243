"""`Learner`: one role as tuning sees it, whatever its kind: how it is tuned, and what it does on rows as it is served.

The three kinds are in classifier_learner.py, retriever_learner.py and dialogue_learner.py. This file knows nothing of
gates and releases being judged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from ..agents.inference import Inference
from .candidates import Candidate
from .datasets import Dataset
from .outcomes import Measure, Outcome
from .progress import Progress
from .recipes import Recipe
from .rows import Kind, RowType


@dataclass(frozen=True, slots=True)
class Step:
    """How far a tuning is, for whoever watches."""

    doing: str  # in a few words: "embedding", "rung top", "gate: live"
    done: int = 0
    total: int = 0  # 0: it is not known
    detail: str = ""  # loss, rate, validation: for a person


Listen: TypeAlias = Callable[[Step], None]


def unheard(step: Step) -> None:
    """A `Listen` that nobody watches."""


def step_of(told: Progress, doing: str) -> Step:
    """What a training says of itself, as a step."""
    said = [
        told.notice,
        "" if told.loss is None else f"loss {told.loss:.4f}",
        "" if told.validation is None else f"validation {told.validation:.4f}",
        f"rate {told.rate:.1e}" if told.loss is not None else "",
        f"{told.tokens_per_second:,.0f} tokens/s" if told.tokens_per_second else "",
    ]
    return Step(doing, told.step, told.total, ", ".join(filter(None, said)))


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder that a tuner tried."""

    name: str
    validation: float  # of the role's measure on validation rows, higher is better
    seconds: float
    trainable: int = 0  # parameters
    kept: bool = False
    note: str = ""  # why it was kept or not, and what it was


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a tuner gives."""

    candidate: Candidate
    rungs: tuple[Rung, ...]  # in the order in which they were tried
    untuned: float  # the measure of the base on validation rows


class Learner(Protocol[RowType]):
    """A role that can be tuned."""

    @property
    def role(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def base(self) -> str: ...

    @property
    def measure(self) -> Measure:
        """What is to get better."""
        ...

    def tune(self, dataset: Dataset[RowType], recipe: Recipe, folder: Path, listen: Listen = unheard) -> Tuned:
        """A candidate from the rows to train, validate and calibrate on. Blocks, for seconds to hours.

        What it writes lies in `folder`; a second call with the same arguments goes on from what is there.

        Raises:
            DatasetError: there is nothing to learn from.
            TrainingFailed: nothing came of it.
        """
        ...

    async def outcomes(
        self, engine: Inference, digest: str, rows: Sequence[RowType], listen: Listen = unheard
    ) -> list[Outcome]:
        """What the release `digest` does on `rows`, through the code that serves it; "": untuned.

        Raises:
            CheckpointError: the release cannot be used for this role.
        """
        ...
