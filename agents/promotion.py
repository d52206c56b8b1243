"""Storing a release of a role, making it live, and going back. Each change is whole or has not happened.

Processes take turns at a lock, so that two promotions at once both count. This file does not judge whether a release is
good.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from pydantic import JsonValue

from .checkpoints import file_digest
from .durable_files import make_folder, sync_file, sync_folder, write_durably
from .errors import CheckpointError, CheckpointNotFound, StorageError
from .releases import (
    MANIFEST,
    POINTER,
    Action,
    Kind,
    LivePointer,
    Manifest,
    Promotion,
    Release,
    StoredHead,
    StoredSearch,
    pointer,
    release,
    role_folder,
)


def add(
    role: str,
    *,
    base: str,
    base_digest: str,
    files: Mapping[str, bytes | Path],
    kind: Kind = "classifier",
    heads: tuple[StoredHead, ...] = (),
    features: tuple[str, ...] = (),
    calibrated: bool = False,
    search: StoredSearch | None = None,
    recipe: Mapping[str, JsonValue] | None = None,
    dataset: str = "",
    note: str = "",
) -> Release:
    """Stores a candidate release of `role`; it is not live until it is promoted. Blocks.

    Args:
        role: the role's name, such as "finance/mood".
        base: the base checkpoint under the head.
        base_digest: sha256 hex of the base's weights.
        files: what it is made of, by the names in releases.py; a path is copied.
        kind: what sort of role it is for.
        heads: what a classifier's head decides.
        features: names of the numeric features beside the text.
        calibrated: whether its probabilities were calibrated on held-out rows.
        search: how a retriever searches.
        recipe: every setting that it was tuned with.
        dataset: sha256 hex of the rows that it was tuned on.
        note: for a person: what it was tuned on.

    Raises:
        StorageError: COTERIE_HOME cannot be written.
    """
    manifest = Manifest(
        role=role,
        kind=kind,
        base=base,
        base_digest=base_digest,
        heads=heads,
        features=features,
        calibrated=calibrated,
        search=search,
        recipe=dict(recipe or {}),
        dataset=dataset,
        created=datetime.now(UTC),
        note=note,
        files={name: content_digest(content) for name, content in sorted(files.items())},
    )
    content = manifest.model_dump_json(indent=2).encode()
    digest = hashlib.sha256(content).hexdigest()
    _store(role_folder(role), digest, {**files, MANIFEST: content})
    return release(role, digest)


def promote(role: str, digest: str) -> Release:
    """Makes a release live, checked; the first 12 characters of its digest are enough. Blocks.

    Raises:
        CheckpointNotFound: there is no such release.
        ReleaseCorrupt: a file of it was changed or is missing.
        StorageError: COTERIE_HOME cannot be written.
    """
    chosen = release(role, digest)
    with _turn(role) as now:
        if now.stack[-1:] != (chosen.digest,):
            _point(role, "promote", (*now.stack, chosen.digest), now)
    return chosen


def rollback(role: str) -> Release | None:
    """Makes the release live again that was live before; None where there was none, so that the role works zero-shot.

    A second rollback goes one further back. Blocks.

    Raises:
        CheckpointNotFound: no release is live.
        ReleaseCorrupt: a file of the one before was changed or is missing; nothing changes then.
        StorageError: COTERIE_HOME cannot be written.
    """
    with _turn(role) as now:
        if not now.stack:
            raise CheckpointNotFound(f"{role!r} has no live release to go back from; it works zero-shot")
        before = now.stack[:-1]
        found = release(role, before[-1]) if before else None
        _point(role, "rollback", before, now)
    return found


def _point(role: str, action: Action, stack: tuple[str, ...], now: LivePointer) -> None:
    done = Promotion(action=action, live=stack[-1] if stack else None, at=datetime.now(UTC))
    after = LivePointer(stack=stack, log=(*now.log, done))
    write_durably(role_folder(role) / POINTER, after.model_dump_json(indent=2).encode())


def content_digest(content: bytes | Path) -> str:
    """sha256 hex digest of bytes, or of the file at a path."""
    return file_digest(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()


def _store(folder: Path, digest: str, files: Mapping[str, bytes | Path]) -> None:
    """Writes a folder beside its place and renames it."""
    with _storing(folder):
        make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as staging:
            fresh = Path(staging) / digest
            for name, content in files.items():
                _put(fresh / name, content)
            if not (folder / digest).exists():
                fresh.replace(folder / digest)
        sync_folder(folder)


def _put(path: Path, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        write_durably(path, content)
        return
    make_folder(path.parent)
    shutil.copyfile(content, path)
    path.chmod(0o600)
    sync_file(path)
    sync_folder(path.parent)


@contextmanager
def _turn(role: str) -> Iterator[LivePointer]:
    folder = role_folder(role)
    with _storing(folder):
        make_folder(folder)
        with FileLock(folder / ".lock", mode=0o600):
            yield pointer(role)


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        raise StorageError(folder, error) from error
