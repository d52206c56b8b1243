"""What a role did on each held-out row, and the measures that are made of it.

    Outcome("r1", thread="client-7", score=0.63)                             # nDCG of a query: MeanScore
    Outcome("r1", thread="client-7", score=-2.31, units=48)                  # minus the loss a token, over 48 tokens
    Outcome("r1", thread="client-7", score=0.2, target=0.5)                  # a number and what it should be: COSINE
    Outcome.answered("r1", thread="client-7", correct=True, confidence=0.9)  # an answer: ACCURACY

A measure is a function of sums over rows, so that one bootstrap fits all of them. Letters in shape comments: N rows,
P parts of a measure.

This file knows nothing of models or of which of two is better.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import GateRefused
from .intervals import ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15  # of confidence, equally wide, as in Guo et al. 2017


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one role did on one row."""

    row_id: str
    thread: str  # rows of one thread are drawn together
    score: float  # higher is better; with a target, the number that was answered
    units: float = 1.0  # how much the row counts: supervised tokens of a dialogue
    target: float | None = None  # of a number: what it should have been
    correct: bool | None = None  # whether the answer was right; None where it is not right or wrong
    confidence: float | None = None  # probability that the role gave its answer, 0 to 1
    slices: frozenset[str] = frozenset()  # named groups that the row belongs to
    answer: str = ""  # for a person

    @classmethod
    def answered(
        cls,
        row_id: str,
        thread: str,
        *,
        correct: bool,
        confidence: float | None = None,
        slices: frozenset[str] = frozenset(),
        answer: str = "",
    ) -> "Outcome":
        """An answer that is right or wrong; its score is 1 or 0."""
        return cls(row_id, thread, float(correct), correct=correct, confidence=confidence, slices=slices, answer=answer)


@dataclass(frozen=True, slots=True)
class Measure:
    """A number about outcomes; higher is better."""

    name: str
    parts: Callable[[Outcome], tuple[float, ...]]  # what a row adds to the sums, P numbers
    combine: "Callable[[NDArray[np.float64]], NDArray[np.float64]]"  # from sums (..., P) to values (...)
    quality: Callable[[Outcome], float]  # of one row by itself; higher is better
    right_or_wrong: bool = False  # whether each row adds 0 or 1, which an exact test may count
    smooth: bool = True  # whether `combine` has slopes, by which a bootstrap can measure each resample's own error

    def sums(self, outcomes: Sequence[Outcome]) -> "NDArray[np.float64]":
        """What each row adds, (N, P).

        Raises:
            GateRefused: a row lacks what this measure needs, or a number of it is not finite.
        """
        parts = np.array([self._of(outcome) for outcome in outcomes], np.float64)
        wrong = np.flatnonzero(~np.isfinite(parts).all(axis=1))
        if len(wrong):
            row = outcomes[int(wrong[0])]
            raise GateRefused(f"{self.name} of row {row.row_id!r} is no finite number: its score is {row.score!r}")
        return parts

    def value(self, outcomes: Sequence[Outcome]) -> float:
        """The measure over all `outcomes`.

        Raises:
            GateRefused: there are none, or one lacks what this measure needs.
        """
        if not outcomes:
            raise GateRefused(f"cannot give {self.name} of no rows")
        return float(self.combine(self.sums(outcomes).sum(axis=0)))

    def _of(self, outcome: Outcome) -> tuple[float, ...]:
        try:
            return self.parts(outcome)
        except TypeError as error:
            raise GateRefused(
                f"row {outcome.row_id!r} has no {self.name}: it has correct={outcome.correct!r}, "
                f"confidence={outcome.confidence!r}, target={outcome.target!r}"
            ) from error


def mean_score(name: str) -> Measure:
    """The mean score, each row counting by its units: nDCG, minus an error, minus a loss a token."""
    return Measure(name, lambda one: (one.score * one.units, one.units), ratio, lambda one: one.score)


def _right(outcome: Outcome) -> float:
    return float(_known(outcome.correct))


def _known(value: float | None) -> float:
    if value is None:
        raise TypeError("a part of this measure is not known")
    return value


