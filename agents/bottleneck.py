"""Bottleneck adapters (Houlsby et al., 2019, arXiv:1902.00751): small networks after projections of a frozen model.

    FOLDER/bottleneck.safetensors     down and up of each adapted projection, named by its place in the model

They are no part of a checkpoint that transformers knows, so whoever loads a folder that has this file applies them.

Letters in shape comments: H what goes in, O what the projection gives, R width of the bottleneck.

This file knows nothing of how adapters are trained, nor of which projections should have one.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as functional
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .errors import CheckpointRefused

NAME = "bottleneck.safetensors"
PARTS = ("down.weight", "down.bias", "up.weight", "up.bias")


class AdaptedLinear(nn.Linear):
    """A projection whose result y becomes y + up(gelu(down(y))); at first up is 0, so that nothing changes.

    Its own weight and bias keep the names that they had in the projection which it takes the place of.
    """

    def __init__(self, projection: nn.Linear, rank: int) -> None:
        super().__init__(projection.in_features, projection.out_features, device="meta")
        self.weight = projection.weight  # (O, H)
        self.bias = projection.bias
        device, dtype, width = projection.weight.device, projection.weight.dtype, projection.out_features
        self.down = nn.Linear(width, rank, device=device, dtype=dtype)  # (R, O)
        self.up = nn.Linear(rank, width, device=device, dtype=dtype)  # (O, R)
        nn.init.normal_(self.down.weight, std=width**-0.5)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- as in nn.Linear
        """(..., H) to (..., O)."""
        projected = super().forward(input)
        added: Tensor = self.up(functional.gelu(self.down(projected)))
        return projected + added


def adapt(model: nn.Module, place: str, rank: int) -> AdaptedLinear:
    """Puts an adapter of `rank` after the projection that is at `place` in `model`.

    Raises:
        AttributeError: there is nothing at that place.
        TypeError: there is something else than a projection.
    """
    projection = model.get_submodule(place)
    if type(projection) is not nn.Linear:
        raise TypeError(f"{place} is a {type(projection).__name__}, expected a Linear")
    adapted = AdaptedLinear(projection, rank)
    above, _, name = place.rpartition(".")
    setattr(model.get_submodule(above), name, adapted)
    return adapted


def has_adapters(model: nn.Module) -> bool:
    """Whether any projection of `model` has one."""
    return any(isinstance(module, AdaptedLinear) for module in model.modules())


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """What belongs into bottleneck.safetensors: weights of adapters by their place in `model`."""
    return {
        f"{place}.{part}": module.get_parameter(part).detach()
        for place, module in model.named_modules()
        if isinstance(module, AdaptedLinear)
        for part in PARTS
    }


def apply_adapters(model: nn.Module, folder: Path) -> None:
    """Gives `model`, the checkpoint in `folder`, the adapters that lie beside it; does nothing where there are none.

    Raises:
        CheckpointRefused: the file is damaged, or its adapters do not fit the model.
    """
    path = folder / NAME
    if not path.is_file():
        return
    try:
        tensors = load_file(path)
        places = sorted({key.removesuffix(f".{part}") for key in tensors for part in PARTS if key.endswith(f".{part}")})
        for place in places:
            _load(adapt(model, place, len(tensors[f"{place}.down.weight"])), place, tensors)
    except (SafetensorError, AttributeError, TypeError, KeyError, RuntimeError) as error:
        raise CheckpointRefused(
            folder,
            f"{NAME} does not fit the model beside it: {error}; tune the role again, or go back to the release before",
        ) from error
    model.eval()


def _load(adapted: AdaptedLinear, place: str, tensors: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for part in PARTS:
            parameter = adapted.get_parameter(part)
            found = tensors[f"{place}.{part}"]
            if found.shape != parameter.shape:
                raise TypeError(f"{place}.{part} is {tuple(found.shape)}, expected {tuple(parameter.shape)}")
            parameter.copy_(found)
