"""Which processes are alive, told by locks that end with the process: no clock is asked, so no clock can be wrong.

Also the lock under which processes take turns to write an SQLite file. This file knows nothing of runs and facts.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import BigInteger, Connection, Engine, cast, func, literal, select

from ..agents.loading import load

if TYPE_CHECKING:
    from filelock import FileLock

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Liveness(Protocol):
    """Says that a worker is alive for as long as its process is."""

    def hold(self, worker: str) -> None:
        """This process is `worker` from now on."""
        ...

    def alive(self, worker: str) -> bool:
        """Whether the process that is `worker` still lives."""
        ...

    def close(self) -> None:
        """This process is no worker any more."""
        ...


class FileLiveness:
    """A locked file for each worker, in a folder beside the database; the system unlocks it when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: FileLock | None = None

    def hold(self, worker: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        own: FileLock = load("orchestration.file_locks").lock_on(self._path(worker))
        own.acquire(blocking=False)
        self._own = own

    def alive(self, worker: str) -> bool:
        path = self._path(worker)
        if not path.exists():
            return False
        locks = load("orchestration.file_locks")
        lock: FileLock = locks.lock_on(path)
        if not locks.taken(lock):
            return True
        lock.release()
        path.unlink(missing_ok=True)
        return False

    def close(self) -> None:
        if self._own is not None:
            self._own.release()
            Path(self._own.lock_file).unlink(missing_ok=True)
            self._own = None

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"


class AdvisoryLiveness:
    """A lock of PostgreSQL's for each worker, on a connection of its own; it ends with the connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def hold(self, worker: str) -> None:
        self.close()
        self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection.execute(select(func.pg_advisory_lock(_number(worker))))

    def alive(self, worker: str) -> bool:
        with self._engine.connect() as connection, connection.begin():  # the lock ends with the transaction
            return not connection.execute(select(func.pg_try_advisory_xact_lock(_number(worker)))).scalar_one()

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):  # the server may be gone, and with it the lock
                self._connection.close()
            self._connection = None


class WriteTurns:
    """Processes take turns to write one file. Waits in the system, which is fair, and not by asking again and again."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._locks = None if fcntl is not None else load("orchestration.file_locks")
        self._fallback: FileLock | None = None if self._locks is None else self._locks.lock_on(path)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The only writer, until the block ends."""
        self.take(wait=True)
        try:
            yield
        finally:
            self.give()

    def take(self, wait: bool) -> None:
        """Be the only writer from now on.

        Raises:
            BlockingIOError: another process has the turn, and `wait` is false.
        """
        if fcntl is not None:
            fcntl.flock(self._handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if self._locks is not None and not self._locks.taken(self._fallback, wait):
            raise BlockingIOError("another process writes this file")

    def give(self) -> None:
        """Let the next one write."""
        if fcntl is not None:
            fcntl.flock(self._handle, fcntl.LOCK_UN)
        elif self._fallback is not None:
            self._fallback.release()

    def close(self) -> None:
        os.close(self._handle)


def here() -> str:
    """This process, for people."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _number(worker: str) -> object:
    """A lock's number, from the hex digits of a worker's name."""
    return cast(literal(int(worker, 16) & 0x7FFF_FFFF_FFFF_FFFF), BigInteger)
