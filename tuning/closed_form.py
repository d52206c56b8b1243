"""The first rung: heads in closed form over embeddings, with the ridge that is best for rows left out one at a time.

One eigendecomposition serves every strength of the ridge and gives the exact answer that each row would get from a
head fitted to all the others (Allen 1974, "The Relationship Between Variable Selection and Data Augmentation"; Rifkin
and Lippert 2007, "Notes on Regularized Least Squares"). Those answers also say how sure the head may be, without
spending a row on it.

Letters in shape comments: N rows, P inputs, R of them that vary independently, K labels (1 of a regression).

This file knows nothing of texts or encoders.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..agents.heads import LinearHead, sigmoid, softmax
from .calibration import fit_temperature, log_losses
from .discriminant import Scatter
from .errors import TrainingFailed
from .head_targets import HeadTargets, check_varied

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIDGES = tuple(10.0**power for power in range(-6, 3))  # shares of the inputs' mean eigenvalue
SMALLEST_EIGENVALUE = 1e-9  # of the largest: below it, an input is a sum of others
NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """A head, and how well it does on rows that it was not fitted to."""

    head: LinearHead
    ridge: float  # the share of the mean eigenvalue that was best
    left_out: "NDArray[np.float64]"  # (N, K) what each row gets from the others: logits / temperature, or the number
    loss: float  # weighted mean log loss (nats) or squared error of `left_out`


def fit_closed_form(inputs: "NDArray[np.float64]", targets: HeadTargets) -> ClosedForm:
    """Ridge regression of `targets` on `inputs` (N, P), made into logits; of classes also discriminant analysis.

    Classes: on 1 for the right label and 0 for the others, then one temperature. A rejected label gets 0, the others
    shares by how often they are right. Where no row is a rejection, the discriminant is tried too, and the better one
    is taken. Several labels: each by itself, then a logistic curve for each (Platt 1999).
    Rows that say nothing to the head, or only what does not hold of several labels, are left out.

    Raises:
        DatasetError: no row says anything, or all say the same.
        TrainingFailed: inputs are not finite.
    """
    check_varied(targets)
    if not np.isfinite(inputs).all():
        raise TrainingFailed("some inputs of a head are not finite numbers; look for NaN among the embeddings")
    rows = targets.weights > 0 if targets.exclusive else targets.decided
    told = targets.take(rows)
    spectrum = _Spectrum.of(inputs[rows], told.weights.astype(np.float64))
    wanted = _wanted(told)  # (N, K)
    fits = [_scored(spectrum.fit(ridge, wanted), told) for ridge in RIDGES]
    if targets.exclusive and told.decided.all():
        fits += _discriminants(inputs[rows], told)
    return min(fits, key=lambda fit: fit.loss)


@dataclass(frozen=True, slots=True)
class _Fit:
    """A linear fit with one strength of the ridge, before it gives probabilities."""

    ridge: float
    weight: "NDArray[np.float64]"  # (K, P)
    bias: "NDArray[np.float64]"  # (K)
    left_out: "NDArray[np.float64]"  # (N, K)


@dataclass(frozen=True, slots=True)
class _Spectrum:
    """Inputs whose weighted mean is taken away, turned so that they vary independently."""

    mean: "NDArray[np.float64]"  # (P)
    axes: "NDArray[np.float64]"  # (P, R)
    eigenvalues: "NDArray[np.float64]"  # (R)
    rows: "NDArray[np.float64]"  # (N, R) times the root of each row's weight
    roots: "NDArray[np.float64]"  # (N) roots of the weights

    @classmethod
    def of(cls, inputs: "NDArray[np.float64]", weights: "NDArray[np.float64]") -> "_Spectrum":
        mean = weights @ inputs / weights.sum()
        roots = np.sqrt(weights)
        centred = (inputs - mean) * roots[:, None]  # (N, P)
        wide = centred.shape[1] > len(centred)
        values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
        kept = values > max(values[-1], 1e-300) * SMALLEST_EIGENVALUE
        values, vectors = values[kept], vectors[:, kept]
        axes = centred.T @ vectors / np.sqrt(values) if wide else vectors  # (P, R)
        return cls(mean, axes, values, centred @ axes, roots)

    def fit(self, ridge: float, wanted: "NDArray[np.float64]") -> _Fit:
        """The head for `wanted` (N, K), and what it would say to each row without that row."""
        weights = self.roots**2
        centre = weights @ wanted / weights.sum()  # (K)
        targets = (wanted - centre) * self.roots[:, None]
        strength = ridge * self.eigenvalues.mean() if len(self.eigenvalues) else 1.0
        shrunk = 1 / (self.eigenvalues + strength)  # (R)
        coefficients = shrunk[:, None] * (self.rows.T @ targets)  # (R, K)
        fitted = self.rows @ coefficients  # (N, K)
        leverage = self.rows**2 @ shrunk + weights / weights.sum()  # (N) of each row on its own answer
        own = np.minimum(leverage, 1 - 1e-9)[:, None]
        residual = (targets - fitted) / (1 - own)  # (N, K) of answers without the row
        weight = coefficients.T @ self.axes.T
        return _Fit(ridge, weight, centre - weight @ self.mean, wanted - residual / self.roots[:, None])


def _discriminants(inputs: "NDArray[np.float64]", targets: HeadTargets) -> list[ClosedForm]:
    labels = targets.values.argmax(axis=1)
    scatter = Scatter.of(inputs, labels, targets.values.shape[1], targets.weights.astype(np.float64))
    fits = ((ridge, scatter.fit(ridge)) for ridge in RIDGES)
    return [_scored(_Fit(ridge, fit.weight, fit.bias, fit.left_out), targets) for ridge, fit in fits]


def _wanted(targets: HeadTargets) -> "NDArray[np.float64]":
    """(N, K) what to regress on."""
    values = targets.values.astype(np.float64)
    if not targets.exclusive:
        return values
    often = targets.weights @ (values * targets.decided[:, None]) + 1  # (K) of labels, each at least once
    shares = values * often
    wanted: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return wanted


def _scored(fit: _Fit, targets: HeadTargets) -> ClosedForm:
    """The fit as a head that gives probabilities."""
    if targets.head.kind == "regression":
        head = _head(fit.weight, fit.bias, targets)
        losses = (fit.left_out[:, 0] - targets.values[:, 0]) ** 2
        return ClosedForm(head, fit.ridge, fit.left_out, float(np.average(losses, weights=targets.weights)))
    if targets.exclusive:
        slope = np.full(len(fit.bias), 1 / fit_temperature(fit.left_out, targets))
        offset = np.zeros(len(fit.bias))
    else:
        slope, offset = _logistic_curves(fit.left_out, targets)
    logits = fit.left_out * slope + offset
    head = _head(fit.weight * slope[:, None], fit.bias * slope + offset, targets)
    probabilities = softmax(logits) if targets.exclusive else sigmoid(logits)
    loss = float(np.average(log_losses(probabilities, targets), weights=targets.weights))
    return ClosedForm(head, fit.ridge, logits, loss)


def _head(weight: "NDArray[np.float64]", bias: "NDArray[np.float64]", targets: HeadTargets) -> LinearHead:
    return LinearHead(targets.head.kind, weight.astype(np.float32), bias.astype(np.float32))


def _logistic_curves(
    scores: "NDArray[np.float64]", targets: HeadTargets
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """For each label the slope and the offset (both (K)) that make scores (N, K) logits.

    Newton's method, with Platt's targets: a label that always holds is not taken to hold for certain.
    """
    curves = [
        _logistic_curve(scores[:, label], targets.values[:, label], targets.weights) for label in range(scores.shape[1])
    ]
    return np.array([curve[0] for curve in curves]), np.array([curve[1] for curve in curves])


def _logistic_curve(
    scores: "NDArray[np.float64]", holds: "NDArray[np.float32]", weights: "NDArray[np.float32]"
) -> tuple[float, float]:
    yes, no = float(weights @ holds), float(weights @ (1 - holds))
    wanted = np.where(holds > 0, (yes + 1) / (yes + 2), 1 / (no + 2))
    design = np.stack([scores - scores.mean(), np.ones(len(scores))], axis=1)  # (N, 2)
    line = np.array([0.0, np.log((yes + 1) / (no + 1))])
    for _ in range(NEWTON_STEPS):
        chances = sigmoid(design @ line)
        gradient = design.T @ (weights * (chances - wanted)) + 1e-6 * line
        curvature = (design * (weights * chances * (1 - chances))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        line = line - step / max(1.0, float(np.abs(step).max()) / 10)  # logits are not moved by more at once
        if np.abs(step).max() < 1e-10:
            break
    return float(line[0]), float(line[1] - line[0] * scores.mean())
