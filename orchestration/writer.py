"""The one thread that writes a log: everything that is waiting is committed together, and nothing waits on a timer.

While the disk is busy with one commit, the next ones queue up; the moment it is done, all of them become the next
transaction. So one run alone pays one commit a step, and a hundred runs share them.

This file knows nothing of what is written, nor of event loops.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from ..agents.ticket import Post
from .database import Database
from .errors import LogError, LogUnavailable

T = TypeVar("T")


class Reply(Generic[T]):
    """An answer from the thread: `done` is called on the event loop, once, with a result or an error."""

    def __init__(self, post: Post, done: Callable[[T | None, BaseException | None], None]) -> None:
        self._post = post
        self._done = done

    def give(self, result: T) -> None:
        self._post(self._done, result, None)

    def fail(self, error: BaseException) -> None:
        self._post(self._done, None, error)


class Write:
    """Something to be written with whatever else is waiting."""

    def __init__(self, work: Callable[[Connection], None], reply: Reply[None]) -> None:
        self.work = work  # raises LogError where it cannot be written; it must then have written nothing
        self.reply = reply


class Call:
    """Something to be done alone, such as a read."""

    def __init__(self, work: Callable[[Database], Any], reply: Reply[Any]) -> None:
        self.work = work
        self.reply = reply


class Together:
    """Actions that must be committed with a write that is only made once they have been done.

    While it is open, other writes that come join its transaction. `ready` tells the event loop that the actions are
    done; it must then hand in `last`, or None to give the whole up.
    """

    def __init__(self, actions: Callable[[Connection], None], ready: Callable[[], None], reply: Reply[None]) -> None:
        self.actions = actions
        self.ready = ready
        self.reply = reply


class Last:
    """Ends a `Together`: its write, or None."""

    def __init__(self, together: Together, write: Callable[[Connection], None] | None) -> None:
        self.together = together
        self.write = write


Job = Write | Call | Together | Last


class WriterThread:
    """A daemon thread; `stop` lets it finish what is waiting.

    Args:
        committed, rolled_back: called on the thread after each transaction, before anybody is told.
    """

    def __init__(
        self, open_database: Callable[[], Database], committed: Callable[[], None], rolled_back: Callable[[], None]
    ) -> None:
        self._open = open_database
        self._committed = committed
        self._rolled_back = rolled_back
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._main, name="coterie-log", daemon=True)
        self._opened: Reply[Database] | None = None

    def start(self, opened: Reply[Database]) -> None:
        self._opened = opened
        self._thread.start()

    def submit(self, job: Job) -> None:
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()

    def stop(self) -> None:
        """Ends the thread after what is waiting."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def join(self) -> None:
        self._thread.join()

    def _main(self) -> None:
        assert self._opened is not None  # noqa: S101 - `start` has set it
        try:
            database = self._open()
        except Exception as error:  # noqa: BLE001 - told to whoever opens the log
            self._opened.fail(error)
            return
        self._opened.give(database)
        try:
            while jobs := self._take(wait=True):
                self._round(database, jobs)
        finally:
            database.close()

    def _take(self, wait: bool) -> list[Job]:
        with self._wake:
            while wait and not self._jobs and not self._stopped:
                self._wake.wait()
            jobs = list(self._jobs)
            self._jobs.clear()
            return jobs

    def _round(self, database: Database, jobs: list[Job]) -> None:
        writes: list[Write] = []
        for job in jobs:
            if isinstance(job, Write):
                writes.append(job)
                continue
            self._commit(database, writes)
            writes = []
            if isinstance(job, Call):
                self._call(database, job)
            elif isinstance(job, Together):
                self._commit_together(database, job, jobs[jobs.index(job) + 1 :])
                return
        self._commit(database, writes)

    def _call(self, database: Database, job: Call) -> None:
        try:
            job.reply.give(job.work(database))
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            job.reply.fail(error)

    def _commit(self, database: Database, writes: list[Write]) -> None:
        if not writes:
            return
        written: list[Write] = []
        try:
            with database.write() as connection:
                for job in writes:
                    if _written(job, connection):
                        written.append(job)
        except Exception as error:  # noqa: BLE001 - told to everybody whose write it held
            self._rolled_back()
            for job in writes:
                job.reply.fail(error)
            return
        self._committed()
        for job in written:
            job.reply.give(None)

    def _commit_together(self, database: Database, together: Together, waiting: list[Job]) -> None:
        """One transaction for the actions, for the writes that come meanwhile, and for the last one."""
        joined: list[Write] = []
        later: list[Job] = []
        try:
            with database.write() as connection:
                together.actions(connection)
                together.ready()
                last = self._join(together, waiting, joined, later)
                if last is None:
                    raise _GivenUp
                written = [job for job in joined if _written(job, connection)]
                last(connection)
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            self._rolled_back()
            if isinstance(error, _GivenUp):
                together.reply.give(None)
            else:
                together.reply.fail(error)
            self._commit(database, joined)  # what had only joined is written without it
        else:
            self._committed()
            for job in written:
                job.reply.give(None)
            together.reply.give(None)
        self._round(database, later)

    def _join(
        self, together: Together, waiting: list[Job], joined: list[Write], later: list[Job]
    ) -> Callable[[Connection], None] | None:
        """The last write of `together`; writes before it join, all else waits."""
        while True:
            for position, job in enumerate(waiting):
                if isinstance(job, Last) and job.together is together:
                    later += waiting[position + 1 :]
                    return job.write
                if isinstance(job, Write) and not later:
                    joined.append(job)
                else:
                    later.append(job)
            waiting = self._take(wait=True)
            if not waiting:  # the log is being closed, and nobody is there to hand in the last write
                return None


class _GivenUp(Exception):
    """Unwinds a transaction that is not wanted any more; never leaves this file."""


def _written(job: Write, connection: Connection) -> bool:
    try:
        job.work(connection)
    except LogUnavailable:
        raise
    except LogError as error:  # this write alone is refused; it has written nothing
        job.reply.fail(error)
        return False
    return True
