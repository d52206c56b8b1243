"""Two systems on the same rows: the difference of a measure, how sure it is, and how much rows vary.

Of answers that are right or wrong, McNemar's exact test, and an interval with half a row added to each of the four
cells (Agresti and Min 2005), which holds for few rows. Of any other measure, the paired bootstrap over threads
(resampling.py). Letters in shape comments: N rows, C threads, P parts of a measure, R resamples.

This file knows nothing of what a difference is worth or of what follows from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .intervals import RESAMPLES, cluster_sums, normal_quantile
from .mcnemar import mid_p
from .outcomes import Measure, Outcome
from .resampling import plain, studentised

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pairs = Sequence[tuple[Outcome, Outcome]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate against live, in one measure, on one group of rows."""

    measure: str
    rows: int
    threads: int
    live: float
    candidate: float
    low: float  # of the difference: it is smaller only with probability `level`
    high: float  # it is larger only with probability `level`
    level: float
    p: float  # one-sided, that the candidate is no better
    null_variance: float  # of the difference, times rows, were neither better
    variance: float  # of the difference, times rows
    exact: bool = False  # whether right and wrong answers were counted; else the difference was bootstrapped

    @property
    def difference(self) -> float:
        """How much the candidate is above live; below 0: worse."""
        return self.candidate - self.live

    def __str__(self) -> str:
        return (
            f"{self.measure} {self.live:.4f} -> {self.candidate:.4f}, a change of {self.difference:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}] on {self.rows:,} rows"
        )


def compare(
    pairs: Pairs, measure: Measure, *, level: float = 0.05, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """The candidate's `measure` against live's, on (live, candidate) pairs of outcomes.

    Args:
        pairs: as `outcomes.paired` gives them, at least one.
        measure: what is compared.
        level: probability that the difference lies below the interval, and that it lies above.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        GateRefused: a row lacks what the measure needs.
    """
    live = measure.sums([one for one, _ in pairs])  # (N, P)
    candidate = measure.sums([two for _, two in pairs])
    threads = [one.thread for one, _ in pairs]
    if measure.right_or_wrong:
        return _counted(live, candidate, threads, measure.name, level)
    sums = cluster_sums(np.concatenate([live, candidate], axis=1), threads)  # (C, 2P)
    half = live.shape[1]

    def difference(of: "NDArray[np.float64]") -> "NDArray[np.float64]":
        return measure.combine(of[..., half:]) - measure.combine(of[..., :half])

    bootstrapped = studentised if measure.smooth else plain
    found = bootstrapped(sums, difference, level=level, resamples=resamples, seed=seed)
    total, count = sums.sum(axis=0), len(sums)
    variance = found.error**2 * len(pairs) * count / max(count - 1, 1)
    return Comparison(
        measure=measure.name,
        rows=len(pairs),
        threads=count,
        live=float(measure.combine(total[:half])),
        candidate=float(measure.combine(total[half:])),
        low=found.low,
        high=found.high,
        level=level,
        p=found.p,
        null_variance=variance,
        variance=variance,
    )


def _counted(
    live: "NDArray[np.float64]", candidate: "NDArray[np.float64]", threads: list[str], name: str, level: float
) -> Comparison:
    """The comparison of right with wrong answers, each (N, 2): whether it is right, and 1."""
    rows = len(live)
    sums = cluster_sums(np.stack([candidate[:, 0] - live[:, 0], np.ones(rows)], axis=1), threads)  # (C, 2)
    balances, sizes = sums[:, 0], sums[:, 1]
    centre = float(balances.sum()) / (rows + 2)
    # Half a row in each of the four cells adds 1 to the squares and 2 to the rows.
    null_variance = float((balances**2).sum() + 1) / (rows + 2)
    variance = float(((balances - centre * sizes) ** 2).sum() + 1) / (rows + 2)
    reach = normal_quantile(1 - level) * (variance / (rows + 2)) ** 0.5
    return Comparison(
        measure=name,
        rows=rows,
        threads=len(sums),
        live=float(live[:, 0].mean()),
        candidate=float(candidate[:, 0].mean()),
        low=max(centre - reach, -1.0),
        high=min(centre + reach, 1.0),
        level=level,
        p=mid_p(int(balance) for balance in balances),
        null_variance=null_variance,
        variance=variance,
        exact=True,
    )
