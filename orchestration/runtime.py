"""`Runtime`: owns the task group, the log and the models for as long as its block lasts, and starts runs in it."""

import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import anyio
from anyio.abc import TaskGroup

from ..agents.agent import In, Out, Resource
from ..agents.errors import MessageError
from ..agents.hosting import LocalHost
from ..agents.lazy_engine import LazyEngine
from ..agents.loading import load
from ..agents.messages import Message, repair_text
from ..agents.type_forms import describe, is_instance
from . import scheduler
from .definition import changes, definition_of, digest_of
from .desk_watch import DeskWatch
from .errors import KeyTaken, LogError, ResumeRefused, RunError, RunHeldElsewhere, UndeliverableMessage
from .events import RunStarted
from .forking import forked
from .log import Log, MemoryLog
from .rebuild import Rebuilt, rebuild
from .run import Run
from .run_names import RunNames
from .state import Command
from .weights import changed_weights, serving_weights
from .workflow import Flow

if TYPE_CHECKING:
    from ..agents.inference import Inference


Observer: TypeAlias = Callable[[Run[Any]], Coroutine[Any, Any, None]]
"""Follows a run by its events, for as long as it is at work."""


class Resumed(NamedTuple):
    """What became of the runs that had not ended."""

    runs: tuple[Run[Any], ...]  # at work again, or waiting for people
    refused: Mapping[str, Exception]  # by run: why it cannot go on under this program
    elsewhere: tuple[str, ...]  # runs that another living process has


