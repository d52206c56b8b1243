"""One run: the thin asynchronous shell around the scheduler.

It performs what the scheduler commands, commits what happened and only then lets anybody see it. It decides nothing
about the order of work (scheduler.py) and keeps nothing that the log does not have (log.py).
"""

import random
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Generic, Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ..agents.agent import Context, Exchange, Host, Out
from ..agents.errors import CoterieError, NotDurable
from ..agents.messages import Message, repair_text
from ..agents.type_forms import describe, is_instance
from .attempt import Raised, attempt, may_retry
from .consequences import consequence, effect_key
from .errors import LogError, ReviewAnswerError, ReviewTaken, RunCancelled, RunError, RunFailed, TaskGivenUp
from .events import (
    EffectIntended,
    EffectSettled,
    EffectUnknown,
    Event,
    Payload,
    ReviewRequested,
    ReviewWithdrawn,
    RunFinished,
    RunResumed,
    RunStarted,
    RunSuspended,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TimerFired,
    TokenDelta,
)
from .events import (
    RunCancelled as RunCancelledFact,
)
from .events import (
    RunFailed as RunFailedFact,
)
from .fault_points import reached
from .log import Decided, Lease, Log, Transaction
from .nodes import Policy
from .review import Review
from .review_answers import Answer
from .run_reviews import PendingReviews, seconds_left
from .scheduler import advance
from .state import AskEffect, AskReview, CancelTasks, Command, Fail, Finish, GiveUp, RunTask, SetTimer, State, Task
from .workflow import Flow

SLICE = 0.001  # seconds that nodes which never wait may keep the event loop to themselves
DELTAS_KEPT = 4096  # pieces of text that a slow reader may be behind before it misses some
PATIENCE = 5.0  # seconds that the last fact of a run may take to be kept while its runtime closes


class Surroundings(Protocol):
    """What a run needs from the runtime around it."""

    @property
    def log(self) -> Log: ...

    @property
    def host(self) -> Host: ...

    def limiter(self, node: object, limit: int) -> anyio.CapacityLimiter: ...

    def watch(self, run: "Run[Any]") -> None:
        """Have the log looked at for what people answer to the reviews of `run`."""
        ...


