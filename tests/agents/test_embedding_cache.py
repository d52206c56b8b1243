"""Embeddings on disk."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from coterie.agents.embedding_cache import EmbeddingCache, text_key
from coterie.agents.errors import StorageError


def vectors(*texts: str) -> dict[bytes, np.ndarray]:
    """A different vector for each text."""
    return {text_key(text): np.full(4, len(text), np.float32) for text in texts}


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As on a full disk, no file may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_stored_is_found_by_another_process(tmp_path: Path) -> None:
    """Only what was asked for, and only from the same weights."""
    EmbeddingCache(tmp_path, "w1").store(vectors("a", "bb"))
    found = EmbeddingCache(tmp_path, "w1").find([text_key("bb"), text_key("ccc")])
    assert {key: vector.tolist() for key, vector in found.items()} == {text_key("bb"): [2, 2, 2, 2]}
    assert EmbeddingCache(tmp_path, "w2").find([text_key("a")]) == {}


@pytest.mark.parametrize("damage", ["cut", "altered", "emptied", "forged"])
def test_a_damaged_segment_is_deleted_and_forgotten(tmp_path: Path, damage: str) -> None:
    """Cut short by a crash, altered by a bad disk, empty, or not what its name says."""
    cache = EmbeddingCache(tmp_path, "w")
    cache.store(vectors("a"))
    (segment,) = segments(tmp_path)
    content = segment.read_bytes()
    if damage == "forged":
        save_file({"vectors": np.zeros((1, 4), np.float32)}, segment)
    else:
        segment.write_bytes({"cut": content[:-8], "altered": content[:-1] + b"\x01", "emptied": b""}[damage])
    assert cache.find([text_key("a")]) == {}
    assert segments(tmp_path) == []
    assert cache.damaged == [segment]
    cache.store(vectors("a"))
    assert list(cache.find([text_key("a")])) == [text_key("a")]


def test_many_small_segments_are_merged(tmp_path: Path) -> None:
    """Nothing is lost, and the number of files stays bounded."""
    cache = EmbeddingCache(tmp_path, "w")
    texts = ["x" * length for length in range(60)]
    for text in texts:
        cache.store(vectors(text))
    assert len(segments(tmp_path)) <= 16
    found = cache.find(text_key(text) for text in texts)
    assert [found[text_key(text)][0] for text in texts] == list(range(60))


def test_nothing_to_store_writes_nothing(tmp_path: Path) -> None:
    """Not even the folder."""
    EmbeddingCache(tmp_path / "new", "w").store({})
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """With what to do; the next attempt works."""
    cache = EmbeddingCache(tmp_path, "w")
    with (
        largest_file(100),
        pytest.raises(StorageError, match=r"cannot write .*: File too large. Free some space there"),
    ):
        cache.store(vectors("a"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    cache.store(vectors("a"))
    assert len(cache.find([text_key("a")])) == 1


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="point COTERIE_HOME at a folder that can be written"):
        EmbeddingCache(tmp_path / "file", "w").store(vectors("a"))
