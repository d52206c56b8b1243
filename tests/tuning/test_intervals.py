"""Intervals: as wide as theory says, wider where rows hang together, and the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.intervals import bootstrap, cluster_sums, paired_bootstrap, ratio, resampled_sums, wilson


def test_the_interval_of_a_clear_difference_leaves_out_0() -> None:
    """And the same seed gives the same interval."""
    chance = np.random.default_rng(1)
    theirs = chance.random(200)
    ours = theirs + 0.1 + 0.01 * chance.random(200)
    better = paired_bootstrap(ours, theirs)
    assert 0.1 < better.low < better.mean < better.high < 0.11
    assert better.significant
    assert better == paired_bootstrap(ours, theirs)
    assert str(paired_bootstrap(theirs, theirs)) == "+0.0000 [+0.0000, +0.0000]"


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """About 1.96 standard errors of the mean on each side, for any number of draws at once."""
    differences = np.random.default_rng(2).normal(size=1_000)
    interval = paired_bootstrap(differences, np.zeros(1_000), resamples=5_000)
    expected = 1.96 * differences.std() / np.sqrt(1_000)
    assert interval.high - interval.mean == pytest.approx(expected, rel=0.1)
    assert interval.mean - interval.low == pytest.approx(expected, rel=0.1)
    assert not interval.significant


def test_rows_that_repeat_each_other_count_once() -> None:
    """Four equal rows of each thread give the interval of one row of each thread, not half of it."""
    once = np.random.default_rng(3).normal(size=(150, 1))
    parts = np.concatenate([once, np.ones((150, 1))], axis=1)
    repeated, threads = np.repeat(parts, 4, axis=0), [number // 4 for number in range(600)]
    alone, together = bootstrap(parts, ratio), bootstrap(repeated, ratio, threads=threads)
    naive = bootstrap(repeated, ratio)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=1e-9)
    assert naive.high - naive.low == pytest.approx((alone.high - alone.low) / 2, rel=0.1)


def test_a_resample_draws_as_many_clusters_as_there_are() -> None:
    """Sums of ones are the number of clusters, however the draws are cut into pieces."""
    sums = np.ones((7, 1))
    assert (resampled_sums(sums, resamples=50) == 7).all()
    assert len(resampled_sums(np.ones((1_500_000, 1)), resamples=3)) == 3


def test_wilson_agrees_with_the_published_example() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for hits, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)):
        found = wilson(hits, count)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert wilson(0, 20).low == 0
    assert round(wilson(0, 20).high, 4) == 0.1611


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_holds_the_share_and_stays_within_0_and_1(counts: tuple[int, int]) -> None:
    """For any number of hits, and mirrored for misses."""
    found, mirrored = wilson(*counts), wilson(counts[1] - counts[0], counts[1])
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high)


def test_what_cannot_be_estimated_is_refused() -> None:
    """The shapes and numbers are named."""
    with pytest.raises(
        ValueError, match=r"cannot pair measures of shapes \(3,\) and \(2,\); expected the same queries"
    ):
        paired_bootstrap(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"parts of shape \(0, 2\) over no threads"):
        bootstrap(np.zeros((0, 2)), ratio)
    with pytest.raises(ValueError, match=r"parts of shape \(3, 1\) over 2 threads"):
        cluster_sums(np.zeros((3, 1)), ["a", "b"])
    with pytest.raises(ValueError, match="a share of 3 in 2"):
        wilson(3, 2)
