"""One run: the thin asynchronous shell around the scheduler.

It performs what the scheduler commands, commits what happened and only then lets anybody see it. It decides nothing
about the order of work (scheduler.py) and keeps nothing that the log does not have (log.py).
"""

import random
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from pydantic import ValidationError

from ..agents.agent import Agent, Context, Host, Out
from ..agents.errors import MessageError, OutputTypeError
from ..agents.messages import Message, repair_text
from ..agents.type_forms import describe, is_instance
from .errors import NodeTimeout, ReviewAnswerError, ReviewRejected, RunCancelled, RunError, UndeliverableMessage
from .events import (
    TERMINAL,
    Event,
    ReviewAnswered,
    ReviewRequested,
    RunFinished,
    RunStarted,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    TimerFired,
    TokenDelta,
)
from .events import (
    RunCancelled as RunCancelledFact,
)
from .events import (
    RunFailed as RunFailedFact,
)
from .log import Log, exchanges
from .nodes import FunctionNode
from .review import Answer, Review
from .scheduler import AskReview, CancelTasks, Command, Fail, Finish, RunTask, SetTimer, State, Task, advance
from .workflow import Flow

NEVER_RETRIED = (ValidationError, MessageError, OutputTypeError, UndeliverableMessage)
SLICE = 0.001  # seconds that nodes which never wait may keep the event loop to themselves
HALVINGS = 3  # attempts with half the batch each that running out of memory gets, whatever the policy
DELTAS_KEPT = 4096  # pieces of text that a slow reader may be behind before it misses some


@dataclass(frozen=True, slots=True)
class Raised:
    """An attempt ended in this exception."""

    error: Exception


class Surroundings(Protocol):
    """What a run needs from the runtime around it."""

    @property
    def log(self) -> Log: ...

    @property
    def host(self) -> Host: ...

    def limiter(self, node: object, limit: int) -> anyio.CapacityLimiter: ...


