"""The device and number type of a training, and what its processes add up: a thin layer over accelerate.

Gradients are added up here, once a step, and not by wrapping the model: so a loss may call any method of the model, and
the same rows give the same step on any number of processes.

This file knows nothing of models, rows or optimizers.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import nn

from ..agents.checkpoints import home
from ..agents.devices import device_profile
from .errors import TrainingFailed
from .recipes import Recipe

MIXED = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}  # accelerate's names


def make_accelerator(recipe: Recipe, device: str | None = None) -> Accelerator:
    """The accelerator of this process. `device` is "cpu", "cuda" or None for what is best here.

    accelerate keeps one state for the whole process; where an earlier training wanted another device or number type,
    that state is begun anew.

    Raises:
        TrainingFailed: the device is absent, or cannot multiply in the number type of the recipe.
    """
    chosen = _device(device)
    mixed = MIXED[_precision(recipe, chosen)]
    on_cpu = chosen == "cpu"
    _forget_other_state(mixed, on_cpu)
    return Accelerator(mixed_precision=mixed, cpu=on_cpu)


def add_up(accelerator: Accelerator, values: Sequence[float]) -> list[float]:
    """The sums of `values` over all processes; every process gets the same."""
    if accelerator.num_processes == 1:
        return list(values)
    kept = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    sums: Any = accelerator.reduce(kept, reduction="sum")
    return [float(number) for number in sums]


def add_up_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter], units: float) -> None:
    """Makes each gradient the sum over all processes divided by `units`; one that is missing counts as 0."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if accelerator.num_processes > 1:
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        total: Any = accelerator.reduce(flat, reduction="sum")
        for gradient, part in zip(gradients, total.split([one.numel() for one in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
    for gradient in gradients:
        gradient.div_(units)


def same_everywhere(accelerator: Accelerator, parameters: Iterable[nn.Parameter]) -> None:
    """Gives every process the values that the first one has."""
    if accelerator.num_processes > 1:
        with torch.no_grad():
            for parameter in parameters:
                torch.distributed.broadcast(parameter.data, 0)


def _device(device: str | None) -> str:
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        return "cpu"
    if device is not None and device != "cpu" and not torch.cuda.is_available():
        raise TrainingFailed(
            f"{device!r} was asked for, but torch finds no GPU here; leave the device out, or say 'cpu'"
        )
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _precision(recipe: Recipe, device: str) -> str:
    if recipe.precision == "auto":
        return device_profile(home(), device).encoder_dtype
    if recipe.precision == "float16" and device == "cpu":
        raise TrainingFailed("products in float16 need a GPU; expected precision 'auto', 'float32' or 'bfloat16' here")
    return recipe.precision


def _forget_other_state(mixed: str, on_cpu: bool) -> None:
    state: Any = AcceleratorState._shared_state
    if state and state.get("_mixed_precision") != mixed:
        AcceleratorState._reset_state()
    shared: Any = PartialState._shared_state
    if shared and bool(shared.get("_cpu")) != on_cpu and shared.get("num_processes", 1) == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