def _cosine_parts(outcome: Outcome) -> tuple[float, ...]:
    target = _known(outcome.target)
    return outcome.score * target, outcome.score**2, target**2


def _cosine(sums: "NDArray[np.float64]") -> "NDArray[np.float64]":
    lengths = np.sqrt(sums[..., 1] * sums[..., 2])
    values: NDArray[np.float64] = np.where(lengths > 0, sums[..., 0], 0.0) / np.where(lengths > 0, lengths, 1.0)
    return values


def _surprise(outcome: Outcome) -> float:
    """The squared distance between confidence and truth: Brier 1950, of the answer that was given."""
    return (_known(outcome.confidence) - _right(outcome)) ** 2


def _binned(outcome: Outcome) -> tuple[float, ...]:
    confidence = _known(outcome.confidence)
    gaps = [0.0] * BINS
    if math.isfinite(confidence):
        gaps[confidence_bin(confidence)] = confidence - _right(outcome)
    return (*gaps, confidence * 0 + 1)  # not finite where the confidence is not


def confidence_bin(confidence: float) -> int:
    """Which of `BINS` equally wide bins, each without its low end, a confidence falls in; 0 falls in the first."""
    return min(max(math.ceil(confidence * BINS) - 1, 0), BINS - 1)


def _minus_gaps(sums: "NDArray[np.float64]") -> "NDArray[np.float64]":
    values: NDArray[np.float64] = -np.abs(sums[..., :BINS]).sum(axis=-1) / sums[..., BINS]
    return values


ACCURACY = Measure("accuracy", lambda one: (_right(one), 1.0), ratio, _right, right_or_wrong=True)
COSINE = Measure("cosine", _cosine_parts, _cosine, lambda one: -abs(one.score - _known(one.target)))
"""Of answered numbers and targets as two vectors over rows: SemEval-2017 task 5."""
MINUS_BRIER = Measure("minus Brier score", lambda one: (-_surprise(one), 1.0), ratio, lambda one: -_surprise(one))
"""Minus the mean squared distance between the confidence of the answer given and whether it was right."""
MINUS_ECE = Measure("minus ECE", _binned, _minus_gaps, lambda one: -_surprise(one), smooth=False)
"""Minus the expected calibration error, in 15 bins: Naeini et al. 2015, Guo et al. 2017."""


def paired(live: Sequence[Outcome], candidate: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    """Live's and the candidate's outcome of each row, in live's order.

    Raises:
        GateRefused: there are no rows, an id comes twice, a row is missing on one side, or the two sides put a row into
            different threads or slices.
    """
    ours, theirs = _by_row(live, "live"), _by_row(candidate, "the candidate")
    if not ours:
        raise GateRefused("there are no held-out rows to compare on; label some, or review more runs")
    for name, known, had in (("the candidate", ours, theirs), ("live", theirs, ours)):
        missing = [row for row in known if row not in had]
        if missing:
            raise GateRefused(f"{name} has no outcome of row {missing[0]!r} and {len(missing) - 1:,} others")
    pairs = [(outcome, theirs[row]) for row, outcome in ours.items()]
    for one, two in pairs:
        if (one.thread, one.slices, one.target, one.units) != (two.thread, two.slices, two.target, two.units):
            raise GateRefused(f"row {one.row_id!r} has another thread, slice, target or unit count on either side")
    return pairs


def _by_row(outcomes: Sequence[Outcome], side: str) -> dict[str, Outcome]:
    rows: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.row_id in rows:
            raise GateRefused(f"row {outcome.row_id!r} comes twice in what {side} did; expected each row once")
        if not outcome.units > 0 or math.isinf(outcome.units):
            raise GateRefused(f"row {outcome.row_id!r} counts {outcome.units!r} units; expected a number above 0")
        if outcome.confidence is not None and not 0 <= outcome.confidence <= 1:
            raise GateRefused(f"row {outcome.row_id!r} has confidence {outcome.confidence!r}; expected 0 to 1")
        rows[outcome.row_id] = outcome
    return rows