class Run(Generic[Out]):
    """A flow at work on one input. Made by `Runtime.start`."""

    def __init__(
        self, surroundings: Surroundings, flow: Flow[Any, Out], identity: str, *, seed: int, limit: int | None
    ) -> None:
        self.id = identity
        self.flow = flow
        self.thread: str | None = None
        self._around = surroundings
        self._state = State(flow, limit=limit)
        self._seed = seed
        self._seq = 0
        self._deltas: deque[TokenDelta] = deque(maxlen=DELTAS_KEPT)
        self._delta_count = 0
        self._changed: anyio.Event | None = None
        self._ended = anyio.Event()
        self._outcome: Message | BaseException | None = None
        self._group: TaskGroup | None = None
        self._queue: deque[RunTask] = deque()  # tasks that no worker has taken yet
        self._spare = False  # whether a worker has been started that has not begun
        self._busy = 0  # attempts and timers in progress: what an end must stop
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._reviews: dict[str, Task] = {}
        self._halvings: dict[str, int] = {}  # task -> how often it ran out of memory

    # What a caller may ask.

    async def result(self) -> Out:
        """The run's result, once it has one.

        Raises:
            RunFailed: a task failed and nothing caught it.
            RunCancelled: the run was cancelled.
            RunError: anything else that ended it; the class says what.
        """
        await self._ended.wait()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome  # type: ignore[return-value]  # the flow's build checked the type of its ends

    async def events(self, after: int = 0) -> AsyncIterator[Event | TokenDelta]:
        """Everything that happens, from the fact after number `after` on, until the run ends.

        Facts are read from the log, so a late or slow reader misses none; pieces of text may be missed.
        """
        seen_deltas = self._delta_count
        while True:
            waiting = self._change()
            deltas = self._deltas_since(seen_deltas)
            seen_deltas = self._delta_count
            for event in _merged(self._around.log.read(self.id, after), deltas):
                if not isinstance(event, TokenDelta):  # a delta may run ahead of a fact that is still being committed
                    after = event.seq
                yield event
                if isinstance(event, TERMINAL):
                    return
            if self._ended.is_set() and not self._around.log.read(self.id, after):
                return
            await waiting.wait()

    def facts(self, after: int = 0) -> Sequence[Event]:
        """What has happened so far, from the fact after number `after` on."""
        return self._around.log.read(self.id, after)

    async def cancel(self) -> None:
        """Stop every task of the run now. A run that has ended stays as it is."""
        if self._state.ended:
            return
        self._state.ended = True
        await self._commit(RunCancelledFact(*self._stamp()))
        self._end(RunCancelled(self.id))

    async def answer(self, task: str, answer: Answer) -> None:
        """Answer the pending review `task`.

        Raises:
            ReviewAnswerError: no such review is pending, or the answer does not fit it; nothing has changed.
        """
        pending = self._pending(task)
        try:
            outcome = self.reviewer(task).decide(pending.message, answer)
        except ReviewRejected as rejection:
            outcome = Raised(rejection)
        del self._reviews[task]
        while self._group is None and not self._ended.is_set():  # asked before the run was served
            await anyio.lowlevel.checkpoint()
        answered = ReviewAnswered(*self._stamp(), task=task, node=pending.node, answer=answer)
        await self._settle(pending, 1, outcome, answered)
        self._start_worker()

    @property
    def pending(self) -> tuple[ReviewRequested, ...]:
        """The reviews that wait for a person, oldest first."""
        log = self._around.log.read(self.id) if self._reviews else ()
        return tuple(event for event in log if isinstance(event, ReviewRequested) and event.task in self._reviews)

    def reviewer(self, task: str) -> Review[Any, Any]:
        """The review node that the pending review `task` stands at.

        Raises:
            ReviewAnswerError: no such review is pending.
        """
        pending = self._pending(task)
        node: Review[Any, Any] = pending.flow.nodes[pending.node]  # type: ignore[assignment]
        return node

    async def wait_settled(self) -> None:
        """Return when the run has ended, or when only people can make it go on."""
        while not (self._ended.is_set() or self._waits_for_people()):
            await self._change().wait()

    def _waits_for_people(self) -> bool:
        state = self._state
        if not self._reviews or len(self._reviews) < len(state.tasks):
            return False
        return not any(fork.timed for fork in state.forks.values()) and len(self.pending) == len(self._reviews)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def _pending(self, task: str) -> Task:
        if task not in self._reviews:
            waiting = ", ".join(sorted(self._reviews)) or "none"
            raise ReviewAnswerError(f"run {self.id!r} has no pending review {task!r}; pending: {waiting}")
        return self._reviews[task]

    # What the runtime does with it.

    async def begin(self, message: Message, *, thread: str | None, key: str | None) -> list[Command]:
        """Commit the start of the run; the commands are for `serve`."""
        self.thread = thread
        started = RunStarted(
            *self._stamp(), flow=self.flow.name, message=message, thread=thread, key=key, seed=self._seed
        )
        return await self._record(started)

    async def serve(self, commands: Sequence[Command]) -> None:
        """Work until the run ends. What breaks the run itself (a failed commit, say) is raised by `result`."""
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                self._perform(commands)
                self._start_worker()
                if not self._ended.is_set():
                    await self._ended.wait()
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the result
            alone = isinstance(error, ExceptionGroup) and len(error.exceptions) == 1
            self._break(error.exceptions[0] if alone else error)  # type: ignore[attr-defined]
        finally:
            if not self._ended.is_set():
                self._end(RunCancelled(self.id))

    # Work.

    async def _work(self) -> None:
        """Take tasks from the queue until it is empty.

        A worker that takes one while others wait starts the next worker first. So a node that waits never keeps another
        from starting, and nodes that do not wait share one asynchronous task instead of paying for one each.
        """
        self._spare = False
        since = time.monotonic()
        while self._queue:
            if time.monotonic() - since > SLICE:
                await anyio.lowlevel.checkpoint()  # nodes that never wait must not keep others from running
                since = time.monotonic()
                continue
            command = self._queue.popleft()
            self._start_worker()
            await self._do(command)

    async def _do(self, command: RunTask) -> None:
        """Do one task and what follows from its outcome."""
        task = command.task
        if task.id not in self._state.tasks:  # cancelled before it began
            return
        if task.scope.timed or task.flow is not self.flow:  # only these are ever cancelled one by one
            with anyio.CancelScope() as scope:
                self._scopes[task.id] = scope
                outcome = await self._attempt(command)
            del self._scopes[task.id]
            if scope.cancelled_caught:
                return
        else:
            outcome = await self._attempt(command)
        await self._settle(task, command.attempt, outcome)

    async def _attempt(self, command: RunTask) -> Any:
        """What the task's node answers, or what it raised."""
        task = command.task
        policy = task.flow.policies[task.node]
        self._busy += 1
        try:
            if command.delay:
                await anyio.sleep(command.delay)
            if policy.limit is None:
                return await self._timed(task, command.attempt, policy.timeout)
            async with self._around.limiter(task.flow.nodes[task.node], policy.limit):
                return await self._timed(task, command.attempt, policy.timeout)
        except Exception as error:  # noqa: BLE001 - becomes the fact TaskFailed
            return Raised(error)
        finally:
            self._busy -= 1

    async def _timed(self, task: Task, attempt: int, seconds: float | None) -> Any:
        if seconds is None:
            return await self._call(task, attempt)
        with anyio.move_on_after(seconds) as scope:
            return await self._call(task, attempt)
        assert scope.cancelled_caught  # noqa: S101 - the block either returns, raises or is timed out
        raise NodeTimeout(task.node, seconds)

    async def _call(self, task: Task, attempt: int) -> Any:
        node = task.flow.nodes[task.node]
        if isinstance(node, FunctionNode):
            context = self._context(task, attempt) if node.context_parameter else None
            output = await node.call(task.message, task.given, context)
        else:
            agent: Agent[Any, Any] = node  # type: ignore[assignment]  # the build refuses anything else
            output = await agent.handle(task.message, self._context(task, attempt))
        expected = node.signature.produces
        if output.__class__ is not expected and not is_instance(output, expected):
            raise UndeliverableMessage(task.id, _kind_of(output), describe(expected))
        return output

    def _context(self, task: Task, attempt: int) -> Context:
        return Context(
            host=self._around.host,
            run=self.id,
            node=task.node,
            task=task.id,
            attempt=attempt,
            thread=self.thread,
            seed=zlib.crc32(f"{self._seed}/{task.id}".encode()),
            batch_share=0.5 ** self._halvings.get(task.id, 0),
            listen=self._listener(task.id),
            history=self._history,
        )

    def _chance(self, task: str, attempt: int) -> random.Random:
        """The jitter of one retry: repeatable, and different for each run, so that runs do not retry in step."""
        return random.Random(f"{self._seed}/{self.id}/{task}/{attempt}")  # noqa: S311 - no secret

    def _listener(self, task: str) -> Callable[[str], None]:
        def listen(text: str) -> None:
            self._deltas.append(TokenDelta(run=self.id, seq=self._seq, task=task, text=repair_text(text)))
            self._delta_count += 1
            self._wake()

        return listen

    def _history(self, node: str) -> list[Any]:
        return [] if self.thread is None else exchanges(self._around.log, self.thread, node, self.id)

    async def _timer(self, command: SetTimer) -> None:
        if self._ended.is_set():
            return
        self._busy += 1
        try:
            await anyio.sleep(command.delay)
        finally:
            self._busy -= 1
        if command.fork in self._state.forks:
            self._perform(await self._record(TimerFired(*self._stamp(), fork=command.fork)))
            self._start_worker()

    # Facts and what follows from them.

    async def _settle(self, task: Task, attempt: int, outcome: Any, *before: Event) -> None:
        """Commit what came of a task and do what follows."""
        if self._state.ended or task.id not in self._state.tasks:
            return
        if isinstance(outcome, Raised):
            failed = self._failure(task, attempt, outcome.error)
            self._perform(await self._record(*before, failed, cause=outcome.error))
        else:
            finished = TaskFinished(*self._stamp(), task=task.id, node=task.node, output=outcome)
            self._perform(await self._record(*before, finished))

    def _failure(self, task: Task, attempt: int, error: Exception) -> TaskFailed:
        policy = task.flow.policies[task.node]
        halvings = self._halvings.get(task.id, 0)
        if isinstance(error, MemoryError):  # OutOfMemory is one, too
            again = halvings < HALVINGS
            self._halvings[task.id] = halvings + 1
        else:
            again = attempt - halvings <= policy.retries and not isinstance(error, (*NEVER_RETRIED, ReviewRejected))
        return TaskFailed(
            *self._stamp(),
            task=task.id,
            node=task.node,
            attempt=attempt,
            error=type(error).__name__,
            reason=repair_text(str(error)),
            kinds=_kinds(type(error)),
            retry_in=policy.delay(attempt, self._chance(task.id, attempt)) if again else None,
        )

    async def _record(self, *happened: Event, cause: Exception | None = None) -> list[Command]:
        """Commit `happened` and the facts that follow from it, in one transaction, and return what to do."""
        commands = advance(self._state, happened[-1])
        # Known before it is in the log, so that whoever reads a request there can answer it at once.
        self._reviews.update((command.task.id, command.task) for command in commands if isinstance(command, AskReview))
        follow = [fact for command in commands if (fact := self._fact(command)) is not None]
        await self._commit(*happened, *follow)
        self._wake()
        for command in commands:
            if isinstance(command, Fail) and cause is not None:
                command.error.__cause__ = cause
        return commands

    async def _commit(self, *happened: Event) -> None:
        try:
            await self._around.log.commit(self.id, happened)
        except Exception as error:
            self._break(error)
            raise

    def _fact(self, command: Command) -> Event | None:
        match command:
            case RunTask(task=task, attempt=attempt):
                inputs = list(task.message) if isinstance(task.message, tuple) else [task.message]
                return TaskStarted(
                    *self._stamp(),
                    task=task.id,
                    node=task.node,
                    attempt=attempt,
                    inputs=inputs,
                    given=task.given,
                )
            case AskReview(task=task):
                return ReviewRequested(*self._stamp(), task=task.id, node=task.node, message=task.message)
            case Finish(message=message):
                return RunFinished(*self._stamp(), message=message)
            case Fail(node=node, error=error):
                name = type(error).__name__
                return RunFailedFact(*self._stamp(), node=node, error=name, reason=str(error))
            case _:
                return None

    def _perform(self, commands: Sequence[Command]) -> None:
        if self._ended.is_set():  # while the facts were being committed
            return
        for command in commands:
            match command:
                case RunTask():
                    self._queue.append(command)
                case SetTimer():
                    self._start(self._timer, command)
                case CancelTasks(tasks=tasks):
                    self._cancel_tasks(tasks)
                case Finish(message=message):
                    self._end(message)
                case Fail(error=error):
                    self._end(error)

    def _cancel_tasks(self, tasks: Sequence[str]) -> None:
        for name in tasks:
            self._reviews.pop(name, None)
            if name in self._scopes:
                self._scopes[name].cancel()

    def _start_worker(self) -> None:
        """See that a worker begins for what is in the queue."""
        if self._queue and not self._spare:
            self._spare = True
            self._start(self._work)

    def _start(self, function: Callable[..., Any], *arguments: Any) -> None:
        assert self._group is not None  # noqa: S101 - `serve` opens the group before anything is performed
        self._group.start_soon(function, *arguments, name=self.id)

    def _stamp(self) -> tuple[str, int, float]:
        self._seq += 1
        return self.id, self._seq, time.time()

    def _break(self, error: Exception) -> None:
        broken = RunError(f"run {self.id!r} broke: {error!r}")
        broken.__cause__ = error
        self._end(broken)

    def _end(self, outcome: Message | BaseException) -> None:
        if self._ended.is_set():
            return
        self._outcome = outcome
        self._state.ended = True
        self._reviews.clear()
        self._ended.set()
        if self._busy and self._group is not None:
            self._group.cancel_scope.cancel()
        self._wake()

    def _change(self) -> anyio.Event:
        if self._changed is None:
            self._changed = anyio.Event()
        return self._changed

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _deltas_since(self, count: int) -> list[TokenDelta]:
        new = min(self._delta_count - count, len(self._deltas))
        return [self._deltas[index] for index in range(len(self._deltas) - new, len(self._deltas))]


def _merged(events: Sequence[Event], deltas: Sequence[TokenDelta]) -> list[Event | TokenDelta]:
    """Facts and pieces of text in the order in which they happened."""
    return sorted([*events, *deltas], key=lambda event: event.seq)


def _kinds(error: type[Exception]) -> tuple[str, ...]:
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in error.__mro__[:-1])


def _kind_of(output: Any) -> str:
    if isinstance(output, list):
        return f"list[{' | '.join(sorted({type(item).__name__ for item in output}))}]"
    return "None" if output is None else type(output).__name__
