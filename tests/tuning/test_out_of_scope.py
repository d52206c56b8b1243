"""Texts that belong nowhere score higher, and the threshold keeps as many as was said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.out_of_scope import auroc, energies, fit_mahalanobis, scope_threshold

NUMBERS = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30).map(np.array)


def test_distance_is_measured_in_the_directions_in_which_rows_vary() -> None:
    """Rows vary tenfold along the first axis: a step along the second is farther than the same along the first."""
    chance = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    rows = (chance.normal(size=(1_000, 2)) * [1.0, 0.1] + np.array([[0, 0], [5, 0]])[labels]).astype(np.float32)
    measured = fit_mahalanobis(rows, labels)
    along, across, at_the_centre = measured.distances(np.array([[1, 0], [0, 1], [5, 0]], np.float32))
    assert across > 5 * along
    assert at_the_centre < 0.1


def test_fewer_rows_than_dimensions_are_enough() -> None:
    """What lies off every direction that was seen is still far away, and finite."""
    rows = np.eye(4, 32, dtype=np.float32)
    near, far = fit_mahalanobis(rows, np.array([0, 0, 1, 1])).distances(np.eye(32, dtype=np.float32)[[0, 20]])
    assert near < far < np.inf
    with pytest.raises(ValueError, match="there are no rows to measure distances from"):
        fit_mahalanobis(rows[:0], np.zeros(0, np.int64))


def test_energy_is_high_where_no_label_speaks_up() -> None:
    """It is minus the log of the sum of exponentials, and no logit is too large."""
    calm, strange, huge = energies(np.array([[9.0, 0.0], [0.0, 0.0], [1e4, 0.0]]))
    assert strange == pytest.approx(-np.log(2))
    assert huge < calm < strange


@given(NUMBERS, st.floats(0.01, 1))
def test_the_threshold_keeps_at_least_the_share(scores: np.ndarray, kept: float) -> None:
    """And the next lower score would keep fewer."""
    threshold = scope_threshold(scores, kept)
    assert (scores <= threshold).mean() >= kept - 1e-9
    assert (scores < threshold).mean() < kept


@given(NUMBERS, NUMBERS)
def test_auroc_is_the_chance_that_the_outside_scores_higher(inside: np.ndarray, outside: np.ndarray) -> None:
    """Counted pair by pair, ties as halves."""
    pairs = outside[:, None] - inside
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert auroc(inside, outside) == pytest.approx(expected)


def test_rows_of_one_sort_cannot_be_told_apart() -> None:
    """Nor can a share of none be kept."""
    with pytest.raises(ValueError, match="1 rows inside and 0 outside cannot be told apart"):
        auroc(np.ones(1), np.ones(0))
    with pytest.raises(ValueError, match=r"cannot keep a share of 0\.9 of 0 rows"):
        scope_threshold(np.ones(0), 0.9)
