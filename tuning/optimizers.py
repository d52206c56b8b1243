"""How weights are moved: groups of parameters with their own rates, the optimizer over them, and the schedule of rates.

This file knows nothing of models or of what a gradient was computed from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .recipes import Recipe


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that are moved alike."""

    name: str  # for a person: "layer 5", "head"
    parameters: tuple[nn.Parameter, ...]
    rate: float  # learning rate at its peak
    weight_decay: float


def make_optimizer(groups: Sequence[ParameterGroup], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) or SGD with momentum, one group for each of `groups`."""
    settings = [
        {"params": list(group.parameters), "lr": group.rate, "weight_decay": group.weight_decay} for group in groups
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(settings, lr=recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(settings, lr=recipe.learning_rate)


def schedule_share(recipe: Recipe, step: int, total: int) -> float:
    """The share of its peak that every rate has at `step` of `total`, counted from 0: above 0, at most 1.

    It rises in equal steps over the warm-up, reaches 1 at its last step, and then stays, falls in a line or as half a
    cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983).
    """
    warm = min(math.ceil(recipe.warmup * total), total - 1)
    if step < warm:
        return (step + 1) / (warm + 1)
    done = (step - warm) / (total - warm)  # in [0, 1)
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "linear":
        return 1 - done
    return 0.5 * (1 + math.cos(math.pi * done))
