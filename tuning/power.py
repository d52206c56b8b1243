"""How likely a gain is to be seen on so many rows, and how many rows it takes to see it.

Normal approximations; of paired answers, Connor 1987, "Sample size for testing differences in proportions for the
paired-sample design". This file knows nothing of what is compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from .intervals import normal_quantile

MOST_ROWS = 10**9  # beyond which no number is looked for


@dataclass(frozen=True, slots=True)
class Variation:
    """How much a difference varies, as variances times rows: on n rows its variance is `actual / n`."""

    null: float  # as the test assumes it, were there no gain
    actual: float


def power(rows: float, gain: float, variation: Variation, *, level: float, least: float = 0.0) -> float:
    """The probability that a true `gain` is found significant at `level`, one-sided, and not below `least`, on `rows`.

    Args:
        rows: how many there are.
        gain: the true one, in units of the measure.
        variation: of the difference.
        level: of the test, 0 to 1.
        least: below which a difference counts for nothing, however sure it is.
    """
    bar = max(normal_quantile(1 - level) * (variation.null / rows) ** 0.5, least)
    spread = (variation.actual / rows) ** 0.5
    return float(gain > bar) if spread == 0 else NormalDist().cdf((gain - bar) / spread)


def rows_needed(
    gain: float, variation: Variation, *, level: Callable[[int], float], target: float, least: float = 0.0
) -> int | None:
    """The fewest rows on which `power` reaches `target`; None where a thousand million do not.

    `level` gives the level of a test on so many rows, which does not fall with them.
    """

    def enough(rows: int) -> bool:
        return power(rows, gain, variation, level=level(rows), least=least) >= target

    return _fewest(enough)


def rows_to_tell(gain: float, variation: Variation, *, level: Callable[[int], float]) -> int | None:
    """The fewest rows on which an interval that errs at either end with probability `level` is narrower than `gain`.

    On so many, either none or all of `gain` is ruled out, so that a comparison ends one way or the other.
    """

    def enough(rows: int) -> bool:
        reach: float = normal_quantile(1 - level(rows)) * (variation.null / rows) ** 0.5
        return 2 * reach <= gain

    return _fewest(enough)


def unselected(found: float, bar: float, spread: float) -> float:
    """What a true gain probably is where `found` was seen and stayed below the `bar` that it had to pass.

    Of comparisons that do not pass, those with luck are missing, so the gain that was found is too low. This one is as
    often too high as too low: the median-unbiased estimate of a normal mean that is cut off above (Pfanzagl 1970).

    Args:
        found: the difference that was seen.
        bar: below which it stayed.
        spread: its standard error.
    """
    if spread == 0:
        return found
    normal, low, high = NormalDist(), found - spread, found + 8 * spread
    for _ in range(60):
        gain = (low + high) / 2
        too_low = normal.cdf((found - gain) / spread) > normal.cdf((max(bar, found) - gain) / spread) / 2
        low, high = (gain, high) if too_low else (low, gain)
    return (low + high) / 2


def _fewest(enough: Callable[[int], bool]) -> int | None:
    high = 1
    while not enough(high):
        high *= 2
        if high > MOST_ROWS:
            return None
    low = high // 2  # not enough, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
