"""Curves for TensorBoard, in FOLDER/tensorboard. Loaded only when asked for: its package is optional.

This file knows nothing of how a training is done.
"""

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from .progress import Progress
from .tracking import Tracker, scalars


class TensorBoardTracker:
    """One scalar for each number said, at its step."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))
        if settings:
            lines = "\n".join(f"    {name} = {value!r}" for name, value in settings.items())
            self._writer.add_text("recipe", lines)

    def __call__(self, progress: Progress) -> None:
        for name, value in scalars(progress).items():
            self._writer.add_scalar(name, value, progress.step)
        if progress.notice:
            self._writer.add_text("notice", progress.notice, progress.step)

    def close(self) -> None:
        self._writer.close()


def open_tracker(folder: Path, settings: dict[str, Any]) -> Tracker:
    """A tracker that writes below `folder`."""
    return TensorBoardTracker(folder, settings)
