"""The one writer of a log: everything that is waiting is committed together, and nothing waits on a timer.

While the disk is busy with one commit, the next ones queue up; the moment it is done, all of them become the next
transaction. So one run alone pays one commit a step, and a hundred runs share them.

Commits are made by a thread, except on a quick disk. There, what the tasks of one turn of the event loop have handed in
is committed on the loop itself at the end of the turn: waking a thread and being woken by it would cost more than the
disk does. It is the thread again as soon as the disk is slow, another process is writing, or the thread is at work.

This file knows nothing of what is written, nor of event loops.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from ..agents.errors import MessageError
from ..agents.ticket import Post
from .database import Database
from .errors import LogError, LogUnavailable
from .fault_points import reached
from .statements import Hot, hot

T = TypeVar("T")

QUICK = 0.002  # seconds that a commit may keep the event loop, on average
WEIGHT = 0.1  # of the latest commit in that average


class Reply(Generic[T]):
    """An answer from the thread: `done` is called on the event loop, once, with a result or an error."""

    def __init__(self, post: Post, done: Callable[[T | None, BaseException | None], None]) -> None:
        self.post = post
        self.done = done

    def give(self, result: T) -> None:
        self.post(self.done, result, None)

    def fail(self, error: BaseException) -> None:
        self.post(self.done, None, error)


class Write:
    """Something to be written with whatever else is waiting."""

    def __init__(self, work: Callable[[Hot], None], reply: Reply[None]) -> None:
        self.work = work  # raises LogError or MessageError where it cannot be written, before it has written anything
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

    def __init__(self, together: Together, write: Callable[[Hot], None] | None) -> None:
        self.together = together
        self.write = write


Job = Write | Call | Together | Last


class WriterThread:
    """A daemon thread; `stop` lets it finish what is waiting.

    Args:
        soon: has something called on the event loop, from the event loop.
        committed, rolled_back: called after each transaction, the latter with its error, before anybody is told.
    """

    def __init__(
        self,
        open_database: Callable[[], Database],
        soon: Callable[[Callable[[], object]], object],
        committed: Callable[[], None],
        rolled_back: Callable[[BaseException], None],
    ) -> None:
        self._open = open_database
        self._soon = soon
        self._committed = committed
        self._rolled_back = rolled_back
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._main, name="coterie-log", daemon=True)
        self._opened: Reply[Database] | None = None
        self._database: Database | None = None
        self._at_work = threading.Lock()  # held by whoever uses the database
        self._scheduled = False  # whether a commit on the event loop is due
        self._seconds = 0.0  # that a commit takes, on average

    def start(self, opened: Reply[Database]) -> None:
        self._opened = opened
        self._thread.start()

    def submit(self, job: Job, alone: bool = False) -> None:
        """Have `job` done; called on the event loop.

        Args:
            alone: nothing else is at work that could share a commit with it.
        """
        database = self._database
        quick = database is not None and database.is_sqlite and self._seconds < QUICK
        with self._wake:
            self._jobs.append(job)
            if not quick or not isinstance(job, Write):
                self._wake.notify()
                return
        if alone and not self._scheduled:
            self._commit_here()
        elif not self._scheduled:
            self._scheduled = True
            self._soon(self._commit_here)

    def _commit_here(self) -> None:
        """Commit on the event loop what is waiting, if nobody has to be waited for."""
        self._scheduled = False
        if not self._at_work.acquire(blocking=False):
            self._hand_over()
            return
        try:
            with self._wake:
                jobs = list(self._jobs)
                if not all(isinstance(job, Write) for job in jobs):
                    self._wake.notify()
                    return
                self._jobs.clear()
            assert self._database is not None  # noqa: S101 - `submit` has looked
            try:
                self._commit(self._database, [job for job in jobs if isinstance(job, Write)], wait=False)
            except BlockingIOError:
                with self._wake:
                    self._jobs.extendleft(reversed(jobs))
                    self._wake.notify()
        finally:
            self._at_work.release()

    def _hand_over(self) -> None:
        with self._wake:
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
        self._database = database
        self._opened.give(database)
        try:
            while self._wait():
                with self._at_work:
                    self._round(database, self._take(wait=False))
        finally:
            database.close()

    def _wait(self) -> bool:
        """Sleeps until there is something to do; False: there never will be."""
        with self._wake:
            while not self._jobs and not self._stopped:
                self._wake.wait()
            return bool(self._jobs)

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

    def _commit(self, database: Database, writes: list[Write], wait: bool = True) -> None:
        if not writes:
            return
        written: list[Write] = []
        began = time.monotonic()

        def work(transaction: Hot) -> None:
            written.extend([job for job in writes if _written(job, transaction)])

        reached("transaction-due")
        try:
            database.write_hot(work, wait)
        except BlockingIOError:
            raise
        except Exception as error:  # noqa: BLE001 - told to everybody whose write it held
            self._rolled_back(error)
            for job in writes:
                job.reply.fail(error)
            return
        self._seconds += WEIGHT * (time.monotonic() - began - self._seconds)
        _tell(written, self._kept(), here=not wait)

    def _kept(self) -> Exception | None:
        """The transaction is on the disk; what kept its witness, where there is one, from being told so."""
        try:
            self._committed()
        except LogUnavailable as error:
            return error
        return None

    def _commit_together(self, database: Database, together: Together, waiting: list[Job]) -> None:
        """One transaction for the actions, for the writes that come meanwhile, and for the last one."""
        joined: list[Write] = []
        later = waiting  # until the actions are done
        reached("transaction-due")
        try:
            with database.write() as connection:
                together.actions(connection)
                reached("actions-done")
                later = []
                together.ready()
                last = self._join(together, waiting, joined, later)
                if last is None:
                    raise _GivenUp
                written = [job for job in joined if _written(job, hot(connection))]
                last(hot(connection))
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            self._rolled_back(error)
            if isinstance(error, _GivenUp):
                together.reply.give(None)
            else:
                together.reply.fail(error)
            self._commit(database, joined)  # what had only joined is written without it
        else:
            unwitnessed = self._kept()
            _tell(written, unwitnessed, here=False)
            together.reply.post(together.reply.done, None, unwitnessed)
        self._round(database, later)

    def _join(
        self, together: Together, waiting: list[Job], joined: list[Write], later: list[Job]
    ) -> Callable[[Hot], None] | None:
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


def _tell(written: list[Write], error: Exception | None, here: bool) -> None:
    """All that were written together are told together: waking the event loop costs as much as a statement."""

    def tell() -> None:
        for job in written:
            job.reply.done(None, error)

    if here:
        tell()
    elif written:
        written[0].reply.post(tell)


def _written(job: Write, transaction: Hot) -> bool:
    try:
        job.work(transaction)
    except LogUnavailable:
        raise
    except (LogError, MessageError) as error:  # this write alone is refused; it has written nothing
        job.reply.fail(error)
        return False
    return True