class Runtime:
    """Where flows run.

        async with Runtime(log="desk.db") as runtime:
            run = await runtime.start(flow, Question(text="…"))
            note = await run.result()

    Leaving the block stops every run that has not ended; with a durable log, `resume` takes them up again.

    Args:
        log: where facts are kept: a file for SQLite, a URL such as "postgresql+psycopg://host/desk", a `Log`; None: in
            memory, for as long as the process lives.
        engine: the models; None: an engine is opened when an agent first asks for one.
        device: "cpu", "cuda", …; None: chosen by a probe. Only used when `engine` is None.
        limit: tasks of one run at work at the same time; None: no limit.
        seed: makes sampling and jitter repeatable; the same seed gives the same answers.
        flows: the flows that `resume()` takes up runs of, besides those that are started here.
        observers: each is called with every run that is at work here, and follows it; see tracing.py.
    """

    def __init__(
        self,
        *,
        log: Log | str | Path | None = None,
        engine: "Inference | None" = None,
        device: str | None = None,
        limit: int | None = None,
        seed: int = 0,
        flows: Iterable[Flow[Any, Any]] = (),
        observers: Iterable[Observer] = (),
    ) -> None:
        self.log = _log_of(log)
        self._lazy = LazyEngine(device)  # opens nothing until asked
        self.host = LocalHost(engine if engine is not None else self._lazy)
        self._limit = limit
        self._seed = seed
        self._names = RunNames()
        self._flows = {flow.name: flow for flow in flows}
        self._observers = tuple(observers)
        self._keyed: dict[str, Run[Any]] = {}  # runs that were started with an idempotency key
        self._runs: weakref.WeakValueDictionary[str, Run[Any]] = weakref.WeakValueDictionary()  # of this process
        self._starting: dict[tuple[str, str], anyio.Lock] = {}  # one start at a time for a flow and a key
        self._limiters: dict[object, anyio.CapacityLimiter] = {}
        self._definitions: weakref.WeakKeyDictionary[Flow[Any, Any], tuple[str, dict[str, Any]]] = (
            weakref.WeakKeyDictionary()
        )
        self._desks = DeskWatch(self.log)
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await self.log.__aenter__()
        await self._lazy.__aenter__()
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._group is not None:
                group, self._group = self._group, None
                group.cancel_scope.cancel()
                # The block's own error is not handed to the group, which would wrap it in an ExceptionGroup.
                await group.__aexit__(None, None, None)
        finally:  # also where the block was cancelled
            try:
                await self._lazy.__aexit__(kind, error, trace)
            finally:
                await self.log.__aexit__(kind, error, trace)

    @property
    def engine(self) -> "Inference":
        """The models, for calling an agent or an index by hand."""
        return self.host.engine

    async def resource(self, key: Hashable, create: Callable[[], Awaitable[Resource]]) -> Resource:
        """The runtime's resource under `key`, created once; see `Host`."""
        return await self.host.resource(key, create)

    async def start(
        self,
        flow: Flow[In, Out],
        message: In,
        *,
        thread: str | None = None,
        key: str | None = None,
        by: str | None = None,
    ) -> Run[Out]:
        """Start a run of `flow`. It is in the log when this returns.

        Args:
            thread: the conversation that the run belongs to; its agents see earlier turns of it.
            key: an idempotency key; starting the same flow again with it gives the same run, also after a restart.
            by: the person who starts it. A review may keep them from deciding about it (`author_may_decide=False`).

        Raises:
            UndeliverableMessage: the flow does not take this type of message.
            ValueError: `thread`, `key` or `by` holds NUL or a lone surrogate, which no database can hold.
            NotAllowed: the log names people, and `by` may not start runs.
            RunHeldElsewhere: another living process has the run with this key.
        """
        group = self._opened()
        if not isinstance(message, Message) or not is_instance(message, flow.signature.consumes):
            raise UndeliverableMessage("(start)", type(message).__name__, describe(flow.signature.consumes))
        _check_text("thread", thread)
        _check_text("key", key)
        _check_text("by", by)
        if by is not None:
            await self.log.allow(by, "start")
        self._flows.setdefault(flow.name, flow)
        if key is None:
            return await self._begin(group, flow, message, thread, None, by)
        async with self._starting.setdefault((flow.name, key), anyio.Lock()):
            known = await self.log.find(flow.name, key)
            if known is None:
                try:
                    run = await self._begin(group, flow, message, thread, key, by)
                except KeyTaken as taken:  # by another process, just now
                    run = await self._take_up(group, flow, taken.run)
            elif known in self._keyed:
                run = self._keyed[known]
            else:
                run = await self._take_up(group, flow, known)
            self._keyed[run.id] = run
            return run

    async def resume(self, *flows: Flow[Any, Any], pin: bool = False) -> Resumed:
        """Take up every run that has not ended; those of `flows`, or of all flows that this runtime knows.

        A task that had finished does not run again; one that had not, does, except where it declares an effect. Every
        row of the log is checked before any node runs.

        Args:
            pin: let each role that has answered in a run answer with the same weights to its end.

        Raises:
            LogCorrupt: a row of the log is not as it was written.
        """
        group = self._opened()
        await self.log.check()
        taken: list[Run[Any]] = []
        refused: dict[str, Exception] = {}
        elsewhere: list[str] = []
        for flow in flows or tuple(self._flows.values()):
            for identity in await self.log.unfinished(flow.name):
                if self._has(identity):
                    continue
                try:
                    taken.append(await self._read(flow, identity, pin))
                except RunHeldElsewhere:
                    elsewhere.append(identity)
                except (ResumeRefused, MessageError) as error:
                    refused[identity] = error
        await self._go_on_with(group, taken, pin)
        return Resumed(tuple(taken), refused, tuple(elsewhere))

    async def resume_run(self, flow: Flow[Any, Out], run: str, *, pin: bool = False) -> Run[Out]:
        """Take up one run. One that has ended is only read: its result is there at once.

        Raises:
            NoSuchRun: the log does not have it.
            RunHeldElsewhere: another living process has it.
            ResumeRefused: the program has changed in ways that the run cannot go on with.
            LogCorrupt: its facts are not as they were written.
        """
        return await self._take_up(self._opened(), flow, run, pin)

    async def retry(self, flow: Flow[Any, Out], run: str, *, by: str = "operator") -> Run[Out]:
        """Put the task that ended `run` back to work, with all its attempts, and go on from there.

        Raises:
            RunError: no task ended the run; see also `resume_run`.
            NotAllowed: the log names people, and `by` may not operate.
        """
        group = self._opened()
        if self._has(run):
            raise RunError(f"run {run!r} is at work; only a run that a task has ended can be retried")
        await self.log.allow(by, "operate")
        taken = await self._read(flow, run, pin=False)
        try:
            commands = await taken.retry(by)
        except RunError:
            await self.log.release(taken.lease)
            raise
        self._serve(group, taken, commands)
        return taken

    async def fork(
        self,
        flow: Flow[Any, Out],
        run: str,
        *,
        before: str,
        message: Message | None = None,
        releases: Mapping[str, str] | None = None,
    ) -> Run[Out]:
        """A new run that does `before`, and what lies downstream of it, anew; all else is taken from `run`.

        Args:
            flow: the flow of `run`, or one in which a node was swapped.
            before: a node, or a task such as "work#2" or "plan[3]/search".
            message: what goes into it, in place of what went in; None: the same.
            releases: role -> digest of the release that answers in the new run; "" for the role's zero-shot form.

        Raises:
            NoSuchRun: the log does not have the run.
            ResumeRefused: `before` is no task of it, or the flow has changed too much.
            UndeliverableMessage: the node does not take `message`.
        """
        group = self._opened()
        facts = await self.log.read(run, flow.registry)
        digest, definition = self._definition(flow)
        identity = self._names.new(time.time())
        fork = forked(flow, facts, identity, before, message, digest, releases or {})
        lease = await self.log.begin(fork.facts, flow.registry, definition)
        new: Run[Out] = Run(self, flow, identity)
        new.take_up(fork.state, fork.facts, lease)
        self._serve(group, new, fork.commands)
        return new

    async def _begin(
        self,
        group: TaskGroup,
        flow: Flow[In, Out],
        message: Message,
        thread: str | None,
        key: str | None,
        by: str | None,
    ) -> Run[Out]:
        run: Run[Out] = Run(self, flow, self._names.new(time.time()))
        digest, definition = self._definition(flow)
        started = RunStarted(
            run.id, 1, time.time(), flow.name, message, thread, key, self._seed, self._limit, definition=digest, by=by
        )
        commands = await run.begin(started, definition)
        self._serve(group, run, commands)
        return run

    def _serve(self, group: TaskGroup, run: Run[Any], commands: Sequence[Command]) -> None:
        self._runs[run.id] = run
        group.start_soon(run.serve, commands, name=run.id)
        for observer in self._observers:
            group.start_soon(observer, run, name=f"{run.id} observed")

    def _has(self, identity: str) -> bool:
        """Whether a run is at work here already."""
        run = self._runs.get(identity)
        return run is not None and not run.ended

    async def _take_up(self, group: TaskGroup, flow: Flow[Any, Out], identity: str, pin: bool = False) -> Run[Out]:
        if self._has(identity):
            return self._runs[identity]
        run = await self._read(flow, identity, pin)
        await self._go_on(group, run, pin)
        return run

    async def _go_on_with(self, group: TaskGroup, runs: Sequence[Run[Any]], pin: bool) -> None:
        """All at once; but where processes have ended often, one run after the other of those that were at work then.

        So none is given up for what another did.
        """
        careful = any(run.crashes >= scheduler.CRASHES - 1 for run in runs)
        suspects = [run for run in runs if careful and run.crashes]
        for run in runs:
            if run not in suspects:
                await self._go_on(group, run, pin)
        if suspects:
            group.start_soon(self._one_after_the_other, group, sorted(suspects, key=lambda run: run.crashes), pin)

    async def _one_after_the_other(self, group: TaskGroup, runs: Sequence[Run[Any]], pin: bool) -> None:
        waiting = deque(runs)
        try:
            while waiting:
                with suppress(LogError):  # which has broken the run, and its result says so
                    await self._go_on(group, waiting[0], pin)
                await waiting.popleft().wait_cleared()
        finally:
            for run in waiting:
                run.leave()

    async def _go_on(self, group: TaskGroup, run: Run[Any], pin: bool) -> None:
        if run.ended:
            await self.log.release(run.lease)
            return
        commands = await run.go_on(self._limit, await serving_weights(run.facts()) if pin else {})
        self._serve(group, run, commands)

    async def _read(self, flow: Flow[Any, Out], identity: str, pin: bool) -> Run[Out]:
        """The run as the log has it, checked against the program as it is now, and claimed for this runtime."""
        lease = await self.log.claim(identity, flow.registry)
        try:
            facts = await self.log.read(identity, flow.registry)
            rebuilt = rebuild(flow, facts)
            await self._check(flow, identity, rebuilt, pin, facts)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.log.release(lease)
            raise
        run: Run[Out] = Run(self, flow, identity)
        run.take_up(rebuilt.state, facts, lease)
        self._runs[identity] = run
        return run

    async def _check(self, flow: Flow[Any, Any], run: str, rebuilt: Rebuilt, pin: bool, facts: Any) -> None:
        started = facts[0]
        found: list[str] = []
        if started.flow != flow.name:
            found.append(f"it is a run of flow {started.flow!r}, not of {flow.name!r}")
        elif started.definition != self._definition(flow)[0]:
            found += changes(await self.log.definition(started.definition), self._definition(flow)[1])
        found += rebuilt.divergences if not found else []
        if not pin and not rebuilt.state.ended:
            found += await changed_weights(facts)
        if found:
            raise ResumeRefused(run, found)

    def _definition(self, flow: Flow[Any, Any]) -> tuple[str, dict[str, Any]]:
        if flow not in self._definitions:
            definition = definition_of(flow)
            self._definitions[flow] = digest_of(definition), definition
        return self._definitions[flow]

    def _opened(self) -> TaskGroup:
        if self._group is None:
            raise RunError("the runtime is not open; use `async with Runtime() as runtime`")
        return self._group

    def watch(self, run: Run[Any]) -> None:
        """Have the log looked at for what people answer to the reviews of `run`."""
        if self._group is not None:
            self._desks.add(self._group, run)

    def limiter(self, node: object, limit: int) -> anyio.CapacityLimiter:
        """The limiter that all runs share for `node`."""
        return self._limiters.setdefault(node, anyio.CapacityLimiter(limit))


def run_sync(flow: Flow[In, Out], message: In) -> Out:
    """Run `flow` once, to its result, in an event loop of its own.

    Raises:
        RunError: the run failed, or waits for a person.
    """

    async def once() -> Out:
        async with Runtime() as runtime:
            run = await runtime.start(flow, message)
            await run.wait_settled()
            if not run.ended:
                waiting = ", ".join(review.task for review in run.pending)
                raise RunError(f"flow {flow.name!r} waits for a person at {waiting}; use Runtime and `run.answer`")
            return await run.result()

    return anyio.run(once)


def _log_of(log: Log | str | Path | None) -> Log:
    if log is None:
        return MemoryLog()
    if isinstance(log, str | Path):
        opened: Log = load("orchestration.database_log").DatabaseLog(log)
        return opened
    return log


def _check_text(what: str, text: str | None) -> None:
    if text is not None and repair_text(text) != text:
        raise ValueError(f"{what}={text!r} holds NUL or a lone surrogate, which no database can hold")
