"""What a candidate must show to be promoted, one check for each: gain, protected slices, calibration, cost.

Each check holds, fails or is unclear; of an unclear one, it is said on how many rows it would be settled. This file
knows nothing of rows, or of what the checks decide together.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .comparison import Comparison
from .intervals import normal_quantile
from .power import Variation, rows_needed, rows_to_tell, unselected
from .verdict import Check, Cost, Policy

LEAST_THREADS = 50  # below which a bootstrap says too little about its own width
_LEAST_GROWTH = 1.1  # times the rows: fewer new ones would settle nothing


@dataclass(frozen=True, slots=True)
class Levels:
    """How sure a test must be: its probability of error."""

    now: float
    later: Callable[[int], float]  # of a later test on so many rows in all


def gain_check(found: Comparison, policy: Policy, levels: Levels, expected: float | None) -> Check:
    """Whether the candidate is better, surely and by enough."""
    said = f"{found} (p = {found.p:.4g} at level {levels.now:.4g})"
    few = _too_few(found)
    if found.p < levels.now and not few:
        if found.difference >= policy.delta:
            return Check("gain", "holds", said)
        return Check("gain", "fails", f"{said}, which is less than the least gain of {policy.delta:g}")
    if found.high < policy.delta and not few:
        return Check("gain", "fails", f"{said}, which rules out the least gain of {policy.delta:g}")
    needed = _rows_to_settle(found, policy, levels, expected)
    if needed is not None:
        needed = max(needed, few or 0)
        told = "the gain that was seen" if expected is None else f"the expected gain of {expected:.4g}"
        said = f"{said}; by {told}, about {needed:,} rows would settle it"
    return Check("gain", "unclear", said, needed)


def _rows_to_settle(found: Comparison, policy: Policy, levels: Levels, expected: float | None) -> int | None:
    """About how many rows would show the expected gain, or, where they should have shown it, the one that was seen."""
    if expected is not None:
        needed = _rows_to_see(expected, found, policy, levels)
        if needed is None or needed > found.rows:
            return needed
    bar = max(normal_quantile(1 - levels.now) * (found.null_variance / found.rows) ** 0.5, policy.delta)
    gain = unselected(found.difference, bar, (found.variance / found.rows) ** 0.5)
    needed = _rows_to_see(gain, found, policy, levels)
    return None if needed is None else max(needed, math.ceil(_LEAST_GROWTH * found.rows))


def _rows_to_see(gain: float, found: Comparison, policy: Policy, levels: Levels) -> int | None:
    """About how many rows show a true `gain`; where it is too small to be worth a release, how many rule that out."""
    variation = Variation(found.null_variance, found.variance)
    if found.exact:  # the share of rows that flip, which is no less than the gain
        flipped = max(found.null_variance, abs(gain))
        variation = Variation(flipped, flipped - min(gain**2, flipped))
    telling = rows_to_tell(policy.delta, variation, level=levels.later)
    if gain <= policy.delta:
        return telling
    seen = rows_needed(gain, variation, level=levels.later, target=policy.power, least=policy.delta)
    return min((rows for rows in (telling, seen) if rows is not None), default=None)


def slice_check(name: str, found: Comparison, rows: int, policy: Policy, levels: Levels) -> Check:
    """Whether a protected slice is no worse than the margin allows: non-inferiority."""
    said = f"slice {name!r}: {found}"
    few = _too_few(found)
    if found.low > -policy.margin and not few:
        return Check(f"slice {name}", "holds", said)
    if found.difference <= -policy.margin:
        return Check(f"slice {name}", "fails", f"{said}, which is worse by more than {policy.margin:g}")
    true = min(found.difference, 0.0)  # as if it had not changed, or as it looks where that is worse
    variation = Variation(found.variance, found.variance)
    needed = rows_needed(true + policy.margin, variation, level=levels.later, target=policy.power)
    least = max(needed, few or 0) if needed is not None else None
    inside = None if least is None else rows + round((least - found.rows) * rows / found.rows)
    return Check(f"slice {name}", "unclear", f"{said}, which leaves open whether it is worse", inside)


def _too_few(found: Comparison) -> int | None:
    """How many rows would make enough threads for a bootstrap; None where there are enough, or it needs none."""
    if found.exact or found.threads >= LEAST_THREADS:
        return None
    return round(LEAST_THREADS * found.rows / found.threads)


def calibration_check(found: Comparison, policy: Policy) -> Check:
    """Whether confidence is no worse: it fails where that is more than chance and more than the margin."""
    name = found.measure.removeprefix("minus ")
    said = f"{name} {-found.live:.4f} -> {-found.candidate:.4f}"
    worse = found.high < 0 and -found.difference > policy.calibration_margin
    return Check(name, "fails" if worse else "holds", f"{said}, worse calibrated" if worse else said)


def cost_checks(costs: tuple[Cost | None, Cost | None], policy: Policy) -> tuple[Check, ...]:
    live, candidate = costs
    if live is None or candidate is None:
        return ()
    slow, large = candidate.seconds > policy.slower * live.seconds, candidate.bytes > policy.larger * live.bytes
    return (
        Check(
            "latency",
            "fails" if slow else "holds",
            f"{candidate.seconds * 1000:.3g} ms a row against {live.seconds * 1000:.3g}; "
            f"at most {policy.slower:g} times are allowed",
        ),
        Check(
            "memory",
            "fails" if large else "holds",
            f"{candidate.bytes / 1e6:,.0f} MB against {live.bytes / 1e6:,.0f}; "
            f"at most {policy.larger:g} times are allowed",
        ),
    )
