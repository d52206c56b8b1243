"""Vectors of passages by one encoder: each text is embedded once, and kept in memory and on disk.

Letters in shape comments: N passages, D width of an embedding.

This file does not know where passages come from, how they are searched, or how a model computes an embedding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import numpy as np

from .embedding_cache import EmbeddingCache, text_key
from .inference import Inference

if TYPE_CHECKING:
    from .inference import FloatArray

_EMBEDDED_AT_ONCE = 256  # texts; each such block is stored on disk before the next begins


def unheard(done: int, total: int) -> None:
    """A listener that does nothing."""


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """The vectors of N texts, in their order."""

    stacked: "FloatArray"  # (N, D) float32, of unit length; (0, 0) of no texts
    rows: Mapping[bytes, int]  # sha256 of a text -> a row of `stacked`

    @classmethod
    def empty(cls) -> "PassageVectors":
        """Those of no texts."""
        return cls(np.zeros((0, 0), np.float32), {})


class PassageEncoder:
    """Embeds passages with one encoder; texts that memory or `cache` holds are not embedded again."""

    def __init__(self, engine: Inference, base: str, cache: EmbeddingCache) -> None:
        self._engine = engine
        self._base = base
        self._cache = cache
        self.embedded = 0  # texts that the engine had to embed

    @classmethod
    async def open(cls, engine: Inference, base: str, folder: Path) -> "PassageEncoder":
        """The encoder `base`, whose embeddings are kept in `folder`, apart from those of other weights.

        Raises:
            CheckpointError: `base` cannot be had.
        """
        return cls(engine, base, EmbeddingCache(folder, await engine.digest(base)))

    @property
    def damaged(self) -> Sequence[Path]:
        """Files of the cache that were damaged, and so deleted."""
        return self._cache.damaged

    async def vectors(
        self, texts: Sequence[str], old: PassageVectors, on_progress: Callable[[int, int], None] = unheard
    ) -> PassageVectors:
        """The vectors of `texts`, those that `old` has taken from there.

        `on_progress` is called on the event loop with how many of the texts to embed are done, and how many there are.

        Raises:
            StorageError: the cache folder cannot be written.
        """
        keys, known = await anyio.to_thread.run_sync(self._known, texts, old, abandon_on_cancel=True)
        unknown = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        known |= await self._embed(unknown, on_progress)
        return await anyio.to_thread.run_sync(_stacked, keys, known, abandon_on_cancel=True)

    def _known(self, texts: Sequence[str], old: PassageVectors) -> "tuple[tuple[bytes, ...], dict[bytes, FloatArray]]":
        keys = tuple(map(text_key, texts))
        known = {key: old.stacked[old.rows[key]] for key in keys if key in old.rows}
        return keys, known | self._cache.find(key for key in keys if key not in known)

    async def _embed(
        self, texts: Mapping[bytes, str], on_progress: Callable[[int, int], None]
    ) -> "dict[bytes, FloatArray]":
        """Embeddings of `texts`, kept on disk block by block, so that an interrupted start loses little."""
        keys = list(texts)
        vectors: dict[bytes, FloatArray] = {}
        for start in range(0, len(keys), _EMBEDDED_AT_ONCE):
            on_progress(start, len(keys))
            block = keys[start : start + _EMBEDDED_AT_ONCE]
            rows = await self._engine.embed(self._base, [texts[key] for key in block])  # (len(block), D)
            self.embedded += len(block)
            fresh = dict(zip(block, rows, strict=True))
            await anyio.to_thread.run_sync(self._cache.store, fresh)
            vectors |= fresh
        if keys:
            on_progress(len(keys), len(keys))
        return vectors


def _stacked(keys: Sequence[bytes], vectors: "Mapping[bytes, FloatArray]") -> PassageVectors:
    if not keys:
        return PassageVectors.empty()
    return PassageVectors(np.stack([vectors[key] for key in keys]), {key: row for row, key in enumerate(keys)})
