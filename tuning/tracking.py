"""Where the course of a training is written: JSON lines always, TensorBoard and Weights & Biases where they are wanted.

    with tracked(folder, ("tensorboard",)) as listen:
        train(..., listen=listen)

Every tracker is a listener, called with each `Progress`. W&B works offline: `wandb sync` sends a run later, if anyone
wants it. The two are optional and loaded only when asked for.

This file knows nothing of how a training is done.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias

from ..agents.loading import load
from .errors import TrainingFailed
from .progress import Progress

TrackerName: TypeAlias = Literal["tensorboard", "wandb"]
NAME = "progress.jsonl"


class Tracker(Protocol):
    """Hears everything that is said of one training."""

    def __call__(self, progress: Progress) -> None: ...

    def close(self) -> None:
        """Writes what is left; nothing is said afterwards."""
        ...


class JsonLines:
    """One line for each thing said, on the disk at once; a training that is taken up goes on in the same file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a", encoding="utf-8")

    def __call__(self, progress: Progress) -> None:
        said = {"step": progress.step, "total": progress.total, "seconds": round(progress.seconds, 3), **_all(progress)}
        self._stream.write(json.dumps(said) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


@contextmanager
def tracked(
    folder: Path,
    trackers: Sequence[TrackerName] = (),
    settings: Mapping[str, str | int | float | bool | None] | None = None,
    also: Callable[[Progress], None] | None = None,
) -> Iterator[Callable[[Progress], None]]:
    """A listener that writes into `folder`: progress.jsonl, and what each of `trackers` keeps there.

    `settings` are those of the recipe, for trackers that show them; `also` hears everything too.

    Raises:
        TrainingFailed: a tracker's package is not installed.
        OSError: the folder cannot be written.
    """
    with ExitStack() as opened:
        heard: list[Tracker] = [JsonLines(folder / NAME)]
        opened.callback(heard[0].close)
        for name in trackers:
            heard.append(_tracker(name, folder, dict(settings or {})))
            opened.callback(heard[-1].close)

        def listen(progress: Progress) -> None:
            for tracker in heard:
                tracker(progress)
            if also is not None:
                also(progress)

        yield listen


def scalars(progress: Progress) -> dict[str, float]:
    """What is drawn as curves: loss, validation, learning rate and speed, as far as it was said."""
    named = {
        "validation" if progress.validation is not None else "": progress.validation,
        "loss": progress.loss if progress.validation is None else None,
        "rate": progress.rate if progress.loss is not None and progress.validation is None else None,
        "tokens_per_second": progress.tokens_per_second or None,
        "units_per_second": progress.units_per_second or None,
    }
    return {name: value for name, value in named.items() if value is not None and math.isfinite(value)}


def _all(progress: Progress) -> dict[str, Any]:
    best = {} if progress.validation is None or progress.best is None else {"best": progress.best}
    return scalars(progress) | best | ({"notice": progress.notice} if progress.notice else {})


def _tracker(name: TrackerName, folder: Path, settings: dict[str, Any]) -> Tracker:
    try:
        module: ModuleType = load("tuning.tensorboard_tracker" if name == "tensorboard" else "tuning.wandb_tracker")
    except ModuleNotFoundError as error:
        raise TrainingFailed(
            f"tracker {name!r} needs a package that is not installed here ({error.name}); "
            f"install it with `pip install {name}`, or leave the tracker out"
        ) from error
    tracker: Tracker = module.open_tracker(folder, settings)
    return tracker
