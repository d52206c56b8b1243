"""The models that an engine has loaded, each by its folder. Everything here happens on the torch thread.

This file knows nothing of event loops, base names or requests.
"""

from functools import cached_property
from pathlib import Path
from typing import TypeVar

import torch

from .devices import DeviceProfile, device_profile
from .encoder import Deliver, Encoder, EncoderQueue
from .language_model import LanguageModel
from .torch_thread import Workload

Model = TypeVar("Model", EncoderQueue, LanguageModel)

MOST_KEPT = 8  # encoders, and as many language models: a release has weights of its own, and promotions go on


class Models:
    """Loads a model when it is first asked for, on the device and in the number type that the probe chose.

    Where more than `MOST_KEPT` of a kind are loaded, the idle one that was asked for least recently is let go.
    """

    def __init__(
        self,
        home: Path,
        device: str | None,
        threads: int | None,
        slots: int,
        deliver: Deliver,
        workloads: list[Workload],
    ) -> None:
        self._home = home
        self._device = device
        self._threads = threads
        self._slots = slots
        self._deliver = deliver
        self._workloads = workloads
        self.encoders: dict[Path, EncoderQueue] = {}
        self.language_models: dict[Path, LanguageModel] = {}

    @cached_property
    def profile(self) -> DeviceProfile:
        """What the probe chose for this engine; torch uses its threads from now on."""
        profile = device_profile(self._home, self._device, self._threads)
        torch.set_num_threads(profile.threads)
        return profile

    def encoder(self, folder: Path) -> EncoderQueue:
        """The queue of the encoder in `folder`."""
        if folder not in self.encoders:
            device, dtype = torch.device(self.profile.device), getattr(torch, self.profile.encoder_dtype)
            queue = EncoderQueue(Encoder(folder, device, dtype), self._deliver)
            self._keep(self.encoders, folder, queue)
        return _just_used(self.encoders, folder)

    def language_model(self, folder: Path) -> LanguageModel:
        """The language model in `folder`."""
        if folder not in self.language_models:
            device, dtype = torch.device(self.profile.device), getattr(torch, self.profile.decoder_dtype)
            model = LanguageModel(folder, device, dtype, self._slots)
            self._keep(self.language_models, folder, model)
        return _just_used(self.language_models, folder)

    def _keep(self, models: dict[Path, Model], folder: Path, model: Model) -> None:
        idle = [old for old, kept in models.items() if not _workload(kept).busy]
        for old in idle[: max(0, len(models) - MOST_KEPT + 1)]:
            self._workloads.remove(_workload(models.pop(old)))
        models[folder] = model
        self._workloads.append(_workload(model))


def _just_used(models: dict[Path, Model], folder: Path) -> Model:
    """The model in `folder`, which moves behind all others."""
    if next(reversed(models)) != folder:
        models[folder] = models.pop(folder)
    return models[folder]


def _workload(model: EncoderQueue | LanguageModel) -> Workload:
    return model if isinstance(model, EncoderQueue) else model.decoder
