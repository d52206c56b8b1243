"""Probabilities that mean what they say: temperature scaling, and how far confidence is from accuracy.

Letters in shape comments: N rows, K labels.

This file knows nothing of how logits came about.
"""

from typing import TYPE_CHECKING

import numpy as np

from ..agents.heads import sigmoid, softmax
from .head_targets import HeadTargets

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15  # of equal width, as Guo et al. have them
SHARPEST, FLATTEST = 1e-3, 1e3  # temperatures between which the best is sought
HALVINGS = 60  # of an interval of temperatures: to the last bit of a float32


def fit_temperature(logits: "NDArray[np.float64]", targets: HeadTargets) -> float:
    """The temperature by which to divide `logits` (N, K) so that the log loss of `targets` is least.

    Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 4.2. The loss is convex in
    1 / temperature, so that halving the interval by the sign of its derivative finds the minimum exactly. It is 1 of
    a regression, or where no row says anything.
    """
    rows = targets.weights > 0
    if targets.head.kind == "regression" or not rows.any():
        return 1.0
    scores, told = np.asarray(logits[rows], np.float64), targets.take(rows)
    low, high = np.log(1 / FLATTEST), np.log(1 / SHARPEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _slope(scores, told, float(np.exp(middle))) < 0:
            low = middle
        else:
            high = middle
    return float(np.exp(-(low + high) / 2))


def log_losses(probabilities: "NDArray[np.float64]", targets: HeadTargets) -> "NDArray[np.float64]":
    """(N) -log of the probability (N, K) that each row's answer gets, in nats; of several labels, their mean.

    Of a rejection that is the probability of all labels but the rejected. Rows that say nothing get 0.
    """
    tiny = np.finfo(np.float64).tiny
    if targets.exclusive:
        allowed = (probabilities * targets.values).sum(axis=1)
        losses = -np.log(np.maximum(allowed, tiny))
    else:
        right = np.where(targets.values > 0, probabilities, 1 - probabilities)
        cells = -np.log(np.maximum(right, tiny)) * targets.known
        losses = cells.sum(axis=1) / np.maximum(targets.known.sum(axis=1), 1)
    told: NDArray[np.float64] = np.where(targets.weights > 0, losses, 0.0)
    return told


def expected_calibration_error(
    confidences: "NDArray[np.float64]", correct: "NDArray[np.bool_]", bins: int = BINS
) -> float:
    """Mean gap between confidence and accuracy, 0 to 1, over `bins` of equal width; both arrays are (N).

    Guo et al. 2017, equation 3.
    """
    if not len(confidences):
        return 0.0
    places = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)  # (N), bins are open below
    gaps = np.bincount(places, confidences - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))


def brier_score(probabilities: "NDArray[np.float64]", targets: HeadTargets) -> float:
    """Mean squared distance between probabilities (N, K) and what was right, over rows whose answer is known.

    Brier 1950: of classes 0 to 2, summed over labels; of several labels the mean over them, 0 to 1.
    """
    rows = targets.decided
    if not rows.any():
        return 0.0
    squares = (probabilities[rows] - targets.values[rows]) ** 2  # (N, K)
    return float((squares.sum(axis=1) if targets.exclusive else squares.mean(axis=1)).mean())


def _slope(scores: "NDArray[np.float64]", targets: HeadTargets, sharpness: float) -> float:
    """Derivative of the weighted log loss by 1 / temperature, here `sharpness`."""
    scaled = scores * sharpness
    if not targets.exclusive:
        cells = (sigmoid(scaled) - targets.values) * scores * targets.known
        return float((cells.sum(axis=1) * targets.weights).sum())
    found = (softmax(scaled) * scores).sum(axis=1)
    masked = np.where(targets.values > 0, scaled, -np.inf)
    wanted = (softmax(masked) * scores).sum(axis=1)
    return float(((found - wanted) * targets.weights).sum())
