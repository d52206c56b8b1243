"""What a head's answer to each row costs: by this, checkpoints and rungs are chosen.

The gate counts wrong answers, so they are what counts here too; the log loss, whose share is small, tells apart heads
that err equally often, and there are only so many rows to validate on.

Letters in shape comments: N rows, K labels (1 of a regression). This file knows nothing of models.
"""

from typing import TYPE_CHECKING

import numpy as np

from .calibration import log_losses
from .head_targets import HeadTargets

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARE = 0.1  # of the log loss in nats, beside 1 for a wrong answer


def row_costs(found: "NDArray[np.float64]", told: HeadTargets) -> "NDArray[np.float64]":
    """(N) of probabilities (N, K): 1 where the answer is wrong, and a tenth of the log loss; of numbers (N, 1) the
    squared error. 0 where a row says nothing.
    """
    if told.head.kind == "regression":
        squares: NDArray[np.float64] = (found[:, 0] - told.values[:, 0]) ** 2
        return np.where(told.weights > 0, squares, 0.0)
    wrong = np.where(told.weights > 0, ~right_answers(found, told), False)
    costs: NDArray[np.float64] = wrong + SHARE * log_losses(found, told)
    return costs


def right_answers(found: "NDArray[np.float64]", told: HeadTargets) -> "NDArray[np.bool_]":
    """(N) whether the likeliest label is right, or all of several are."""
    if told.exclusive:
        best: NDArray[np.bool_] = told.values[np.arange(len(found)), found.argmax(axis=1)] > 0
        return best
    every: NDArray[np.bool_] = ((found >= 0.5) == (told.values > 0)).all(axis=1)
    return every
