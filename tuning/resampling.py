"""The paired bootstrap of a difference between two systems on the same threads: Sakai 2006, over clusters.

A skewed difference (many queries won a little, a few lost much) makes the plain bootstrap too sure of a gain. So each
resample is measured by its own standard error: the bootstrap-t, Efron and Tibshirani 1993, "An Introduction to the
Bootstrap", section 12.5, with the error from the slopes of the difference (infinitesimal jackknife). It is better, not
proof against everything: of equal candidates whose threads have a skewness of -3, 7.2 in 100 pass at a level of 5 %
on 100 threads (plain: 8.8), and 10.6 on 40 (plain: 11.8). What has no slopes is bootstrapped plainly.

Letters in shape comments: C clusters (threads), Q sums of both systems together, R resamples.

This file knows nothing of measures by name or of what follows from a difference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .intervals import percentile, resampled_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

Statistic: TypeAlias = "Callable[[NDArray[np.float64]], NDArray[np.float64]]"
"""From sums (..., Q) to differences (...); the same for a multiple of the sums, as ratios are."""

_STEP = 1e-5  # of a slope, as a share of a sum's size
_LEAST_ERROR = 0.1  # of a resample, as a share of the whole error: one that drew only equal threads is not certain


@dataclass(frozen=True, slots=True)
class Resampled:
    """A difference's standard error, its interval, and the one-sided p-value that it is no larger than 0."""

    error: float
    low: float
    high: float
    p: float


def studentised(
    sums: "NDArray[np.float64]", difference: Statistic, *, level: float, resamples: int, seed: int
) -> Resampled:
    """The bootstrap-t of a smooth difference over `sums` (C, Q); its interval errs at either end with `level`."""
    count, width = sums.shape
    products = (sums[:, :, None] * sums[:, None, :]).reshape(count, width * width)  # (C, Q²)
    drawn = resampled_sums(np.concatenate([sums, products], axis=1), resamples=resamples, seed=seed)  # (R, Q + Q²)
    total = sums.sum(axis=0)
    size = np.sqrt((sums**2).sum(axis=0)) + np.abs(total) + 1e-12  # (Q)
    found = float(difference(total))
    error = float(_errors(total[None], products.sum(axis=0)[None], difference, size)[0])
    if error == 0:
        return Resampled(0.0, found, found, 1 / (resamples + 1) if found > 0 else 1.0)
    own = _errors(drawn[:, :width], drawn[:, width:], difference, size)  # (R)
    scores = (difference(drawn[:, :width]) - found) / np.maximum(own, _LEAST_ERROR * error)
    few, many = np.quantile(scores, (level, 1 - level))
    return Resampled(
        error=error,
        low=found - float(many) * error,
        high=found - float(few) * error,
        p=float((np.count_nonzero(scores >= found / error) + 1) / (resamples + 1)),
    )


def plain(sums: "NDArray[np.float64]", difference: Statistic, *, level: float, resamples: int, seed: int) -> Resampled:
    """The percentile bootstrap of any difference over `sums` (C, Q); its interval errs at either end with `level`."""
    differences = difference(resampled_sums(sums, resamples=resamples, seed=seed))  # (R)
    low, high = percentile(differences, 1 - 2 * level)
    p = float((np.count_nonzero(differences <= 0) + 1) / (resamples + 1))
    return Resampled(float(differences.std()), low, high, p)


def _errors(
    totals: "NDArray[np.float64]", products: "NDArray[np.float64]", difference: Statistic, size: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """Standard errors (R) of `difference` at `totals` (R, Q), from the clusters' products with each other (R, Q²).

    A thread moves the difference by about its sums times the slopes; as the slopes times all sums are 0, those moves
    have mean 0, and the root of their squares' sum is the error.
    """
    width = totals.shape[1]
    steps = _STEP * np.diag(size)  # (Q, Q)
    slopes = np.stack(
        [(difference(totals + step) - difference(totals - step)) / (2 * step.sum()) for step in steps], axis=1
    )  # (R, Q)
    squares = np.einsum("rq,rqp,rp->r", slopes, products.reshape(-1, width, width), slopes)
    errors: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return errors
