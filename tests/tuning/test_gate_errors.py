"""How often the gate errs, counted over simulated candidates whose true gain is known."""

import numpy as np
import pytest

from coterie.tuning.errors import GateRefused
from coterie.tuning.gate import gate, judge
from coterie.tuning.outcomes import ACCURACY, mean_score
from coterie.tuning.power import Variation, power, rows_needed
from coterie.tuning.spending import level
from coterie.tuning.verdict import Policy, Verdict
from tests.tuning.simulated import answering, scoring

FIXED, BROKEN = 0.16, 0.06
GAIN, FLIPPED = FIXED - BROKEN, FIXED + BROKEN
VARIATION = Variation(FLIPPED, FLIPPED - GAIN**2)
LEVEL = level(0.05, 1)


def judged(chance: np.random.Generator, rows: int, expected: float | None = None) -> Verdict | None:
    """The verdict about one candidate with a known gain; None where it did the same as live on every row."""
    try:
        return judge(*answering(chance, rows, fixed=FIXED, broken=BROKEN), ACCURACY, expected=expected)
    except GateRefused:
        return None


@pytest.mark.parametrize("thread_rows", [1, 3])
def test_a_thousand_equal_candidates_are_promoted_no_more_often_than_alpha(thread_rows: int) -> None:
    """On fresh rows each time, also where the rows of a thread are right or wrong together."""
    chance = np.random.default_rng(11)
    promoted = sum(
        judge(*answering(chance, 60, fixed=0.15, broken=0.15, thread_rows=thread_rows), ACCURACY).decision == "promote"
        for _ in range(1_000)
    )
    assert 5 <= promoted <= 50  # that it never errs would mean that it never promotes


def test_two_hundred_equal_retrievers_are_promoted_no_more_often_than_alpha() -> None:
    """A score a query, alike in threads and with a long tail; two standard errors above alpha at most."""
    chance = np.random.default_rng(12)
    policy = Policy(resamples=500)
    promoted = sum(
        judge(*scoring(chance, 120, gain=0.0, thread_rows=2), mean_score("nDCG@10"), policy).decision == "promote"
        for _ in range(200)
    )
    assert promoted <= 16


def test_many_candidates_on_the_same_rows_together_err_no_more_often_than_alpha() -> None:
    """In 60 sets of rows, ten equal candidates each: few promote any, where unpaid uses would promote in a third."""
    chance = np.random.default_rng(13)
    wrong, unpaid = 0, 0
    for number in range(60):
        tries = [answering(chance, 60, fixed=0.15, broken=0.15) for _ in range(10)]
        verdicts = [gate(f"errors/{number}", *sides, ACCURACY, dataset="d") for sides in tries]
        wrong += any(verdict.decision == "promote" for verdict in verdicts)
        unpaid += any(verdict.comparison.p < 0.05 for verdict in verdicts)
    assert wrong <= 6  # 3 expected at most, and two standard errors
    assert unpaid >= 15


@pytest.mark.parametrize("rows", [80, 160])
def test_a_known_gain_is_promoted_as_often_as_predicted(rows: int) -> None:
    """Within three standard errors of 300 candidates, and two points for the normal approximation."""
    chance = np.random.default_rng(14)
    verdicts = [judged(chance, rows) for _ in range(300)]
    found = sum(verdict is not None and verdict.decision == "promote" for verdict in verdicts) / 300
    predicted = power(rows, GAIN, VARIATION, level=LEVEL, least=0.005)
    assert found == pytest.approx(predicted, abs=3 * (predicted * (1 - predicted) / 300) ** 0.5 + 0.02)


def test_the_reviews_asked_for_are_right_within_a_factor_of_one_and_a_half() -> None:
    """Told the gain that validation showed, nearly every time; on so many rows four in five candidates are promoted."""
    chance = np.random.default_rng(15)
    right = rows_needed(GAIN, VARIATION, level=lambda rows: LEVEL, target=0.8, least=0.005)
    assert right is not None
    unclear = [one for one in (judged(chance, 60, GAIN) for _ in range(150)) if one and one.more_reviews]
    asked = np.array([60 + (one.more_reviews or 0) for one in unclear])
    assert len(asked) > 50
    assert right / 1.5 < np.median(asked) < right * 1.5
    assert ((asked > right / 1.5) & (asked < right * 1.5)).mean() > 0.85
    then = [judged(chance, right) for _ in range(150)]
    assert sum(one is not None and one.decision == "promote" for one in then) / 150 == pytest.approx(0.8, abs=0.1)


def test_without_an_expected_gain_the_reviews_asked_for_are_right_in_the_middle() -> None:
    """What few rows showed is a poor guess: as often too high as too low, and not seldom by more than the factor."""
    chance = np.random.default_rng(16)
    right = rows_needed(GAIN, VARIATION, level=lambda rows: LEVEL, target=0.8, least=0.005)
    assert right is not None
    unclear = [one for one in (judged(chance, 60) for _ in range(200)) if one and one.more_reviews]
    asked = np.array([60 + (one.more_reviews or 0) for one in unclear])
    assert right / 1.5 < np.median(asked) < right * 1.5
