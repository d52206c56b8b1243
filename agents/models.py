"""The models that an engine has loaded, each by its folder. Everything here happens on the torch thread.

This file knows nothing of event loops, base names or requests.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch

from .devices import DeviceProfile, device_profile
from .encoder import Deliver, Encoder, EncoderQueue
from .language_model import LanguageModel
from .torch_thread import Workload


class Models:
    """Loads a model when it is first asked for, on the device and in the number type that the probe chose."""

    def __init__(
        self,
        home: Path,
        device: str | None,
        threads: int | None,
        slots: int,
        deliver: Deliver,
        attach: Callable[[Workload], None],
    ) -> None:
        self._home = home
        self._device = device
        self._threads = threads
        self._slots = slots
        self._deliver = deliver
        self._attach = attach
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
            self.encoders[folder] = EncoderQueue(Encoder(folder, device, dtype), self._deliver)
            self._attach(self.encoders[folder])
        return self.encoders[folder]

    def language_model(self, folder: Path) -> LanguageModel:
        """The language model in `folder`."""
        if folder not in self.language_models:
            device, dtype = torch.device(self.profile.device), getattr(torch, self.profile.decoder_dtype)
            self.language_models[folder] = LanguageModel(folder, device, dtype, self._slots)
            self._attach(self.language_models[folder].decoder)
        return self.language_models[folder]
