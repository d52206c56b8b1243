"""Embeddings of texts as the engine serves them, computed once for all rungs, trials and roles that share an encoder.

Letters in shape comments: N texts, B of a batch, T padded tokens of each, D width of an embedding.

This file knows nothing of labels, heads or how encoders are trained.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..agents.checkpoints import home
from ..agents.devices import device_profile, run_in_halves
from ..agents.encoder import BATCH_TOKENS, Bucket, Encoder, Tokens
from ..agents.messages import repair_text

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
        self.encoder = Encoder(folder, platform.device, platform.dtype)
        self._known: dict[str, FloatArray] = {}

    def embed(self, texts: Sequence[str], listen: Listen = unheard) -> "FloatArray":
        """Unit vectors, bit for bit those of the engine: (N, D) float32.

        Raises:
            OutOfMemory: there is no memory even for one text.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        done = 0
        for bucket, batch in bucketed(self.encoder, missing):
            for (text, _), vector in zip(batch, self._vectors(bucket, [tokens for _, tokens in batch]), strict=True):
                self._known[text] = vector
            done += len(batch)
            listen(done, len(missing))
        return np.stack([self._known[text] for text in texts])

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
