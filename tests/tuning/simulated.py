"""Candidates whose true gain is known, so that what the gate says of them can be counted."""

import numpy as np

from coterie.tuning.outcomes import Outcome
from coterie.tuning.verdict import Side

LIVE, CANDIDATE = "a" * 64, "b" * 64


def answering(
    chance: np.random.Generator, rows: int, *, fixed: float, broken: float, thread_rows: int = 1
) -> tuple[Side, Side]:
    """Live and a candidate that turns a share `fixed` of the rows right and a share `broken` wrong.

    The rows of a thread of `thread_rows` are mostly all fixed or all broken together.
    """
    drawn = chance.random(rows)
    if thread_rows > 1:
        together = np.repeat(chance.random(rows // thread_rows + 1), thread_rows)[:rows]
        drawn = np.where(chance.random(rows) < 0.8, together, drawn)
    turned_right, turned_wrong = drawn < fixed, (drawn >= fixed) & (drawn < fixed + broken)
    both = chance.random(rows) < 0.8
    live = np.where(turned_right, False, turned_wrong | both)
    candidate = np.where(turned_wrong, False, turned_right | both)
    return sides(live.tolist(), candidate.tolist(), thread_rows=thread_rows)


def sides(live: list[bool], candidate: list[bool], *, thread_rows: int = 1) -> tuple[Side, Side]:
    """What the two answered, row by row."""

    def side(digest: str, answers: list[bool]) -> Side:
        return Side(
            digest,
            [
                Outcome.answered(f"row {row}", f"thread {row // thread_rows}", correct=correct)
                for row, correct in enumerate(answers)
            ],
        )

    return side(LIVE, live), side(CANDIDATE, candidate)


def scoring(chance: np.random.Generator, rows: int, *, gain: float, thread_rows: int = 1) -> tuple[Side, Side]:
    """Live and a candidate whose scores differ by `gain` on average: skewed, mostly by nothing, alike in threads."""
    count = rows // thread_rows
    touched = chance.random(count) < 0.4
    change = np.where(touched, chance.exponential(0.3, count) - 0.3, 0.0)  # mean 0, long tail upwards
    changes = np.repeat(change, thread_rows) + gain + chance.normal(0, 0.02, count * thread_rows)
    scores = chance.random(count * thread_rows)
    return (
        Side(LIVE, [Outcome(f"row {n}", f"thread {n // thread_rows}", float(s)) for n, s in enumerate(scores)]),
        Side(
            CANDIDATE,
            [Outcome(f"row {n}", f"thread {n // thread_rows}", float(s)) for n, s in enumerate(scores + changes)],
        ),
    )
