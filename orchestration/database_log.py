"""The durable log: facts of runs in SQLite or PostgreSQL, one task a transaction, one writer a run."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from pydantic_core import from_json, to_json
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from ..agents.agent import Exchange
from ..agents.errors import MessageError
from ..agents.registry import Registry
from ..agents.ticket import Post, post_to_this_loop, soon_on_this_loop
from . import decisions, queries, review_deciding, run_rows
from .answer_form import ReviewForm
from .database import Database
from .errors import LogCorrupt, LogError, LogUnavailable, NoSuchRun, RunHeldElsewhere, StaleLease
from .events import TERMINAL, Event, RunStarted
from .fault_points import reached
from .liveness import here
from .log import Decided, Lease, Right, Transaction, exchanges
from .review_answers import Answer
from .run_rows import RunRows
from .schema import definitions, runs, workers
from .statements import Hot
from .training_items import TrainingRow
from .training_log import rows_of_role
from .witness import Witness
from .writer import Call, Last, Reply, Together, Write, WriterThread

T = TypeVar("T")


class DatabaseLog:
    """A log in a file (SQLite) or on a server (PostgreSQL).

        async with Runtime(log="desk.db") as runtime: ...
        async with Runtime(log="postgresql+psycopg://desk@localhost/desk") as runtime: ...

    What has been committed survives the end of the process and of the machine. Several processes may work on one log;
    each run has one of them as its only writer.

    Args:
        place: a file for SQLite, or a URL.
        witness: a file, best on another disk, that is told how far each run has come; a log that was cut short or put
            back to an earlier day is then refused. See witness.py.
    """

    durable = True

    def __init__(self, place: str | Path, *, witness: Path | None = None) -> None:
        self.place = place
        self._witness_path = witness
        self._witness: Witness | None = None
        self.worker = uuid.uuid4().hex[:16]
        self._rows = RunRows()
        self._registries: dict[Lease, Registry] = {}  # of the runs that this process may write
        self._thread: WriterThread | None = None
        self._post: Post | None = None
        self._checked = False

    async def __aenter__(self) -> Self:
        self.worker = uuid.uuid4().hex[:16]
        self._post = post_to_this_loop()
        self._thread = WriterThread(
            lambda: Database(self.place), soon_on_this_loop(), self._committed, self._rows.rolled_back
        )
        answer: _Answer[Database] = _Answer(self._post)
        self._thread.start(answer.reply)
        await answer.wait()
        try:
            await self.call(self._enlist)
        except BaseException:
            self._thread.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            with anyio.CancelScope(shield=True):
                with suppress(LogUnavailable):  # a row too many in a table that nobody counts
                    await self.call(self._leave)
                thread, self._thread = self._thread, None
                thread.stop()
                await anyio.to_thread.run_sync(thread.join)

    async def check(self) -> None:
        def work(database: Database) -> None:
            if (damage := database.damage()) is not None:
                raise LogCorrupt("the database", damage)
            faults = database.read(queries.verify).faults
            if faults:
                raise LogCorrupt(*faults[0].split(": ", 1))

        await self.call(work)

    async def begin(self, events: Sequence[Event], registry: Registry, definition: Mapping[str, Any]) -> Lease:
        started = events[0]
        assert isinstance(started, RunStarted)  # noqa: S101 - the protocol says so
        body = to_json(definition).decode()
        await self._write(lambda hot: self._rows.begin(hot, events, registry, self.worker, body))
        lease = Lease(started.run, 1)
        self._registries[lease] = registry
        return lease

    async def commit(self, lease: Lease, events: Sequence[Event], alone: bool = False) -> None:
        registry = self._registry(lease)
        alone = alone and len(self._registries) == 1
        try:
            await self._write(lambda hot: self._rows.append(hot, lease, events, registry), alone)
        except LogError:
            self._registries.pop(lease, None)  # the run is over for this process
            raise
        if isinstance(events[-1], TERMINAL):
            self._registries.pop(lease, None)

    async def transact(
        self, lease: Lease, actions: Sequence[Transaction], follow: Callable[[], Sequence[Event]]
    ) -> None:
        registry = self._registry(lease)
        answer: _Answer[None] = _Answer(self._opened()[1])
        thread, post = self._opened()
        raised: list[Exception] = []
        ended = False

        def act(connection: Connection) -> None:
            try:
                for action in actions:
                    action(connection)
            except Exception as error:
                if not (isinstance(error, DBAPIError) and error.connection_invalidated):  # the server has gone
                    raised.append(error)
                raise

        def hand_in() -> None:  # on the event loop
            nonlocal ended
            last: Callable[[Hot], None] | None = None
            try:
                if events := follow():
                    ended = isinstance(events[-1], TERMINAL)
                    last = lambda hot: self._rows.append(hot, lease, events, registry)  # noqa: E731
            finally:
                thread.submit(Last(together, last))

        together = Together(act, lambda: post(hand_in), answer.reply)
        thread.submit(together)
        reached("write-handed-in")
        with anyio.CancelScope(shield=True):  # half-way there is no turning back
            try:
                await answer.wait()
            except LogUnavailable:
                if raised:  # by an action, which is no fault of the log
                    raise raised[0]  # noqa: B904 - it comes first
                raise
        if ended:
            self._registries.pop(lease, None)

    async def allow(self, by: str, right: Right) -> None:
        await self.call(lambda database: database.read(lambda connection: decisions.allow(connection, by, right)))

    async def decided(self, runs: Sequence[str]) -> Sequence[Decided]:
        found = list(runs)
        return await self.call(
            lambda database: database.read(lambda connection: review_deciding.decided_of(connection, found))
        )

    async def answer(self, run: str, task: str, answer: Answer, form: ReviewForm) -> int | None:
        def work(database: Database) -> int | None:
            with database.write() as connection:
                decisions.take_turn(connection)
                return review_deciding.answer_inside(connection, run, task, answer, form, time.time())

        return await self.call(work)

    async def refuse(self, decided: Decided, problem: str) -> None:
        def work(database: Database) -> None:
            with database.write() as connection:
                decisions.take_turn(connection)
                review_deciding.refuse(connection, decided, problem, time.time())

        await self.call(work)

    def taking(self, decided: Decided) -> Transaction | None:
        return lambda connection: review_deciding.take(connection, decided, time.time())

    def expiring(self, run: str, task: str) -> Transaction | None:
        return lambda connection: review_deciding.expire(connection, run, task, time.time())

    async def claim(self, run: str, registry: Registry) -> Lease:
        lease: Lease | None = None
        while lease is None:
            lease = await self.call(lambda database: self._claimed(database, run))
        self._registries[lease] = registry
        return lease

    def _claimed(self, database: Database, run: str) -> Lease | None:
        """The lease; None: somebody else took the run between two looks at it, and is to be looked at."""
        row = database.read(lambda connection: run_rows.run_row(connection, run))
        if row is None:
            raise NoSuchRun(run)
        if row.worker not in (None, self.worker) and database.liveness.alive(str(row.worker)):
            raise RunHeldElsewhere(run, database.read(lambda connection: run_rows.place_of(connection, row.worker)))
        try:
            with database.write() as connection:
                return self._rows.claim(connection, run, row.fence, self.worker)
        except StaleLease:
            return None

    async def release(self, lease: Lease) -> None:
        def work(database: Database) -> None:
            with database.write() as connection:
                self._rows.release(connection, lease)

        self._registries.pop(lease, None)
        await self.call(work)

    async def read(self, run: str, registry: Registry) -> Sequence[Event]:
        return await self.call(lambda database: database.read(lambda found: run_rows.read(found, run, registry)))

    async def definition(self, digest: str) -> Mapping[str, Any]:
        chosen = select(definitions.c.body).where(definitions.c.digest == digest)
        body = await self.call(lambda database: database.read(lambda found: found.execute(chosen).scalar()))
        if body is None:
            raise LogCorrupt(f"definition {digest[:12]}", "it is missing")
        found: Mapping[str, Any] = from_json(body)
        return found

    async def find(self, flow: str, key: str) -> str | None:
        return await self.call(lambda database: database.read(lambda found: run_rows.find(found, flow, key)))

    async def unfinished(self, flow: str) -> Sequence[str]:
        chosen = select(runs.c.id).where(runs.c.flow == flow, runs.c.state == "running").order_by(runs.c.started)
        return await self.call(lambda database: database.read(lambda found: list(found.execute(chosen).scalars())))

    async def exchanges(self, thread: str, node: str, registry: Registry, but_run: str) -> Sequence[Exchange]:
        chosen = select(runs.c.id).where(runs.c.thread == thread, runs.c.id != but_run).order_by(runs.c.started)

        def work(connection: Connection) -> list[Exchange]:
            found: list[Exchange] = []
            for run in connection.execute(chosen).scalars().all():
                try:
                    found += exchanges(run_rows.read(connection, run, registry, node), node)
                except MessageError:  # a node of the same name in a flow of other types
                    continue
            return found

        return await self.call(lambda database: database.read(work))

    async def training_rows(self, role: str | None = None, flow: str | None = None) -> Sequence[TrainingRow]:
        return await self.call(
            lambda database: database.read(lambda connection: list(rows_of_role(connection, role, flow)))
        )

    def _registry(self, lease: Lease) -> Registry:
        if lease not in self._registries:
            raise LogError(f"run {lease.run!r} is not written here any more, because a commit of it was refused")
        return self._registries[lease]

    async def call(self, work: Callable[[Database], T]) -> T:
        """What `work` gives, done alone in the log's thread."""
        thread, post = self._opened()
        answer: _Answer[T] = _Answer(post)
        thread.submit(Call(work, answer.reply))
        return await answer.wait()

    async def _write(self, work: Callable[[Hot], None], alone: bool = False) -> None:
        thread, post = self._opened()
        answer: _Answer[None] = _Answer(post)
        thread.submit(Write(work, answer.reply), alone)
        reached("write-handed-in")
        await answer.wait()

    def _committed(self) -> None:
        heads = self._rows.committed()
        if self._witness is not None and heads:
            self._witness.note(heads)

    def _enlist(self, database: Database) -> None:
        if self._witness_path is not None:
            self._witness = Witness(self._witness_path)
            missing = database.read(lambda connection: queries.missing(connection, self._witness))
            if missing:
                raise LogCorrupt(missing[0], "the log was cut short, or put back to an earlier day")
        database.liveness.hold(self.worker)
        with database.write() as connection:
            connection.execute(workers.insert().values(id=self.worker, place=here()))

    def _leave(self, database: Database) -> None:
        if self._witness is not None:
            self._witness.close()
            self._witness = None
        with database.write() as connection:
            connection.execute(workers.delete().where(workers.c.id == self.worker))

    def _opened(self) -> tuple[WriterThread, Post]:
        if self._thread is None or self._post is None:
            raise RuntimeError("the log is not open; use `async with`")
        return self._thread, self._post


class _Answer(Reply[T]):
    """A reply that is awaited on the event loop."""

    def __init__(self, post: Post) -> None:
        super().__init__(post, self._take)
        self._came: anyio.Event | None = None  # made by whoever has to wait
        self._ended = False
        self._result: T | None = None
        self._error: BaseException | None = None

    @property
    def reply(self) -> Reply[T]:
        return self

    async def wait(self) -> T:
        if not self._ended:
            self._came = anyio.Event()
            await self._came.wait()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # without an error there is a result

    def _take(self, result: T | None, error: BaseException | None) -> None:
        self._ended, self._result, self._error = True, result, error
        if self._came is not None:
            self._came.set()
