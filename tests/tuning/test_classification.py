"""Reports of a classifier: beside values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.classification import auroc, brier, expected_calibration_error, reliability, report

TRUTH, ANSWERS = ["up", "up", "up", "down", "down"], ["up", "up", "down", "down", "up"]


def test_a_report_counts_each_label() -> None:
    """Precision 2/3 and recall 2/3 of one, 1/2 of the other; a label that nobody has counts for no mean."""
    found = report(TRUTH, ANSWERS, ["up", "down", "flat"])
    up, down, flat = found.labels
    assert (up.precision, up.recall, up.rows) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 3)
    assert (down.precision, down.recall, down.f1, down.rows) == (0.5, 0.5, 0.5, 2)
    assert (flat.f1, flat.rows) == (0, 0)
    assert found.accuracy == 0.6
    assert found.macro_f1 == pytest.approx((2 / 3 + 0.5) / 2)
    assert found.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert found.brier is found.expected_calibration_error is None


def test_probabilities_are_scored_too() -> None:
    """Sure and right scores 0, sure and wrong 2; confidence of 0.9 that is right half the time is 0.4 off."""
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert brier(["up", "up"], ["up", "down"], sure) == 0
    assert brier(["down", "down"], ["up", "down"], sure) == 2
    found = report(["up", "down"], ["up", "up"], ["up", "down"], np.array([[0.9, 0.1], [0.9, 0.1]]))
    assert found.expected_calibration_error == pytest.approx(0.4)
    assert found.brier == pytest.approx((0.02 + 1.62) / 2)


def test_bins_of_confidence_hold_their_upper_ends() -> None:
    """0 falls in the first, 1 in the last, and bins without rows are left out."""
    bins = reliability(np.array([0.0, 1 / 15, 1.0, 1.0]), np.array([False, True, True, True]))
    assert [(one.rows, one.accuracy) for one in bins] == [(2, 0.5), (2, 1.0)]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_lies_between_the_mean_gap_and_1(rows: list[tuple[float, bool]]) -> None:
    """Binning can only find more than the gap between mean confidence and accuracy."""
    confidences, correct = np.array([one for one, _ in rows]), np.array([right for _, right in rows])
    error = expected_calibration_error(confidences, correct)
    assert abs(confidences.mean() - correct.mean()) - 1e-9 <= error <= 1 + 1e-9


def test_auroc_counts_pairs_in_the_right_order() -> None:
    """Three of four pairs."""
    assert auroc([0.1, 0.6], [0.5, 0.9]) == 0.75
    assert auroc([1.0], [1.0]) == 0.5


def test_what_cannot_be_scored_is_refused() -> None:
    """With what was found."""
    with pytest.raises(ValueError, match="label 'sideways' is none of 'up', 'down'"):
        report(["up"], ["sideways"], ["up", "down"])
    with pytest.raises(ValueError, match="cannot compare 1 answers with 2 labels"):
        report(["up", "up"], ["up"], ["up"])
    with pytest.raises(ValueError, match=r"shape \(1, 3\); expected \(1, 2\)"):
        brier(["up"], ["up", "down"], np.ones((1, 3)) / 3)
    with pytest.raises(ValueError, match="do not sum to 1"):
        brier(["up"], ["up", "down"], np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"found a confidence of nan; expected 0 to 1"):
        reliability(np.array([np.nan]), np.array([True]))
    with pytest.raises(ValueError, match="cannot tell 0 texts in scope from 1 out of it"):
        auroc([], [1.0])
