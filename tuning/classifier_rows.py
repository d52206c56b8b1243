"""Rows of a classifier as arrays for training: tokens or cached states, standardised features, targets of each head.

Letters in shape comments: N rows, B of a batch, T padded tokens of each, D width of an embedding, F features, K labels.

This file knows nothing of networks, recipes or losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..agents.releases import StoredHead
from .batches import padded
from .head_fitting import FeatureScale
from .head_targets import HeadTargets, head_targets
from .rows import ClassifierRow
from .text_classifier import TextBatch
from .trunk import Listen, Trunk, unheard


@dataclass(frozen=True, slots=True)
class TargetTensors:
    """`HeadTargets` on a device, numbers in units of the head's scale."""

    values: Tensor  # (N, K)
    known: Tensor  # (N, K)
    weights: Tensor  # (N)
    exclusive: bool
    regression: bool

    @classmethod
    def of(cls, targets: HeadTargets, scale: tuple[float, float]) -> "TargetTensors":
        regression = targets.head.kind == "regression"
        values = (targets.values - scale[0]) / scale[1] if regression else targets.values
        return cls(
            torch.from_numpy(values.astype(np.float32)),
            torch.from_numpy(targets.known),
            torch.from_numpy(targets.weights),
            targets.exclusive,
            regression,
        )


@dataclass(frozen=True, slots=True)
class ClassifierRows:
    """Rows as a training takes them, by number."""

    tokens: Sequence[Tensor]  # of each row (T) int64, or (T, D) states
    features: Tensor  # (N, F)
    told: tuple[HeadTargets, ...]
    targets: tuple[TargetTensors, ...]

    @property
    def lengths(self) -> list[int]:
        """Of each row, in tokens."""
        return [len(row) for row in self.tokens]

    def batch(self, numbers: Sequence[int]) -> TextBatch:
        """Some rows, padded to the longest of them."""
        chosen = [self.tokens[number] for number in numbers]
        if chosen[0].ndim == 1:
            ids, mask = padded([row.tolist() for row in chosen], 0)
            return TextBatch(ids, mask, self.features[list(numbers)])
        states = torch.nn.utils.rnn.pad_sequence([row.float() for row in chosen], batch_first=True)  # (B, T, D)
        lengths = torch.tensor([len(row) for row in chosen])
        mask = (torch.arange(states.shape[1]) < lengths[:, None]).long()
        return TextBatch(states, mask, self.features[list(numbers)])


def number_scales(targets: Sequence[HeadTargets]) -> tuple[tuple[float, float], ...]:
    """Mean and standard deviation of each regression's numbers to train on; (0, 1) of labels."""
    scales = []
    for told in targets:
        numbers = told.values[told.weights > 0]
        regression = told.head.kind == "regression" and len(numbers) > 0
        scales.append((float(numbers.mean()), max(float(numbers.std()), 1e-6)) if regression else (0.0, 1.0))
    return tuple(scales)


def classifier_rows(
    rows: Sequence[ClassifierRow],
    heads: Sequence[StoredHead],
    trunk: Trunk,
    scale: FeatureScale,
    number_scale: Sequence[tuple[float, float]],
    upper: int = 0,
    listen: Listen = unheard,
) -> ClassifierRows:
    """`rows` with their tokens, or with the states below the uppermost `upper` layers of `trunk`.

    Raises:
        DatasetError: a row has a target that its head cannot give.
    """
    texts = [row.text for row in rows]
    tokens = trunk.states(texts, upper, listen) if upper else [torch.tensor(ids) for ids in trunk.tokenize(texts)]
    told = head_targets(rows, heads)
    nothing = np.zeros((len(rows), 0), np.float32)
    features = scale.inputs(nothing, rows).astype(np.float32)
    targets = tuple(TargetTensors.of(one, its) for one, its in zip(told, number_scale, strict=True))
    return ClassifierRows(tokens, torch.from_numpy(features), told, targets)
