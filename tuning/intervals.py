"""How sure a number is: bootstrap intervals over rows or over threads, and Wilson's of a share.

Rows of one thread are alike, so a resample draws whole threads: an interval over single rows would be too narrow.
Letters in shape comments: N rows, C clusters (threads), P parts of a measure, R resamples.

This file knows nothing of roles, of what was measured, or of what a difference is worth.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 10_000
_RESAMPLED_AT_ONCE = 2_000_000  # draws, 8 bytes each


@dataclass(frozen=True, slots=True)
class Interval:
    """A measure and the interval around it, at a level of confidence from 0 to 1."""

    value: float
    low: float
    high: float
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference between two systems on the same queries, and its interval."""

    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def wilson(hits: int, count: int, confidence: float = 0.95) -> Interval:
    """The share `hits / count` with the interval of Wilson 1927, which stays within 0 and 1 and holds for few rows.

    Raises:
        ValueError: there are no rows, or more hits than rows.
    """
    if not 0 <= hits <= count or not count:
        raise ValueError(f"cannot give a share of {hits} in {count}; expected at least one row, and no more hits")
    share, quantile = hits / count, normal_quantile((1 + confidence) / 2)
    scale = 1 + quantile**2 / count
    centre = (share + quantile**2 / (2 * count)) / scale
    reach = quantile / scale * ((share * (1 - share) + quantile**2 / (4 * count)) / count) ** 0.5
    low = 0.0 if hits == 0 else centre - reach  # exactly, which rounding would miss
    high = 1.0 if hits == count else centre + reach
    return Interval(share, low, high, confidence)


def paired_bootstrap(
    ours: "NDArray[np.float64]",
    theirs: "NDArray[np.float64]",
    *,
    threads: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """The mean of `ours - theirs`, both (N,), with its percentile interval over resampled rows, or over `threads`.

    Sakai 2006, "Evaluating Evaluation Metrics Based on the Bootstrap". The same seed gives the same interval.

    Raises:
        ValueError: the two do not measure the same queries, or none.
    """
    if ours.shape != theirs.shape or ours.ndim != 1 or not len(ours):
        raise ValueError(f"cannot pair measures of shapes {ours.shape} and {theirs.shape}; expected the same queries")
    parts = np.stack([ours - theirs, np.ones(len(ours))], axis=1)  # (N, 2)
    sums = cluster_sums(parts, threads)
    means = ratio(resampled_sums(sums, resamples=resamples, seed=seed))  # (R,)
    low, high = percentile(means, confidence)
    return Difference(float((ours - theirs).mean()), low, high)


def bootstrap(
    parts: "NDArray[np.float64]",
    combine: "Callable[[NDArray[np.float64]], NDArray[np.float64]]",
    *,
    threads: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """A measure that `combine` makes of sums over rows, with its percentile interval over rows or `threads`.

    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; clusters as in Field and Welsh 2007.

    Args:
        parts: (N, P), what each row adds to the sums.
        combine: from sums (..., P) to values (...), such as `ratio`.
        threads: of each row; None: each row is one of its own.
        resamples: how many times the threads are drawn anew.
        confidence: of the interval, 0 to 1.
        seed: of the draws.

    Raises:
        ValueError: there are no rows.
    """
    sums = cluster_sums(parts, threads)
    low, high = percentile(combine(resampled_sums(sums, resamples=resamples, seed=seed)), confidence)
    return Interval(float(combine(sums.sum(axis=0))), low, high, confidence)


def cluster_sums(parts: "NDArray[np.float64]", threads: Sequence[Hashable] | None = None) -> "NDArray[np.float64]":
    """The sums (C, P) of `parts` (N, P) over the rows of each thread, in the order in which threads first appear.

    Raises:
        ValueError: there are no rows, or not one thread for each.
    """
    if parts.ndim != 2 or not len(parts) or (threads is not None and len(threads) != len(parts)):
        found = "no threads" if threads is None else f"{len(threads)} threads"
        raise ValueError(f"cannot sum parts of shape {parts.shape} over {found}; expected (N, P) and one thread a row")
    if threads is None:
        return parts
    numbers = {thread: number for number, thread in enumerate(dict.fromkeys(threads))}
    sums = np.zeros((len(numbers), parts.shape[1]))  # (C, P)
    np.add.at(sums, [numbers[thread] for thread in threads], parts)
    return sums


def resampled_sums(sums: "NDArray[np.float64]", *, resamples: int = RESAMPLES, seed: int = 0) -> "NDArray[np.float64]":
    """The sums (R, P) over C clusters that are drawn from `sums` (C, P) with replacement, R times."""
    chance = np.random.default_rng(seed)
    count = len(sums)
    at_once = max(1, _RESAMPLED_AT_ONCE // count)
    sizes = [min(at_once, resamples - done) for done in range(0, resamples, at_once)]
    drawn = []
    for size in sizes:
        draws = chance.integers(count, size=(size, count))
        places = draws + count * np.arange(size)[:, None]
        times = np.bincount(places.ravel(), minlength=size * count).reshape(size, count)  # (size, C)
        drawn.append(times.astype(np.float64) @ sums)
    return np.concatenate(drawn)


def ratio(sums: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The first of two sums over the second, (..., 2) to (...): a mean, where the second counts units."""
    values: NDArray[np.float64] = sums[..., 0] / sums[..., 1]
    return values


def percentile(values: "NDArray[np.float64]", confidence: float) -> tuple[float, float]:
    """What leaves out half of `1 - confidence` of the values at either end."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def normal_quantile(share: float) -> float:
    """The number below which a standard normal variable lies with probability `share`."""
    return NormalDist().inv_cdf(share)
