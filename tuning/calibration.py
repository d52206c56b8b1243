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
STEPS = 100  # of Newton's method at the most; some five are usual
CLOSE = 1e-10  # a relative step below which the minimum is reached


def fit_temperature(logits: "NDArray[np.float64]", targets: HeadTargets) -> float:
    """The temperature by which to divide `logits` (N, K) so that the log loss of `targets` is least.

    Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 4.2. The loss is convex in
    1 / temperature, so that Newton's method within a shrinking interval finds the minimum exactly. It is 1 of a
    regression, or where no row says anything.
    """
    rows = targets.weights > 0
    if targets.head.kind == "regression" or not rows.any():
        return 1.0
    scores, told = np.asarray(logits[rows], np.float64), targets.take(rows)
    low, high = 1 / FLATTEST, 1 / SHARPEST
    sharpness = 1.0
    for _ in range(STEPS):
        slope, curvature = _slope(scores, told, sharpness)
        low, high = (sharpness, high) if slope < 0 else (low, sharpness)
        aim = sharpness - slope / curvature if curvature > 0 else low
        moved = aim if low < aim < high else (low * high) ** 0.5
        if abs(moved - sharpness) <= CLOSE * sharpness:
            break
        sharpness = moved
    return 1 / sharpness


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


def _slope(scores: "NDArray[np.float64]", targets: HeadTargets, sharpness: float) -> tuple[float, float]:
    """First and second derivative of the weighted log loss by 1 / temperature, here `sharpness`."""
    scaled = scores * sharpness
    if not targets.exclusive:
        chances = sigmoid(scaled)
        firsts = ((chances - targets.values) * scores * targets.known).sum(axis=1)
        seconds = (chances * (1 - chances) * scores**2 * targets.known).sum(axis=1)
        return float(firsts @ targets.weights), float(seconds @ targets.weights)
    mean, variance = _moments(scores, softmax(scaled))
    known = targets.values.sum(axis=1) == 1
    wanted, spread = np.where(known, (scores * targets.values).sum(axis=1), 0.0), np.zeros(len(scores))
    if not known.all():
        masked = np.where(targets.values[~known] > 0, scaled[~known], -np.inf)
        wanted[~known], spread[~known] = _moments(scores[~known], softmax(masked))
    return float((mean - wanted) @ targets.weights), float((variance - spread) @ targets.weights)


def _moments(
    scores: "NDArray[np.float64]", shares: "NDArray[np.float64]"
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Mean and variance of each row of scores under shares, both (N, K) to (N)."""
    mean = (shares * scores).sum(axis=1)
    return mean, (shares * (scores - mean[:, None]) ** 2).sum(axis=1)
