"""Reports of answered numbers."""

import numpy as np
import pytest

from coterie.tuning.regression import evaluate_numbers


def test_numbers_are_measured_by_hand() -> None:
    """Errors 1, 0 and 1; a perfect answer has R² and cosine 1, and the mean of the truth R² 0."""
    truth = np.array([1.0, 2.0, 3.0])
    found = evaluate_numbers(truth, np.array([2.0, 2.0, 2.0]))
    assert (found.mean_absolute_error, found.r2) == (pytest.approx(2 / 3), 0)
    assert found.cosine == pytest.approx(12 / (14**0.5 * 12**0.5))
    perfect = evaluate_numbers(truth, truth)
    assert (perfect.mean_absolute_error, perfect.r2, perfect.cosine) == (0, 1, pytest.approx(1))


def test_what_has_no_value_is_none() -> None:
    """R² of equal numbers, cosine of zeros."""
    assert evaluate_numbers(np.ones(3), np.zeros(3)).r2 is None
    assert evaluate_numbers(np.ones(3), np.zeros(3)).cosine is None


def test_numbers_that_cannot_be_compared_are_refused() -> None:
    """Shapes are named; a NaN is no zero."""
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        evaluate_numbers(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="a number is not finite"):
        evaluate_numbers(np.ones(1), np.array([np.nan]))
