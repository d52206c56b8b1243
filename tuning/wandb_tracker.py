"""A run of Weights & Biases in FOLDER/wandb, kept offline unless WANDB_MODE says otherwise. Its package is optional.

This file knows nothing of how a training is done.
"""

import os
from pathlib import Path
from typing import Any, Literal, cast

import wandb

from .progress import Progress
from .tracking import Tracker, scalars

Mode = Literal["online", "offline", "disabled", "shared"]


class WandbTracker:
    """One row for each step that something was said of."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        mode = cast("Mode", os.environ.get("WANDB_MODE", "offline"))
        self._run: Any = wandb.init(project="coterie", dir=str(folder), config=settings, mode=mode)

    def __call__(self, progress: Progress) -> None:
        said = scalars(progress)
        if said:
            self._run.log(said, step=progress.step)

    def close(self) -> None:
        self._run.finish()


def open_tracker(folder: Path, settings: dict[str, Any]) -> Tracker:
    """A tracker that writes below `folder`."""
    return WandbTracker(folder, settings)
