"""What a role scored, before and after: each measure with its interval, over all held-out rows and over each slice.

    figures = evaluate({"live": before, "candidate": after}, (ACCURACY, MINUS_ECE))

This file knows nothing of models, or of what is good enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .intervals import RESAMPLES, Interval, bootstrap, wilson
from .outcomes import Measure, Outcome

EVERYTHING = ""  # the name of the slice that holds every row


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one system, and how sure it is."""

    system: str
    measure: str
    slice: str  # "": all rows
    rows: int
    interval: Interval

    def __str__(self) -> str:
        where = f" in {self.slice}" if self.slice else ""
        return f"{self.system}: {self.measure}{where} {self.interval} on {self.rows:,} rows"


def evaluate(
    systems: Mapping[str, Sequence[Outcome]],
    measures: Sequence[Measure],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Figure, ...]:
    """Every measure of every system, over all rows and over each slice; a slice's rows are those that name it.

    The interval of a share of rows, each a thread of its own, is Wilson's; any other is bootstrapped over threads.

    Raises:
        GateRefused: a row lacks what a measure needs, or a system has no rows.
    """
    names = sorted({name for outcomes in systems.values() for one in outcomes for name in one.slices})
    return tuple(
        Figure(system, measure.name, name, len(rows), interval(rows, measure, confidence, resamples, seed))
        for measure in measures
        for name in (EVERYTHING, *names)
        for system, outcomes in systems.items()
        if (rows := [one for one in outcomes if name == EVERYTHING or name in one.slices]) or name == EVERYTHING
    )


def interval(
    outcomes: Sequence[Outcome], measure: Measure, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """One measure with its interval.

    Raises:
        GateRefused: there are no rows, or one lacks what the measure needs.
    """
    value = measure.value(outcomes)
    threads = [one.thread for one in outcomes]
    if measure.right_or_wrong and len(set(threads)) == len(threads):
        return wilson(round(value * len(outcomes)), len(outcomes), confidence)
    return bootstrap(
        measure.sums(outcomes),
        measure.combine,
        threads=threads,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
