"""Power and numbers of rows: beside published values, and each the inverse of the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.power import Variation, power, rows_needed, rows_to_tell


def test_rows_agree_with_connors_formula() -> None:
    """(z sqrt(psi) + z' sqrt(psi - d²))² / d² of a discordance psi = 0.13 and a gain d = 0.05."""
    variation = Variation(0.13, 0.13 - 0.05**2)
    expected = (1.6449 * 0.13**0.5 + 0.8416 * (0.13 - 0.05**2) ** 0.5) ** 2 / 0.05**2
    assert rows_needed(0.05, variation, level=lambda rows: 0.05, target=0.8) == pytest.approx(expected, abs=1)


@given(st.floats(0.01, 0.2), st.floats(0.2, 0.5), st.floats(0.001, 0.1), st.floats(0.5, 0.95))
def test_the_rows_needed_are_the_fewest(gain: float, variance: float, level: float, target: float) -> None:
    """One row less has not the power."""
    variation = Variation(variance, variance - gain**2)
    rows = rows_needed(gain, variation, level=lambda rows: level, target=target)
    assert rows is not None
    assert power(rows, gain, variation, level=level) >= target
    assert rows == 1 or power(rows - 1, gain, variation, level=level) < target


def test_no_rows_show_what_counts_for_nothing() -> None:
    """A gain below the least one is not seen more often than not, however many rows there are."""
    variation = Variation(0.1, 0.1)
    assert rows_needed(0.004, variation, level=lambda rows: 0.05, target=0.8, least=0.005) is None
    assert power(10**8, 0.004, variation, level=0.05, least=0.005) < 0.01


def test_rows_to_tell_make_the_interval_as_narrow_as_the_gain() -> None:
    """2 z sqrt(v / n) = d."""
    assert rows_to_tell(0.05, Variation(0.1, 0.1), level=lambda rows: 0.05) == pytest.approx(
        0.1 * (2 * 1.6449 / 0.05) ** 2, abs=1
    )


def test_a_difference_that_never_varies_is_certain() -> None:
    """Seen at once, or never."""
    still = Variation(0.0, 0.0)
    assert power(1, 0.1, still, level=0.05) == 1
    assert power(1, 0.0, still, level=0.05) == 0
