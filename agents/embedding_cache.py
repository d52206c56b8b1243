"""Embeddings on disk, found by the sha256 of their text, so that no text is embedded twice by the same weights.

One folder per weights digest holds segments: safetensors files that are written once, under the hash of their own
content. The folder's listing is the manifest, so two processes may store at the same time without losing anything, and
a file that was cut short or altered no longer matches its name: it is deleted and its texts count as unknown.

This file knows nothing of models, passages or searching.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from .errors import StorageError

if TYPE_CHECKING:
    from .inference import FloatArray

_MOST_SEGMENTS = 16  # files; beyond it the smaller half is merged into one


def text_key(text: str) -> bytes:
    """What an embedding is filed under: 32 bytes, sha256 of the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class EmbeddingCache:
    """The stored embeddings of one encoder's weights. All methods block; call them in a thread."""

    def __init__(self, folder: Path, weights: str) -> None:
        self._folder = folder / weights[:32]
        self.damaged: list[Path] = []  # segments that were found damaged and deleted

    def find(self, keys: Iterable[bytes]) -> "dict[bytes, FloatArray]":
        """The vectors, each (D,) float32, of those keys that are stored. Damaged segments are deleted on the way."""
        wanted = set(keys)
        found: dict[bytes, FloatArray] = {}
        for segment in self._segments():
            if not wanted:
                break
            for key, vector in self._read(segment).items():
                if key in wanted:
                    found[key] = vector.copy()  # a copy lets go of the rest of the segment
                    wanted.discard(key)
        return found

    def store(self, vectors: "Mapping[bytes, FloatArray]") -> None:
        """Keep these vectors, durably, in a segment of their own.

        Raises:
            StorageError: the folder cannot be written, most often because the disk is full.
        """
        if not vectors:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(vectors)
            self._merge()
        except OSError as error:
            raise StorageError(self._folder, error) from error

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob("*.safetensors"))

    def _write(self, vectors: "Mapping[bytes, FloatArray]") -> Path:
        keys = np.frombuffer(b"".join(vectors), np.uint8).reshape(len(vectors), 32)  # (N, 32)
        content = save({"keys": keys, "vectors": np.stack(list(vectors.values()))})  # vectors: (N, D)
        segment = self._folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
        partial = segment.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(segment)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(self._folder)
        return segment

    def _merge(self) -> None:
        segments = self._segments()
        if len(segments) <= _MOST_SEGMENTS:
            return
        by_size = sorted((segment.stat().st_size, segment) for segment in segments)
        small = [segment for _, segment in by_size[: _MOST_SEGMENTS // 2]]
        merged = {key: vector for segment in small for key, vector in self._read(segment).items()}
        if merged:
            kept = self._write(merged)
            small = [segment for segment in small if segment != kept]
        for segment in small:
            segment.unlink(missing_ok=True)

    def _read(self, segment: Path) -> "dict[bytes, FloatArray]":
        """Vectors by key; nothing where the file cannot be read or is damaged, and a damaged file is deleted."""
        try:
            content = segment.read_bytes()
        except OSError:  # most often: merged by another process since it was listed
            return {}
        vectors = _unpacked(content) if hashlib.sha256(content).hexdigest() == segment.stem else None
        if vectors is None:
            self.damaged.append(segment)
            with contextlib.suppress(OSError):
                segment.unlink()
        return vectors or {}


def _unpacked(content: bytes) -> "dict[bytes, FloatArray] | None":
    try:
        tensors = load(content)
    except SafetensorError:
        return None
    keys, vectors = tensors.get("keys"), tensors.get("vectors")
    if keys is None or vectors is None or keys.shape != (len(vectors), 32) or vectors.dtype != np.float32:
        return None
    return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened to be synced
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
