"""A training on disk: one safetensors file, replaced as a whole, whose header holds the rest as JSON.

    FOLDER/training.safetensors     trained weights, optimizer, running mean, best weights; header: step, history, …

Frozen weights are not in it; their digest is, so that a training is never taken up over another base.

This file knows nothing of how a step is made.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..agents.durable_files import make_folder, sync_folder
from ..agents.errors import StorageError
from .errors import TrainingFailed
from .progress import Evaluation, Stopped

NAME = "training.safetensors"


@dataclass(slots=True)
class Standing:
    """How far a training is; all of it but tensors."""

    step: int = 0
    best: float = float("inf")
    best_step: int = 0
    waited: int = 0  # evaluations since the best
    seconds: float = 0.0
    parts: int = 1  # that each batch is cut into, for want of memory
    settled: bool = True  # whether the hook's part is done, so that weights may be kept as the best
    mean_steps: int = 0  # that the running mean took in
    scale: float | None = None  # of losses in float16
    loss: float = 0.0  # sum since the last evaluation
    units: float = 0.0  # that it sums over
    stopped: Stopped | None = None  # None: it is not over
    history: list[Evaluation] = field(default_factory=list)


_STANDING = TypeAdapter(Standing)


def fingerprint(model: nn.Module, recipe: str, sizes: Sequence[int]) -> str:
    """What a training must share with another to be the same: settings, names, shapes, frozen weights, batch counts."""
    digest = hashlib.sha256(json.dumps([recipe, list(sizes)]).encode())
    for name, parameter in model.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.requires_grad}\n".encode())
        if not parameter.requires_grad:
            digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save(folder: Path, standing: Standing, tensors: Mapping[str, Tensor], mark: str) -> None:
    """Replaces the checkpoint in `folder`; a reader or a crash sees the old one or the new one.

    Raises:
        StorageError: it cannot be written; the old one is untouched.
    """
    path = folder / NAME
    partial = folder / f".{NAME}-{os.getpid()}"
    header = {"standing": _STANDING.dump_json(standing).decode(), "mark": mark}
    try:
        make_folder(folder)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata=header)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
        sync_folder(folder)
    except OSError as error:
        raise StorageError(path, error) from error
    except SafetensorError as error:  # how the library says that the disk is full
        raise StorageError(path, OSError(str(error))) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def load(folder: Path, mark: str, device: torch.device) -> tuple[Standing, dict[str, Tensor]] | None:
    """What `save` wrote into `folder`; None where there is nothing.

    Raises:
        TrainingFailed: it is the checkpoint of another training, or damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt", device=str(device)) as opened:
            header: dict[str, Any] = opened.metadata() or {}
            _check(path, header, mark)
            standing = _STANDING.validate_json(header["standing"])
            return standing, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 -- no mapping
    except (SafetensorError, ValidationError, KeyError) as error:
        raise TrainingFailed(f"{path} is damaged: {error}; delete it to begin again") from error


def _check(path: Path, header: Mapping[str, Any], mark: str) -> None:
    if header["mark"] != mark:
        raise TrainingFailed(
            f"{path} is the checkpoint of another training: recipe, base or rows were others; "
            f"choose another folder, or delete it to begin again"
        )
