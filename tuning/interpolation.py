"""Weights between where a training began and where it ended (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).

Part of the way often finds more than all of it, on what training did not show above all. This file knows nothing of
what the weights are for.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the way from the start to the end


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all weights of `model`, by name."""
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def can_interpolate(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> bool:
    """Whether both are weights of one form; bottleneck adapters, for one, have none at the start."""
    return start.keys() == end.keys() and all(start[name].shape == weight.shape for name, weight in end.items())


def put_between(model: nn.Module, start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> None:
    """Gives `model` the weights at `share` (0 to 1) of the way, in place."""
    with torch.no_grad():
        for name, weight in model.state_dict().items():
            if weight.is_floating_point():
                weight.copy_(torch.lerp(start[name].to(weight), end[name].to(weight), share))
