"""How long a tuning may take and how much memory, told before it begins; from the device's probe, so only about right.

Arithmetic: a token costs two operations for each weight that is not an embedding, and three times as much where it is
trained (forward, backward to inputs, backward to weights). This file runs no model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from ..agents.devices import ENCODE_SHAPE, DeviceProfile
from .recipes import Recipe

EFFICIENCY = 0.35  # of the probe's speed, which attention, norms and small batches leave
TRAINED = 3.0  # times a forward pass: to inputs and to weights besides
INPUTS_ONLY = 2.3  # where few weights are trained, but gradients go through all
OPTIMIZER = 3  # copies of what is trained: its gradient and two moments
ACTIVATIONS = 34  # values that a layer keeps of a token for each of its width, as in Korthikanti et al. 2022


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a tuning may take."""

    seconds: float | None  # None: the device was not probed
    bytes: int


@dataclass(frozen=True, slots=True)
class Weights:
    """How many numbers a checkpoint holds."""

    embeddings: int
    layers: int  # in all layers together
    count: int  # of layers
    width: int  # of the widest vector of a layer's input

    @classmethod
    def of(cls, folder: Path) -> "Weights":
        """Of the checkpoint in `folder`; reads headers only."""
        sizes = dict(_sizes(folder))
        embeddings = sum(size for name, (size, _) in sizes.items() if "embed" in name)
        numbers = {part for name in sizes for part in name.split(".") if part.isdigit()}
        width = max((shape[-1] for name, (_, shape) in sizes.items() if "embed" in name and len(shape) == 2), default=1)
        return cls(embeddings, sum(size for size, _ in sizes.values()) - embeddings, len(numbers) or 1, width)


def estimate(weights: Weights, recipe: Recipe, profile: DeviceProfile, train: int, other: int) -> Estimate:
    """Of a tuning over `train` tokens to learn from and `other` tokens to validate, calibrate and judge by."""
    passes = recipe.members * recipe.epochs * train
    forward = 2.0 * weights.layers
    match recipe.method:
        case "closed-form" | "head":
            work, trained = forward * (train + other), 0
        case "top":
            share = min(1.0, recipe.layers / weights.count)
            work = forward * (train + other) + forward * share * (TRAINED * passes + other * recipe.epochs)
            trained = int(weights.layers * share)
        case "full":
            work = forward * (TRAINED * passes + other * (1 + recipe.epochs))
            trained = weights.layers + (0 if recipe.freeze_embeddings else weights.embeddings)
        case _:
            work = forward * (INPUTS_ONLY * passes + other * (1 + recipe.epochs))
            trained = 4 * recipe.rank * weights.width * weights.count
    whole = 4 * (weights.layers + weights.embeddings + OPTIMIZER * trained)
    activations = 4 * ACTIVATIONS * weights.width * recipe.batch_tokens * (weights.count if trained else 1)
    speed = _operations_per_second(profile)
    return Estimate(None if speed is None else work / speed, whole + activations)


def _operations_per_second(profile: DeviceProfile) -> float | None:
    microseconds = profile.timings.get(f"encode {profile.encoder_dtype}")
    if not microseconds:
        return None
    rows, inputs, outputs = ENCODE_SHAPE
    return EFFICIENCY * profile.threads * 2 * rows * inputs * outputs / (microseconds * 1e-6)


def _sizes(folder: Path) -> Iterator[tuple[str, tuple[int, list[int]]]]:
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                shape = file.get_slice(name).get_shape()
                size = 1
                for length in shape:
                    size *= length
                yield name, (size, shape)
