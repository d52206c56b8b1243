"""Locks on files, which only those who work on runs need. This file knows nothing of workers."""

from pathlib import Path

from filelock import FileLock, Timeout


def lock_on(path: Path) -> FileLock:
    """The lock on the file at `path`, not taken yet."""
    return FileLock(path, is_singleton=False, thread_local=False, mode=0o600)


def taken(lock: FileLock, wait: bool = False) -> bool:
    """Whether `lock` is ours from now on; without `wait`, somebody else may have it."""
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        return False
    return True
