"""The exact test beside values worked out by hand, and beside every sign tried one by one."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.mcnemar import mid_p


def test_single_rows_give_mcnemars_mid_p() -> None:
    """Ten rows got better and two worse: P(more than 10 of 12 heads) + P(10) / 2."""
    assert mid_p([1] * 10 + [-1] * 2 + [0] * 90) == pytest.approx((12 + 1 + 66 / 2) / 2**12)
    assert mid_p([]) == mid_p([0, 0]) == 0.5


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_threads_are_tested_as_if_every_sign_had_been_tried(balances: list[int]) -> None:
    """The share of larger totals, and half that of equal ones, among all signs."""
    totals = [sum(signed) for signed in product(*((one, -one) for one in balances))]
    expected = sum((total > sum(balances)) + (total == sum(balances)) / 2 for total in totals) / len(totals)
    assert mid_p(balances) == pytest.approx(expected)


def test_thousands_of_rows_do_not_overflow() -> None:
    """A binomial of 5,000 has probabilities below the smallest float."""
    assert mid_p([1] * 2_500 + [-1] * 2_500) == pytest.approx(0.5)
    assert 0 <= mid_p([1] * 5_000) < 1e-300
