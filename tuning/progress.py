"""What is said of a training while it runs, and what is known when it is over. Numbers only: no torch here.

This file knows nothing of who listens, nor of how a training is done.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Stopped: TypeAlias = Literal["epochs", "patience", "budget"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing said of a training: a step that was made, an evaluation, or a notice."""

    step: int  # steps made; 0: before the first
    total: int  # steps that there will be, unless it stops early
    epoch: float  # times that each row was seen
    rate: float  # of the uppermost group at this step
    seconds: float  # since the start, those before a resume included
    loss: float | None = None  # mean per unit of this step, on training rows
    units_per_second: float = 0.0  # rows, queries or supervised tokens: whatever the loss counts
    tokens_per_second: float = 0.0  # 0 where the loss counts no tokens
    validation: float | None = None  # of an evaluation; lower is better
    best: float | None = None  # the lowest so far
    notice: str = ""  # one sentence for a person

    @property
    def seconds_left(self) -> float | None:
        """What the rest takes at the mean speed so far; None before the first step."""
        return self.seconds / self.step * (self.total - self.step) if self.step else None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The model at one step."""

    step: int
    validation: float  # lower is better
    loss: float | None  # mean per unit since the evaluation before; None at step 0


@dataclass(frozen=True, slots=True)
class Training:
    """A training that is over; its model holds the weights of `best_step`."""

    best: float  # validation of the weights that were kept; lower is better
    best_step: int  # 0: nothing was better than the weights that it began with
    steps: int
    seconds: float  # those before a resume included
    stopped: Stopped
    history: tuple[Evaluation, ...]  # the first is step 0, before anything was trained
    resumed_at: int | None = None  # the step that a checkpoint was taken up at

    @property
    def first(self) -> float:
        """Validation before anything was trained."""
        return self.history[0].validation


def unheard(progress: Progress) -> None:
    """Nobody listens."""
