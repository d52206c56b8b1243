"""Embeddings of texts as the engine serves them, computed once for all rungs, trials and roles that share an encoder.

Letters in shape comments: N texts, B of a batch, T padded tokens of each, D width of an embedding.

This file knows nothing of labels, heads or how encoders are trained.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from ..agents.checkpoints import home
from ..agents.devices import device_profile, run_in_halves
from ..agents.encoder import BATCH_TOKENS, Bucket, Encoder, Tokens
from ..agents.messages import repair_text
from ..agents.tokens import load_config, quiet_transformers
from .batches import padded
from .errors import TrainingFailed
from .text_classifier import load_encoder
from .trunks import blocks_of

if TYPE_CHECKING:
    from ..agents.inference import FloatArray

Listen = Callable[[int, int], None]
"""Called with how many texts are done, and of how many."""


def unheard(done: int, total: int) -> None:
    """A listener that does nothing."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where models work: a device, and the number type in which the engine serves encoders there."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def probed(cls, device: str | None = None) -> "Platform":
        """As the probe found best, on `device` or on whatever is here."""
        profile = device_profile(home(), device)
        return cls(torch.device(profile.device), getattr(torch, profile.encoder_dtype))


class Trunk:
    """An encoder checkpoint whose embeddings are remembered by text."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self.folder = folder
        self.platform = platform
        quiet_transformers()
        self.encoder = Encoder(folder, platform.device, platform.dtype)
        self._known: dict[str, FloatArray] = {}
        self._states: dict[tuple[int, str], torch.Tensor] = {}

    def embed(self, texts: Sequence[str], listen: Listen = unheard) -> "FloatArray":
        """Unit vectors, bit for bit those of the engine: (N, D) float32.

        Raises:
            OutOfMemory: there is no memory even for one text.
        """
        if not texts:
            return np.zeros((0, load_config(self.folder).hidden_size), np.float32)
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        done = 0
        for bucket, batch in bucketed(self.encoder, missing):
            for (text, _), vector in zip(batch, self._vectors(bucket, [tokens for _, tokens in batch]), strict=True):
                self._known[text] = vector
            done += len(batch)
            listen(done, len(missing))
        return np.stack([self._known[text] for text in texts])

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, as the engine gives them to the encoder."""
        return self.encoder.tokenize([repair_text(text) for text in texts])

    def states(self, texts: Sequence[str], upper: int, listen: Listen = unheard) -> list[torch.Tensor]:
        """What the uppermost `upper` layers get of each text: (T, D) on the CPU, T its tokens without padding.

        In the number type in which the engine serves the encoder, computed once for each text and number of layers.

        Raises:
            TrainingFailed: the encoder has no layers that are known, or fewer.
            OutOfMemory: there is no memory even for one text.
        """
        missing = [text for text in dict.fromkeys(texts) if (upper, text) not in self._states]
        if missing:
            model = load_encoder(self.folder, self.platform.dtype)
            nn.Module.eval(model)
            nn.Module.to(model, self.platform.device)
            with _stopping_below(model, upper):
                self._add_states(model, missing, upper, listen)
        return [self._states[upper, text] for text in texts]

    def _add_states(self, model: nn.Module, texts: Sequence[str], upper: int, listen: Listen) -> None:
        done = 0
        for _, batch in bucketed(self.encoder, texts):
            tokens = [ids for _, ids in batch]
            found = run_in_halves(lambda some: self._below(model, some), tokens)
            for (text, _), states in zip(batch, found, strict=True):
                self._states[upper, text] = states
            done += len(batch)
            listen(done, len(texts))

    def _below(self, model: nn.Module, batch: Sequence[Tokens]) -> list[torch.Tensor]:
        ids, mask = padded(batch, 0)
        try:
            with torch.inference_mode():
                model(input_ids=ids.to(self.platform.device), attention_mask=mask.to(self.platform.device))
        except _Reached as reached:
            rows = zip(reached.states.cpu(), batch, strict=True)
            return [states[: len(tokens)].clone() for states, tokens in rows]
        raise TrainingFailed(f"{type(model).__name__} did not come to its upper layers")

    def _vectors(self, bucket: Bucket, batch: Sequence[Tokens]) -> "list[FloatArray]":
        return run_in_halves(lambda some: list(self.encoder.embed(some, bucket.length).numpy()), batch)


def bucketed(encoder: Encoder, texts: Sequence[str]) -> Iterator[tuple[Bucket, list[tuple[str, Tokens]]]]:
    """Texts with their tokens, in batches of one padded length each that hold as many tokens as the engine's."""
    buckets: dict[Bucket, list[tuple[str, Tokens]]] = {}
    tokens = encoder.tokenize([repair_text(text) for text in texts]) if texts else []
    for text, ids in zip(texts, tokens, strict=True):
        buckets.setdefault(encoder.bucket(ids), []).append((text, ids))
    budget = BATCH_TOKENS.get(encoder.device.type, BATCH_TOKENS["cpu"])
    for bucket, waiting in sorted(buckets.items()):
        size = max(1, budget // bucket.length)
        for start in range(0, len(waiting), size):
            yield bucket, waiting[start : start + size]


@contextmanager
def _stopping_below(model: PreTrainedModel, upper: int) -> Iterator[None]:
    """Within, a forward raises what the uppermost `upper` layers would get."""
    blocks = blocks_of(model)
    if upper > len(blocks):
        raise TrainingFailed(f"{type(model).__name__} has {len(blocks)} layers, but the upper {upper} were asked for")

    def stop(block: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        raise _Reached(given[0] if given else named["hidden_states"])

    handle = blocks[len(blocks) - upper].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


class _Reached(Exception):
    """Carries states out of a forward that need not go on."""

    def __init__(self, states: torch.Tensor) -> None:
        self.states = states