class Run(Generic[Out]):
    """A flow at work on one input. Made by `Runtime.start`, `resume`, `retry` and `fork`."""

    def __init__(self, surroundings: Surroundings, flow: Flow[Any, Out], identity: str) -> None:
        self.id = identity
        self.flow = flow
        self.thread: str | None = None
        self._around = surroundings
        self._state = State(flow)
        self._seed = 0
        self._releases: Mapping[str, str] = {}
        self.lease = Lease(identity, 0)
        self._facts: list[Event] = []
        self._seq = 0  # of the latest fact
        self._published = 0  # how many of the facts are kept, so that they may be seen
        self._deltas: deque[TokenDelta] = deque(maxlen=DELTAS_KEPT)
        self._delta_count = 0
        self._changed: anyio.Event | None = None
        self._ended = anyio.Event()
        self._outcome: Message | BaseException | None = None
        self._group: TaskGroup | None = None
        self._queue: deque[RunTask | GiveUp] = deque()  # tasks that no worker has taken yet
        self._spare = False  # whether a worker has been started that has not begun
        self._busy = 0  # attempts and timers in progress: what an end must stop
        self._scopes: dict[str, anyio.CancelScope] = {}
        self.reviews = PendingReviews(self)
        self._unknown: dict[str, Task] = {}  # tasks that wait for somebody who knows if their effect happened
        self._transactions: dict[str, list[Transaction]] = {}  # by task, of its attempt in progress

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
            for event in _merged(self.facts(after), deltas):
                if not isinstance(event, TokenDelta):  # a delta may run ahead of a fact that is still being committed
                    after = event.seq
                yield event
            if self._ended.is_set() and after >= self._published:
                return
            await waiting.wait()

    def facts(self, after: int = 0) -> Sequence[Event]:
        """What has happened so far, from the fact after number `after` on."""
        return self._facts[after : self._published]

    async def cancel(self) -> None:
        """Stop every task of the run now. A run that has ended stays as it is."""
        if self._state.ended:
            return
        await self._record(RunCancelledFact(*self.stamp()))
        self._end(RunCancelled(self.id))

    async def answer(self, task: str, answer: Answer) -> None:
        """Answer the pending review `task`.

        Where several people must answer (`approvals=`), the review stays pending until enough have given this answer.

        Raises:
            ReviewAnswerError: no such review is pending, or the answer does not fit it; nothing has changed.
            ReviewTaken: somebody was first, or has it open at a desk.
            NotAllowed: `answer.by` may not decide.
        """
        await self.reviews.answer(task, answer)
        self._start_worker()

    def hand_in(self, decided: Decided) -> None:
        """Take what somebody has answered at a desk, where it still counts. What breaks on it is this run alone."""
        if self._group is not None and not self._ended.is_set():
            self._start(self._take, decided)

    def break_off(self, error: Exception) -> None:
        """The log cannot tell what was answered to the reviews of the run."""
        self._break(error)

    async def settle(self, task: str, *, happened: bool, output: Payload | None = None, by: str = "operator") -> None:
        """Say whether the effect of `task`, whose process died meanwhile, happened.

        Args:
            happened: False: the task is done again. True: it is finished, with `output`.
            output: what the node would have answered.

        Raises:
            ReviewAnswerError: nobody asked about this task, or `output` is not what its node answers.
            NotAllowed: the log names people, and `by` is no operator.
        """
        await self._around.log.allow(by, "operate")
        asked = self._asked(task)
        expected = asked.flow.nodes[asked.node].signature.produces
        if happened and not is_instance(output, expected):
            found = type(output).__name__
            raise ReviewAnswerError(f"{task!r} answers with {describe(expected)}, but is settled with {found}")
        del self._unknown[task]
        await self.served()
        settled = EffectSettled(*self.stamp(), task=task, node=asked.node, happened=happened, by=by)
        if happened:
            await self._settle(asked, asked.attempts, output, settled)
        else:
            self._perform(await self._record(settled))
        self._start_worker()

    @property
    def pending(self) -> tuple[ReviewRequested, ...]:
        """The reviews that wait for a person, oldest first."""
        facts = self.facts() if self.reviews.tasks else ()
        found = {event.task: event for event in facts if isinstance(event, ReviewRequested)}
        return tuple(event for event in found.values() if event.task in self.reviews.tasks)

    @property
    def unknown(self) -> tuple[EffectUnknown, ...]:
        """The effects of which a person must say whether they happened, oldest first."""
        facts = self.facts() if self._unknown else ()
        found = {event.task: event for event in facts if isinstance(event, EffectUnknown)}
        return tuple(event for event in found.values() if event.task in self._unknown)

    def reviewer(self, task: str) -> Review[Any, Any]:
        """The review node that the pending review `task` stands at.

        Raises:
            ReviewAnswerError: no such review is pending.
        """
        return self.reviews.node(task)

    async def wait_settled(self) -> None:
        """Return when the run has ended, or when only people, or the end of a review's time, can make it go on."""
        while not (self._ended.is_set() or self._waits_for_people()):
            await self._change().wait()

    async def wait_ended(self) -> None:
        """Return when the run has ended, however it did; `result` tells."""
        await self._ended.wait()

    def _waits_for_people(self) -> bool:
        asked = len(self.reviews.tasks) + len(self._unknown)
        if not asked or asked < len(self._state.tasks) or self.reviews.are_answered:
            return False
        timed = any(fork.timed for fork in self._state.forks.values())
        return not timed and len(self.pending) + len(self.unknown) == asked

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def _asked(self, task: str) -> Task:
        if task not in self._unknown:
            waiting = ", ".join(sorted(self._unknown)) or "none"
            raise ReviewAnswerError(
                f"run {self.id!r} has no pending question about an effect {task!r}; pending: {waiting}"
            )
        return self._unknown[task]

    @property
    def log(self) -> Log:
        """The log that keeps the run."""
        return self._around.log

    async def served(self) -> None:
        while self._group is None and not self._ended.is_set():  # asked before the run was served
            await self._change().wait()

    async def wait_changed(self) -> None:
        await self._change().wait()

    # What the runtime does with it.

    @property
    def crashes(self) -> int:
        """How often the process has ended while an open task of this run was at work; of the task where it did most."""
        left = not self._state.suspended
        return max((task.crashes + (task.running and left) for task in self._state.tasks.values()), default=0)

    async def wait_cleared(self) -> None:
        """Return when every task that was at work when a process ended is done, or waits for a person."""
        while not self._ended.is_set() and any(
            task.crashes and task.id not in self._unknown for task in self._state.tasks.values()
        ):
            await self._change().wait()

    def leave(self) -> None:
        """The runtime closes, and has not begun to work on the run."""
        self._end(RunCancelled(self.id))

    async def begin(self, started: RunStarted, definition: Mapping[str, Any]) -> list[Command]:
        """Keep the start of the run; the commands are for `serve`."""
        self._take_settings(started)
        self._seq = started.seq
        commands, facts = self._advanced(started)
        self.lease = await self._around.log.begin(facts, self.flow.registry, definition)
        self._publish(facts)
        return commands

    def take_up(self, state: State, facts: Sequence[Event], lease: Lease) -> None:
        """Go on from what an earlier process, or another run, has left."""
        self._state, self.lease, self._facts, self._seq = state, lease, list(facts), facts[-1].seq
        self._publish(facts)
        started, last = facts[0], facts[-1]
        assert isinstance(started, RunStarted)  # noqa: S101 - every run begins with it
        self._take_settings(started)
        self.reviews.tasks = {task.id: task for task in state.tasks.values() if task.review}
        self.reviews.looked = not self._around.log.durable
        match last:
            case RunFinished(message=message):
                self._end(message)
            case RunFailedFact(node=node, reason=reason):
                self._end(RunFailed(self.id, node, reason))
            case RunCancelledFact():
                self._end(RunCancelled(self.id))
            case _:
                pass

    async def go_on(self, limit: int | None, releases: Mapping[str, str]) -> list[Command]:
        """Keep that the run is at work again; the commands are for `serve`."""
        self._releases = dict(self._releases) | dict(releases)
        return await self._record(RunResumed(*self.stamp(), limit=limit, releases=self._releases))

    async def retry(self, by: str) -> list[Command]:
        """Put the task that ended the run back to work; the commands are for `serve`.

        Raises:
            RunError: no task ended the run.
        """
        failed = self._state.failed
        if failed is None:
            raise RunError(f"run {self.id!r} has no failed task to retry; fork it before the node that you changed")
        self._ended, self._outcome = anyio.Event(), None
        self.reviews.tasks = {task.id: task for task in self._state.tasks.values() if task.review}
        return await self._record(TaskRetried(*self.stamp(), task=failed.id, by=by))

    async def serve(self, commands: Sequence[Command]) -> None:
        """Work until the run ends. What breaks the run itself (a failed commit, say) is raised by `result`."""
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                self.wake()
                self._await_answers({command.task.id for command in commands if isinstance(command, AskReview)})
                self._perform(commands)
                self._start_worker()
                if not self._ended.is_set():
                    await self._ended.wait()
        except* Exception as errors:  # noqa: BLE001 - handed to whoever awaits the result; a cancellation goes on
            self._break(errors.exceptions[0] if len(errors.exceptions) == 1 else errors)
        finally:
            if not self._ended.is_set():
                await self._suspend()
                self._end(RunCancelled(self.id))
            self._group = None

    async def _suspend(self) -> None:
        """Keep that the run was left on purpose, so that what was open is not taken for a crash."""
        if not self._around.log.durable or self._state.ended:
            return
        with anyio.move_on_after(PATIENCE, shield=True):
            try:
                await self._record(RunSuspended(*self.stamp()))
            except CoterieError:  # the run has been broken with it, and whoever awaits its result is told
                return

    def _take_settings(self, started: RunStarted) -> None:
        self.thread, self._seed, self._releases = started.thread, started.seed, started.releases

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

    async def _do(self, command: RunTask | GiveUp) -> None:
        """Do one task and what follows from its outcome."""
        task = command.task
        if task.id not in self._state.tasks:  # cancelled before it began
            return
        if isinstance(command, GiveUp):
            await self._settle(task, task.attempts, Raised(TaskGivenUp(task.node, task.crashes)))
            return
        outcome: Any = None
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
        self._busy += 1
        reached("attempt-begins", self.id, command.task)
        try:
            return await attempt(command, self._around.limiter, self._context, self._intend)
        finally:
            self._busy -= 1
            reached("node-answered")

    async def _intend(self, task: Task, attempt: int) -> None:
        """Keep that an effect may happen from now on."""
        await self._record(EffectIntended(*self.stamp(), task.id, task.node, attempt, effect_key(self.id, task)))
        reached("effect-intended")

    def _context(self, task: Task, attempt: int) -> Context:
        return Context(
            host=self._around.host,
            run=self.id,
            node=task.node,
            task=task.id,
            attempt=attempt,
            thread=self.thread,
            seed=zlib.crc32(f"{self._seed}/{task.id}".encode()),
            batch_share=0.5**task.shortages,
            listen=self._listener(task.id),
            history=self._history,
            releases=self._releases,
            transaction=self._transaction(task.id),
        )

    def _chance(self, task: str, attempt: int) -> random.Random:
        """The jitter of one retry: repeatable, and different for each run, so that runs do not retry in step."""
        return random.Random(f"{self._seed}/{self.id}/{task}/{attempt}")  # noqa: S311 - no secret

    def _listener(self, task: str) -> Callable[[str], None]:
        def listen(text: str) -> None:
            self._deltas.append(TokenDelta(run=self.id, seq=self._seq, task=task, text=repair_text(text)))
            self._delta_count += 1
            self.wake()

        return listen

    def _transaction(self, task: str) -> Callable[[Transaction], None]:
        self._transactions.pop(task, None)  # those of an attempt that failed

        def add(action: Transaction) -> None:
            if not self._around.log.durable:
                raise NotDurable("the log in memory has no database for ctx.transaction; use Runtime(log='desk.db')")
            self._transactions.setdefault(task, []).append(action)

        return add

    async def _history(self, node: str) -> Sequence[Exchange]:
        if self.thread is None:
            return ()
        return await self._around.log.exchanges(self.thread, node, self.flow.registry, self.id)

    async def _timer(self, command: SetTimer) -> None:
        if self._ended.is_set():
            return
        self._busy += 1
        try:
            await anyio.sleep(command.delay)
        finally:
            self._busy -= 1
        if command.fork in self._state.forks:
            self._perform(await self._record(TimerFired(*self.stamp(), fork=command.fork)))
            self._start_worker()

    # Facts and what follows from them.

    async def _settle(self, task: Task, attempt: int, outcome: Any, *before: Event) -> None:
        """Commit what came of a task and do what follows."""
        if self._state.ended or task.id not in self._state.tasks:
            return
        actions = self._transactions.pop(task.id, None)
        if actions and not isinstance(outcome, Raised):
            raised = await self._transact(task, actions, lambda: [self._came(task, attempt, outcome)])
            if raised is None:
                return
            outcome = raised
        cause = outcome.error if isinstance(outcome, Raised) else None
        self._perform(await self._record(*before, self._came(task, attempt, outcome), cause=cause))

    async def settle_review(
        self, task: Task, outcome: Any, happened: Callable[[], Sequence[Event]], action: Transaction | None
    ) -> Raised | None:
        """Commit what a person, or the end of a time, made of a review; or what `action` raised, and nothing is kept.

        Args:
            happened: gives what happened before the outcome.
            action: done in the log's database in the same transaction.
        """
        if self._state.ended or task.id not in self._state.tasks:
            return None
        cause = outcome.error if isinstance(outcome, Raised) else None
        if action is None:
            self._perform(await self._record(*happened(), self._came(task, 1, outcome), cause=cause))
            return None
        return await self._transact(task, [action], lambda: [*happened(), self._came(task, 1, outcome)], cause)

    def _came(self, task: Task, attempt: int, outcome: Any) -> Event:
        """The fact that `outcome` is."""
        if isinstance(outcome, Raised):
            return self._failure(task, attempt, outcome.error)
        return TaskFinished(*self.stamp(), task.id, task.node, outcome)

    async def _transact(
        self,
        task: Task,
        actions: Sequence[Transaction],
        happened: Callable[[], Sequence[Event]],
        cause: Exception | None = None,
    ) -> Raised | None:
        """Commit what came of a task together with `actions` in the log's database; or what one of these raised."""
        commands: list[Command] = []
        facts: list[Event] = []

        def follow() -> Sequence[Event]:
            if task.id in self._state.tasks and not self._state.ended:  # else it was cancelled meanwhile
                advanced = self._advanced(*happened())
                commands.extend(advanced[0])
                facts.extend(advanced[1])
            return facts

        reached("write-due")
        try:
            await self._around.log.transact(self.lease, actions, follow)
        except Exception as error:
            if facts or (isinstance(error, LogError) and not isinstance(error, ReviewTaken)):
                self._break(error)
                raise
            return Raised(error)
        if facts:
            self._publish(facts)
            self._perform(_caused(commands, cause))
        return None

    def _failure(self, task: Task, attempt: int, error: Exception) -> TaskFailed:
        policy = task.flow.policies.get(task.node, Policy())
        return TaskFailed(
            *self.stamp(),
            task=task.id,
            node=task.node,
            attempt=attempt,
            error=type(error).__name__,
            reason=repair_text(str(error)),
            kinds=_kinds(type(error)),
            retry_in=policy.delay(attempt, self._chance(task.id, attempt)) if may_retry(task, error) else None,
        )

    async def _record(self, *happened: Event, cause: Exception | None = None) -> list[Command]:
        """Commit `happened` and the facts that follow from it, in one transaction, and return what to do."""
        commands, facts = self._advanced(*happened)
        reached("write-due")
        try:
            await self._around.log.commit(self.lease, facts, alone=not (self._busy or self._queue or self._spare))
        except Exception as error:
            self._break(error)
            raise
        self._publish(facts)
        return commands if cause is None else _caused(commands, cause)

    def _advanced(self, *happened: Event) -> tuple[list[Command], list[Event]]:
        """The commands that follow from `happened`, and all facts to commit."""
        commands = advance(self._state, happened[-1])
        facts = list(happened)
        if rare := [command for command in commands if type(command) is not RunTask]:  # most steps lead only to work
            facts += self._noted(rare, happened[-1].at)
        for command in commands:
            fact = consequence(command, self.id, self._seq + 1, happened[-1].at)
            if fact is not None:
                facts.append(fact)
                self._seq += 1
        self._facts += facts
        return commands, facts

    def _noted(self, commands: Sequence[Command], at: float) -> list[Event]:
        """What people are asked from now on, and facts about what nobody need answer any more while the run goes on."""
        # Known before it is in the log, so that whoever reads a request there can answer it at once.
        self.reviews.tasks |= {command.task.id: command.task for command in commands if isinstance(command, AskReview)}
        self._unknown |= {command.task.id: command.task for command in commands if isinstance(command, AskEffect)}
        if self._state.ended:
            return []
        names = [name for command in commands if isinstance(command, CancelTasks) for name in command.tasks]
        facts: list[Event] = []
        for task in filter(None, map(self.reviews.withdraw, names)):
            self._seq += 1
            facts.append(ReviewWithdrawn(self.id, self._seq, at, task.id, task.node))
        return facts

    def _publish(self, facts: Sequence[Event]) -> None:
        self._published = max(self._published, facts[-1].seq)
        self.wake()
        reached("told", facts)

    def _perform(self, commands: Sequence[Command]) -> None:
        if self._ended.is_set():  # while the facts were being committed
            return
        for command in commands:
            match command:
                case RunTask() | GiveUp():
                    self._queue.append(command)
                case SetTimer():
                    self._start(self._timer, command)
                case AskReview(task=task):
                    self._await_answer(task, time.time())
                case CancelTasks(tasks=tasks):
                    self._cancel_tasks(tasks)
                case Finish(message=message):
                    self._end(message)
                case Fail(error=error):
                    self._end(error)

    def _cancel_tasks(self, tasks: Sequence[str]) -> None:
        for name in tasks:
            if name in self._scopes:
                self._scopes[name].cancel()

    def _await_answers(self, new: Collection[str]) -> None:
        """The same for all reviews but the `new` ones, which were asked by an earlier process."""
        asked = {event.task: event.at for event in self._facts if isinstance(event, ReviewRequested)}
        anew = {event.task: event.at for event in self._facts if isinstance(event, TaskRetried)}
        for task in self.reviews.tasks.values():
            if task.id not in new:
                self._await_answer(task, max(asked[task.id], anew.get(task.id, 0.0)))

    def _await_answer(self, task: Task, asked: float) -> None:
        """Have a desk looked at for an answer, and end its time where it has one."""
        self._around.watch(self)
        seconds = seconds_left(task, asked)
        if seconds is not None:
            self._start(self._expire, task.id, seconds)

    async def _take(self, decided: Decided) -> None:
        await self.reviews.take(decided)
        self._start_worker()

    async def _expire(self, task: str, seconds: float) -> None:
        self._busy += 1
        try:
            await anyio.sleep(seconds)
        finally:
            self._busy -= 1
        if not self._ended.is_set():
            await self.reviews.expire(task)
            self._start_worker()

    def _start_worker(self) -> None:
        """See that a worker begins for what is in the queue."""
        if self._queue and not self._spare:
            self._spare = True
            self._start(self._work)

    def _start(self, function: Callable[..., Any], *arguments: Any) -> None:
        assert self._group is not None  # noqa: S101 - `serve` opens the group before anything is performed
        self._group.start_soon(function, *arguments, name=self.id)

    def stamp(self) -> tuple[str, int, float]:
        self._seq += 1
        return self.id, self._seq, time.time()

    def _break(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, CoterieError) else repr(error)
        broken = RunError(f"run {self.id!r} broke: {reason}")
        broken.__cause__ = error
        self._end(broken)

    def _end(self, outcome: Message | BaseException) -> None:
        if self._ended.is_set():
            return
        self._outcome = outcome
        self._state.ended = True
        self.reviews.clear()
        self._unknown.clear()
        self._ended.set()
        if self._busy and self._group is not None:
            self._group.cancel_scope.cancel()
        self.wake()

    def _change(self) -> anyio.Event:
        if self._changed is None:
            self._changed = anyio.Event()
        return self._changed

    def wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _deltas_since(self, count: int) -> list[TokenDelta]:
        new = min(self._delta_count - count, len(self._deltas))
        return [self._deltas[index] for index in range(len(self._deltas) - new, len(self._deltas))]


def _caused(commands: list[Command], cause: Exception | None) -> list[Command]:
    """`commands`, the failure among them with what caused it."""
    for command in commands:
        if isinstance(command, Fail) and cause is not None:
            command.error.__cause__ = cause
    return commands


def _merged(events: Sequence[Event], deltas: Sequence[TokenDelta]) -> list[Event | TokenDelta]:
    """Facts and pieces of text in the order in which they happened."""
    return sorted([*events, *deltas], key=lambda event: event.seq)


def _kinds(error: type[Exception]) -> tuple[str, ...]:
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in error.__mro__[:-1])
