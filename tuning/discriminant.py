"""Linear discriminant analysis with a ridge, and the exact answer that each row would get without itself.

Where labels are many and rows vary alike about each, it is better than regression on the labels, and as quick.

Letters in shape comments: N rows, P inputs, K labels.

This file knows nothing of texts, encoders or how a ridge is chosen.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Discriminant:
    """Logits that are linear in the inputs, before any temperature."""

    weight: "NDArray[np.float64]"  # (K, P)
    bias: "NDArray[np.float64]"  # (K)
    left_out: "NDArray[np.float64]"  # (N, K) logits of each row without that row


@dataclass(frozen=True, slots=True)
class Scatter:
    """Labelled rows, turned so that they vary independently about the centre of their label."""

    axes: "NDArray[np.float64]"  # (P, P)
    eigenvalues: "NDArray[np.float64]"  # (P) of the weighted sum of squares about the centres
    rows: "NDArray[np.float64]"  # (N, P)
    centres: "NDArray[np.float64]"  # (K, P)
    labels: "NDArray[np.int64]"  # (N) index of each row's label
    weights: "NDArray[np.float64]"  # (N)
    counts: "NDArray[np.float64]"  # (K) summed weights; of a label that no row has, a little more than none

    @classmethod
    def of(
        cls, inputs: "NDArray[np.float64]", labels: "NDArray[np.int64]", known: int, weights: "NDArray[np.float64]"
    ) -> "Scatter":
        """Of `inputs` (N, P) with the indices of their `labels` (N), of which `known` are there."""
        counts = np.maximum(np.bincount(labels, weights, minlength=known), 1e-3)
        centres = np.zeros((known, inputs.shape[1]))
        np.add.at(centres, labels, inputs * weights[:, None])
        centres /= counts[:, None]
        about = (inputs - centres[labels]) * np.sqrt(weights)[:, None]
        values, axes = np.linalg.eigh(about.T @ about)
        return cls(axes, np.maximum(values, 0), inputs @ axes, centres @ axes, labels, weights, counts)

    def fit(self, ridge: float) -> Discriminant:
        """The discriminant whose scatter has `ridge` of its mean eigenvalue added in every direction.

        Friedman 1989, "Regularized Discriminant Analysis". Leaving a row out moves its label's centre and takes one
        outer product from the scatter, so its answer follows from Sherman and Morrison 1950, exactly.
        """
        scale = 1 / np.sqrt(self.eigenvalues + ridge * max(float(self.eigenvalues.mean()), 1e-9))
        rows, centres, total = self.rows * scale, self.centres * scale, float(self.weights.sum())  # whitened
        inner = centres @ centres.T  # (K, K)
        priors = np.log(self.counts)
        left_out = self._left_out_priors() - total / 2 * self._left_out_distances(rows @ centres.T, inner, rows)
        weight = total * (centres * scale) @ self.axes.T
        return Discriminant(weight, priors - total / 2 * np.diag(inner), left_out)

    def _left_out_priors(self) -> "NDArray[np.float64]":
        """(N, K) log of how often each label is right among the other rows."""
        counts = np.tile(self.counts, (len(self.rows), 1))
        counts[np.arange(len(self.rows)), self.labels] -= self.weights
        return np.log(np.maximum(counts, 1e-3))

    def _left_out_distances(
        self, products: "NDArray[np.float64]", inner: "NDArray[np.float64]", rows: "NDArray[np.float64]"
    ) -> "NDArray[np.float64]":
        """(N, K) squared distance of each row to each centre, both as they would be without that row.

        `products` (N, K) are those of whitened rows and centres, `inner` (K, K) those of centres.
        """
        places = np.arange(len(rows))
        lengths = (rows**2).sum(axis=1)  # (N)
        distances = lengths[:, None] - 2 * products + np.diag(inner)  # (N, K)
        # With d a row less its centre: how it lies to every centre, and its own length.
        crossed = lengths[:, None] - products - products[places, self.labels][:, None] + inner[self.labels]
        own = distances[places, self.labels]
        counts = self.counts[self.labels]
        share = counts / np.maximum(counts - self.weights, 1e-9 * counts)  # (N) infinite, nearly, of a label's only row
        taken = self.weights * share
        rest = np.maximum(1 - taken * own, 1e-9)
        without: NDArray[np.float64] = distances + crossed**2 * (taken / rest)[:, None]
        without[places, self.labels] = np.minimum(share**2 * own / rest, 1e12)
        return without
