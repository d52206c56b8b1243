"""Which texts belong to none of the labels: how far a text is from what was trained on, and how far is too far.

Letters in shape comments: N rows, D width of an embedding, K labels.

This file knows nothing of texts, encoders or heads.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..agents.inference import FloatArray

SHRINKAGE = 0.1  # share of the covariance that is replaced by its mean variance in every direction


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """Centres of labels, and the directions in which rows vary about them."""

    centres: "NDArray[np.float64]"  # (K, D) whitened
    whitening: "NDArray[np.float64]"  # (D, D)

    def distances(self, embeddings: "FloatArray") -> "NDArray[np.float64]":
        """(N) squared distance of `embeddings` (N, D) to the nearest centre."""
        white = embeddings.astype(np.float64) @ self.whitening  # (N, D)
        lengths = (white**2).sum(axis=1)[:, None] + (self.centres**2).sum(axis=1)  # (N, K)
        nearest: NDArray[np.float64] = (lengths - 2 * white @ self.centres.T).min(axis=1)
        return np.maximum(nearest, 0.0)


def fit_mahalanobis(embeddings: "FloatArray", labels: "NDArray[np.int64]") -> Mahalanobis:
    """Centres of `labels` (N) among `embeddings` (N, D), with one covariance (Lee et al. 2018, arXiv:1807.03888).

    The covariance is shrunk towards a sphere, so that fewer rows than dimensions are enough.

    Raises:
        ValueError: there are no rows.
    """
    if not len(embeddings):
        raise ValueError("there are no rows to measure distances from; expected at least one")
    rows = embeddings.astype(np.float64)
    known, places = np.unique(labels, return_inverse=True)
    counts = np.bincount(places)
    centres = np.zeros((len(known), rows.shape[1]))
    np.add.at(centres, places, rows)
    centres /= counts[:, None]
    about = rows - centres[places]
    covariance = about.T @ about / len(rows)
    variance = max(float(np.trace(covariance)) / len(covariance), 1e-9)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * variance * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(shrunk)
    whitening = vectors / np.sqrt(values)
    return Mahalanobis(centres @ whitening, whitening)


def energies(logits: "NDArray[np.float64]", temperature: float = 1.0) -> "NDArray[np.float64]":
    """(N) free energy of `logits` (N, K), higher where a text is stranger (Liu et al. 2020, arXiv:2010.03759)."""
    scaled = logits / temperature
    top = scaled.max(axis=1)
    free: NDArray[np.float64] = -temperature * (top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)))
    return free


def scope_threshold(scores: "NDArray[np.float64]", kept: float = 0.95) -> float:
    """The score at or below which at least a share `kept` of validation rows (N), all in scope, stay.

    Raises:
        ValueError: there are no rows, or `kept` is no share above 0.
    """
    if not len(scores) or not 0 < kept <= 1:
        raise ValueError(f"cannot keep a share of {kept} of {len(scores)} rows; expected rows, and a share up to 1")
    place = int(np.ceil(kept * len(scores) - 1e-9)) - 1
    return float(np.sort(scores)[place])


def auroc(inside: "NDArray[np.float64]", outside: "NDArray[np.float64]") -> float:
    """The chance that a row outside scores higher than one inside, ties counting half: the area under the ROC curve.

    Hanley and McNeil 1982.

    Raises:
        ValueError: one of the two has no rows.
    """
    if not len(inside) or not len(outside):
        raise ValueError(f"{len(inside)} rows inside and {len(outside)} outside cannot be told apart; expected both")
    ordered = np.sort(inside)
    below = np.searchsorted(ordered, outside, side="left")
    up_to = np.searchsorted(ordered, outside, side="right")
    return float((below + up_to).sum() / (2 * len(inside) * len(outside)))
