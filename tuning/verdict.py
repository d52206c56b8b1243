"""What the gate is given, what it asks for, and what it says. This file judges nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .comparison import Comparison
from .intervals import RESAMPLES
from .outcomes import Outcome
from .spending import Use

State: TypeAlias = Literal["holds", "fails", "unclear"]
Decision: TypeAlias = Literal["promote", "keep live", "not enough evidence"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What answering takes."""

    seconds: float  # a row, the median
    bytes: int  # of memory, at its peak


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared: what it did, and what that took."""

    digest: str  # of its weights; "": it has none of its own
    outcomes: Sequence[Outcome]
    cost: Cost | None = None  # None: not measured


@dataclass(frozen=True, slots=True)
class Policy:
    """What a candidate must show. Differences are in units of the measure."""

    alpha: float = 0.05  # probability that an equal candidate is promoted, over every use of the same rows
    delta: float = 0.005  # the least gain that is worth a release
    protected: tuple[str, ...] = ()  # slices that may not get worse
    margin: float = 0.05  # of a protected slice: what it may lose
    calibration_margin: float = 0.02  # what ECE and Brier score may gain
    slower: float = 1.5  # times live's seconds that a candidate may take
    larger: float = 1.5  # times live's bytes
    power: float = 0.8  # probability with which a gain is to be seen, of "N more reviews"
    gate_share: float = 1.0  # of reviews, how many become rows of the gate
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        shares = {"alpha": self.alpha, "power": self.power, "gate_share": self.gate_share / 2}
        wrong = [name for name, share in shares.items() if not 0 < share < 1]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(self, wrong[0])!r}; expected a share above 0 and below 1")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a candidate must show, and whether it did."""

    name: str
    state: State
    found: str  # for a person
    rows: int | None = None  # of an unclear one: about how many rows in all would settle it; None: none that can be had


@dataclass(frozen=True, slots=True)
class Flip:
    """A row on which the two differ."""

    row_id: str
    thread: str
    change: float  # of the row's own quality; below 0: it got worse
    live: str  # what live answered
    candidate: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says, and all that it says it for."""

    decision: Decision
    checks: tuple[Check, ...]  # the first is the gain
    comparison: Comparison  # over all rows
    slices: tuple[tuple[str, Comparison], ...]  # of every slice, by name
    calibration: tuple[Comparison, ...]  # empty where confidence is not known
    flips: tuple[Flip, ...]  # the worst first
    level: float  # at which it was tested
    more_reviews: int | None = None  # of "not enough evidence"; None where no number would do
    use: Use | None = None  # which use of the rows it was; None: it was not paid for

    def __str__(self) -> str:
        wanted = {"promote": "holds", "keep live": "fails", "not enough evidence": "unclear"}[self.decision]
        said = "; ".join(check.found for check in self.checks if check.state == wanted)
        return f"{self.headline}: {said}"

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        if self.decision != "not enough evidence":
            return self.decision
        if self.more_reviews is None:
            return "not enough evidence, and no number of reviews would settle it"
        return f"not enough evidence, about {self.more_reviews:,} more reviews"
