"""McNemar's exact test of who is right more often on the same rows, also where rows come in threads.

If neither system were better, each thread's balance (rows that only the first has right, less rows that only the second
has right) would be as likely with the other sign. The test counts how often random signs give so large a total. With
one row to a thread, that is McNemar's exact test. The mid-p keeps it from being too cautious: Fagerland, Lydersen and
Laake 2013, "The McNemar test for binary matched-pairs data".

This file knows nothing of roles or of what follows from a p-value.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mid_p(balances: Iterable[int]) -> float:
    """The one-sided mid-p value of the total of `balances`, one for each thread: small where it is far above 0.

    It is the probability of a larger total under random signs, and half that of the same; 0.5 where all are 0.
    """
    drawn = list(balances)
    counts = Counter(abs(balance) for balance in drawn if balance)
    total, largest = sum(drawn), sum(size * count for size, count in counts.items())
    shares = np.ones(1)  # of the totals -reach, -reach + 1, …, reach
    for size, count in counts.items():
        shares = np.convolve(shares, _signed(size, count))
    at = total + largest
    return float(shares[at + 1 :].sum() + shares[at] / 2)


def _signed(size: int, count: int) -> "NDArray[np.float64]":
    """The distribution of a total of `count` numbers that are `size` or `-size`, over every total that could be."""
    scale = math.lgamma(count + 1) - count * math.log(2)
    logs = [scale - math.lgamma(ups + 1) - math.lgamma(count - ups + 1) for ups in range(count + 1)]
    shares = np.zeros(2 * size * count + 1)
    shares[:: 2 * size] = np.exp(logs)
    return shares
