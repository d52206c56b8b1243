"""The first rung of a classifier: every head in closed form, or by logistic regression where that is better.

Letters in shape comments: N rows, D width of an embedding, F numeric features.

This file knows nothing of texts, encoders or how heads are trained by steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..agents.heads import LinearHead, LinearHeads, linear_inputs
from .calibration import fit_temperature
from .closed_form import fit_closed_form
from .head_targets import HeadTargets
from .logistic import CPU, fit_logistic, logits_of
from .rows import ClassifierRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..agents.inference import FloatArray


@dataclass(frozen=True, slots=True)
class FeatureScale:
    """How numeric features are standardised: as they lie among the rows to train on, NaN left out."""

    mean: "FloatArray"  # (F)
    deviation: "FloatArray"  # (F) 0 of a feature that never varies, or is never there

    @classmethod
    def of(cls, rows: Sequence[ClassifierRow]) -> "FeatureScale":
        values = feature_array(rows)
        there = np.isfinite(values)
        counts = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, values, 0).sum(axis=0) / counts
        variance = np.where(there, (values - mean) ** 2, 0).sum(axis=0) / counts
        return cls(mean.astype(np.float32), np.sqrt(variance).astype(np.float32))

    def inputs(self, embeddings: "FloatArray", rows: Sequence[ClassifierRow]) -> "NDArray[np.float64]":
        """(N, D + F) what a linear head sees."""
        if not rows:
            return np.zeros((0, embeddings.shape[1] + len(self.mean)))
        return linear_inputs(embeddings, feature_array(rows), self.mean, self.deviation)


def feature_array(rows: Sequence[ClassifierRow]) -> "NDArray[np.float64]":
    """(N, F) the rows' numbers as they are."""
    return np.array([row.features for row in rows], np.float64).reshape(len(rows), -1)


def fit_heads(
    inputs: "NDArray[np.float64]",
    targets: Sequence[HeadTargets],
    held_out: "NDArray[np.float64]",
    held_out_targets: Sequence[HeadTargets],
    scale: FeatureScale,
    device: torch.device = CPU,
) -> LinearHeads:
    """The best convex head for each of `targets`: `inputs` (N, D + F) to train on, `held_out` of validation rows.

    A head that validation rows say nothing about stays in closed form.

    Raises:
        DatasetError: a head has nothing to learn.
        TrainingFailed: inputs are not finite.
    """
    fitted: list[LinearHead] = []
    for told, right in zip(targets, held_out_targets, strict=True):
        head = fit_closed_form(inputs, told).head
        if told.head.kind != "regression" and right.weights.any():
            head = fit_logistic(inputs, told, head, held_out, right, device=device)[0]
        fitted.append(head)
    return LinearHeads(tuple(fitted), scale.mean, scale.deviation)


def calibrated(heads: LinearHeads, inputs: "NDArray[np.float64]", targets: Sequence[HeadTargets]) -> LinearHeads:
    """The same heads, each at the temperature that is best for calibration rows (N, D + F)."""
    cooled = []
    for head, told in zip(heads.heads, targets, strict=True):
        plain = replace(head, temperature=1.0)
        cooled.append(replace(head, temperature=fit_temperature(logits_of(plain, inputs), told)))
    return LinearHeads(tuple(cooled), heads.mean, heads.deviation)
