"""Figures of systems: over all rows and over slices, with intervals."""

import numpy as np
import pytest

from coterie.tuning.errors import GateRefused
from coterie.tuning.evaluation import evaluate, interval
from coterie.tuning.intervals import wilson
from coterie.tuning.outcomes import ACCURACY, COSINE, MINUS_BRIER, MINUS_ECE, Outcome, mean_score


def answers(correct: list[bool], slices: list[str], rows_a_thread: int = 1) -> list[Outcome]:
    """One outcome for each, with a confidence of 0.8."""
    return [
        Outcome.answered(str(row), str(row // rows_a_thread), correct=right, confidence=0.8, slices=frozenset({name}))
        for row, (right, name) in enumerate(zip(correct, slices, strict=True))
    ]


def test_every_slice_of_every_system_has_its_figure() -> None:
    """Before and after stand next to each other; the first is over all rows."""
    before = answers([True, False, False, False], ["short", "short", "long", "long"])
    after = answers([True, True, True, False], ["short", "short", "long", "long"])
    figures = evaluate({"live": before, "candidate": after}, (ACCURACY,))
    assert [(one.slice, one.system, one.rows, one.interval.value) for one in figures] == [
        ("", "live", 4, 0.25),
        ("", "candidate", 4, 0.75),
        ("long", "live", 2, 0.0),
        ("long", "candidate", 2, 0.5),
        ("short", "live", 2, 0.5),
        ("short", "candidate", 2, 1.0),
    ]
    assert figures[0].interval == wilson(1, 4)
    assert str(figures[2]).startswith("live: accuracy in long 0.0000 [0.0000, 0.6576] on 2 rows")


def test_an_interval_over_threads_is_wider() -> None:
    """Rows of a thread that are right or wrong together are no news to each other."""
    together = [bool(one) for one in np.repeat(np.random.default_rng(0).random(50) < 0.7, 4)]
    alone = interval(answers(together, [""] * 200), ACCURACY)
    threads = interval(answers(together, [""] * 200, rows_a_thread=4), ACCURACY)
    assert threads.value == alone.value
    assert threads.high - threads.low == pytest.approx(2 * (alone.high - alone.low), rel=0.15)


def test_measures_are_worked_out_by_hand() -> None:
    """Confidence 0.8, right half the time: ECE 0.3 and Brier (0.04 + 0.64) / 2; cosine of (1, 0) and (1, 1)."""
    half = answers([True, False], ["", ""])
    assert MINUS_ECE.value(half) == pytest.approx(-0.3)
    assert MINUS_BRIER.value(half) == pytest.approx(-0.34)
    numbers = [Outcome("a", "a", 1.0, target=1.0), Outcome("b", "b", 0.0, target=1.0)]
    assert COSINE.value(numbers) == pytest.approx(2**-0.5)
    assert mean_score("minus loss").value([Outcome("a", "a", -1, units=3), Outcome("b", "b", -5)]) == -2
    assert COSINE.value([Outcome("a", "a", 0.0, target=1.0)]) == 0


def test_a_measure_of_nothing_is_refused() -> None:
    """No rows, or rows without what it needs."""
    with pytest.raises(GateRefused, match="cannot give accuracy of no rows"):
        evaluate({"live": []}, (ACCURACY,))
    with pytest.raises(GateRefused, match="row 'a' has no cosine: it has correct=None, confidence=None, target=None"):
        COSINE.value([Outcome("a", "a", 1.0)])
