"""What happens next in a run, decided without waiting: an event goes in, commands come out.

    commands = advance(state, event)

When the count of a scope's open work (state.py) reaches zero no more can come, and only then are joins fired, results
handed up and missing inputs called errors. So nothing can hang on a branch that was not taken.

`advance` is deterministic: no clock (events carry their time), no randomness (so do they), no await and no I/O, in this
file. It changes the state it is given, which belongs to one run; the same events into a fresh state give the same state
and the same commands.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..agents.messages import Failure, Message
from ..agents.type_forms import describe, is_instance, item_of, parts_of
from .asking import Asking, words_in
from .edges import START, Catch, Edge, Fork, Gather, Join, Link
from .errors import (
    GatherIncomplete,
    JoinIncomplete,
    LoopExhausted,
    ResultError,
    RunError,
    RunFailed,
    UndeliverableMessage,
)
from .events import (
    EffectIntended,
    EffectSettled,
    Event,
    InputSwapped,
    RunCancelled,
    RunResumed,
    RunStarted,
    RunSuspended,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TimerFired,
)
from .nodes import FunctionNode
from .review import Review
from .state import (
    AskEffect,
    AskReview,
    CancelTasks,
    Command,
    Fail,
    Finish,
    GiveUp,
    OpenFork,
    RunTask,
    Scope,
    SetTimer,
    State,
    Task,
)
from .workflow import Flow

CRASHES = 3  # times that a task may take its process down before it is given up
MEMORY = "builtins.MemoryError"


class _Stop(Exception):
    """Unwinds a step of the scheduler into one `Fail`; never leaves this file."""

    def __init__(self, node: str, error: RunError) -> None:
        self.node = node
        self.error = error


def advance(state: State, event: Event) -> list[Command]:
    """The commands that follow from `event`. Events about tasks that are no longer open change nothing."""
    if state.ended and not isinstance(event, TaskRetried):
        return []
    step = _Step(state, event.at)
    try:
        step.take(event)
    except _Stop as stop:
        step.stop(stop)
    step.start_ready()
    return step.commands


@dataclass(slots=True)
class _Step:
    """One call of `advance`: changes the state and collects commands."""

    state: State
    now: float  # seconds since the epoch
    commands: list[Command] = field(default_factory=list)
    told: Any = None  # what the node was told whose outcome this is

    def take(self, event: Event) -> None:
        tasks = self.state.tasks
        match event:
            case TaskFinished(task=name, output=output) if name in tasks:
                self.finished(tasks[name], output)
            case TaskFailed(task=name) if name in tasks:
                self.failed(tasks[name], event)
            case EffectIntended(task=name) if name in tasks:
                tasks[name].intended = True
            case EffectSettled(task=name, happened=False) if name in tasks:
                tasks[name].intended = tasks[name].asked = False
                self.state.ready.append((tasks[name], 0.0))
            case TimerFired(fork=fork) if fork in self.state.forks:
                self.timed_out(self.state.forks[fork])
            case InputSwapped(task=name, message=message) if name in tasks:
                self.swap(tasks[name], message)
            case _:
                self.take_event_of_run(event)

    def take_event_of_run(self, event: Event) -> None:
        match event:
            case RunStarted(run=run, message=message, limit=limit, forked_from=forked_from):
                self.state.run, self.state.limit, self.state.lots = run, limit, forked_from or run
                root = Scope("", self.state.flow, open=1)
                self.begin(root, message)
                self.release(root)
            case RunResumed(limit=limit):
                self.resume(limit)
            case RunSuspended():
                self.state.suspended = True
            case TaskRetried(task=name):
                self.retry(name)
            case RunCancelled():
                self.state.ended = True
            case _:
                pass

    def begin(self, scope: Scope, message: Any) -> None:
        """The input of a flow reaches its first nodes."""
        scope.latest[START] = message
        for name in scope.flow.starts:
            self.deliver(scope, name, message)

    def resume(self, limit: int | None) -> None:
        """Nothing is at work any more: what is open begins again, is asked about, or is given up.

        Where the process has ended often, any task that was at work then may be the reason. So they begin one after the
        other, and none is given up for what another did.
        """
        state = self.state
        for task in state.tasks.values():
            task.crashes += task.running and not state.suspended
            task.running = False
        state.limit, state.running, state.suspended = limit, 0, False
        state.ready, state.suspects, state.on_trial = deque(), deque(), None
        careful = any(task.crashes >= CRASHES - 1 for task in state.tasks.values())
        for task in sorted(state.tasks.values(), key=lambda task: task.crashes) if careful else state.tasks.values():
            if task.unknown:
                self.commands.append(AskEffect(task, again=task.asked))
                task.asked = True
            elif task.crashes >= CRASHES:
                self.commands.append(GiveUp(task))
            elif careful and task.crashes and not task.review:
                state.suspects.append(task)
            elif not task.review:
                state.ready.append((task, 0.0))
        for fork in state.forks.values():
            self.set_timers(fork)

    def retry(self, name: str) -> None:
        """The task that ended the run is open again, and with it all that was open then."""
        state = self.state
        if state.failed is None or state.failed.id != name:
            return
        state.failed.failures = state.failed.shortages = state.failed.crashes = 0
        state.failed.intended = state.failed.asked = False
        state.ended, state.failed, state.suspended = False, None, True
        self.resume(state.limit)

    def swap(self, task: Task, message: Any) -> None:
        self.end_attempt(task)
        task.message = message
        self.open(task)

    def finished(self, task: Task, output: Any) -> None:
        self.close_task(task)
        self.told = task.message
        self.answer(task.scope, task.id, task.node, output)
        self.release(task.scope)

    def failed(self, task: Task, event: TaskFailed) -> None:
        task.intended = False
        if MEMORY in event.kinds:
            task.shortages += 1
        else:
            task.failures += 1
        if event.retry_in is not None:
            self.end_attempt(task)
            self.state.ready.append((task, event.retry_in))
            return
        found = self.handler(task.scope, task.node, event)
        if found is None:
            self.state.failed = task
            raise _Stop(event.task, RunFailed(event.run, event.task, f"{event.error}: {event.reason}"))
        self.close_task(task)
        scope, catch, inner = found
        if inner is not None:
            self.abandon(lambda abandoned: _within_scope(abandoned, inner))
        told = Failure(node=catch.source, error=event.error, reason=event.reason, attempts=event.attempt)
        self.deliver(scope, catch.target, told)
        self.release(scope)

    def handler(self, scope: Scope, node: str, event: TaskFailed) -> tuple[Scope, Catch, Scope | None] | None:
        """Where the failure of `node` is handled: a scope, its edge, and the nested flow in it that is given up."""
        inner: Scope | None = None
        while True:
            for catch in scope.flow.catches[node]:
                if _qualified(catch.error) in event.kinds:
                    return scope, catch, inner
            around = _flow_scope(scope)
            if around.parent is None:
                return None
            inner, scope, node = around, around.parent, around.node

    def answer(self, scope: Scope, task_id: str, name: str, output: Any) -> None:
        """What `name` answered goes along every edge that takes it."""
        node = scope.flow.stands_in.get(name, name)
        if output is None:
            return
        scope.latest[name] = scope.latest[node] = output
        taken = [self.follow(scope, task_id, node, edge, output) for edge in scope.flow.routes[node]]
        if node in scope.flow.ends and is_instance(output, scope.flow.signature.produces):
            scope.results += ((name, output),)
        elif not any(taken):
            candidates = ", ".join(str(edge) for edge in scope.flow.routes[node]) or "its declared end"
            raise _Stop(task_id, UndeliverableMessage(task_id, _kind_of(output), candidates))

    def follow(self, scope: Scope, task_id: str, node: str, edge: Edge, output: Any) -> bool:
        """Whether `edge` takes `output`; if so, it has been delivered or kept."""
        match edge:
            case Link(on=on):
                if (on is not None and not isinstance(output, on)) or not self.holds(edge, task_id, output):
                    return False
                self.deliver(scope, self.next_visit(scope, edge), output)
            case Fork():
                if not isinstance(output, list):
                    return False
                self.open_fork(scope, task_id, edge, output)
            case Join(target=target):
                if scope.item is None or not is_instance(output, item_of(_takes(scope.flow, target))):
                    return False
                scope.item.collected.setdefault(edge, {}).setdefault(scope.index, []).append(output)
            case Gather():
                return self.keep(scope, edge, node, output)
            case Catch():
                return False
        return True

    def holds(self, edge: Link, task_id: str, output: Any) -> bool:
        """Whether the edge's condition lets `output` pass; a condition that raises fails the run."""
        if edge.when is None:
            return True
        try:
            return edge.when(output)
        except Exception as error:
            reason = f"the `when` of {edge} raised {error!r}"
            raise _Stop(task_id, RunFailed(self.state.run, task_id, reason)) from error

    def next_visit(self, scope: Scope, edge: Link) -> str:
        """Where a link leads now: its target, or its exhausted node once its visits are used up."""
        if edge.max_visits is None:
            return edge.target
        visits = scope.visits[edge] = scope.visits.get(edge, 0) + 1
        if visits <= edge.max_visits:
            return edge.target
        if edge.exhausted is None:
            raise _Stop(edge.source, LoopExhausted(edge.source, edge.target, edge.max_visits))
        return edge.exhausted

    def keep(self, scope: Scope, edge: Gather, source: str, output: Any) -> bool:
        parts = dict(zip(edge.sources, parts_of(_takes(scope.flow, edge.target)), strict=True))
        if not is_instance(output, parts[source]):
            return False
        if scope.waiting is None:
            scope.waiting = {}
        inbox = scope.waiting.setdefault(edge, {name: deque() for name in edge.sources})
        inbox[source].append(output)
        if all(inbox.values()):
            self.deliver(scope, edge.target, tuple(inbox[name].popleft() for name in edge.sources))
        return True

    def deliver(self, scope: Scope, name: str, message: Any) -> None:
        """A task of `name` is opened for `message`."""
        visit = scope.visits[name] = scope.visits.get(name, 0) + 1
        task_id = f"{scope.path}{name}" + (f"#{visit}" if visit > 1 else "")
        scope.open += 1
        node = scope.flow.nodes[name]
        if isinstance(node, Flow):
            inner = Scope(f"{task_id}/", node, parent=scope, node=name, open=1, timed=scope.timed)
            self.begin(inner, message)
            self.release(inner)
            return
        given = self.given(scope, task_id, name) if scope.flow.given[name] else {}
        task = Task(task_id, name, scope.flow, scope, message, given)
        self.state.tasks[task_id] = task
        if isinstance(node, Review):
            self.open(task)
        else:
            self.state.ready.append((task, 0.0))

    def open(self, task: Task) -> None:
        """A person is asked, or the task is ready."""
        node = task.flow.nodes[task.node]
        task.asking = self.asking(node, task) if isinstance(node, Review) else None
        if task.review:
            self.commands.append(AskReview(task))
        else:
            self.state.ready.append((task, 0.0))

    def asking(self, review: Review[Any, Any], task: Task) -> Asking | None:
        """Why a person is asked; a rule that raises fails the run."""
        try:
            asking = review.asking(task.message, task.given, f"{self.state.lots}/{task.id}")
            return None if asking is None else asking._replace(case=words_in(self.told))
        except Exception as error:
            reason = f"a rule or the risk of {task.node!r} raised {error!r}"
            raise _Stop(task.id, RunFailed(self.state.run, task.id, reason)) from error

    def given(self, scope: Scope, task_id: str, name: str) -> dict[str, Message]:
        """The earlier messages that a node is given, by parameter."""
        node = scope.flow.nodes[name]
        given = {parameter: scope.last_answer(producer) for parameter, producer in scope.flow.given[name].items()}
        for parameter, wanted in node.given.items() if isinstance(node, FunctionNode | Review) else ():
            if not is_instance(given[parameter], wanted):  # a producer in a loop has since answered along another edge
                found, producer = _kind_of(given[parameter]), scope.flow.given[name][parameter]
                reason = f"it is given {describe(wanted)}, but the last answer of {producer!r} was {found}"
                raise _Stop(task_id, RunFailed(self.state.run, task_id, reason))
        return given

    def open_fork(self, scope: Scope, task_id: str, edge: Fork, items: list[Any]) -> None:
        joins = tuple(join for join, fork in scope.flow.forks.items() if fork == edge)
        identity = f"{task_id}>{edge.target}"
        timed = (*scope.timed, identity) if any(join.within is not None for join in joins) else scope.timed
        fork = OpenFork(identity, edge, scope, deque(enumerate(items)), joins, task_id, self.now, timed)
        self.state.forks[fork.id] = fork
        scope.open += 1
        self.set_timers(fork)
        self.start_items(fork)

    def set_timers(self, fork: OpenFork) -> None:
        """A timer for each time that a join of `fork` allows, less what has passed since it was opened."""
        passed = max(0.0, self.now - fork.since)
        for seconds in sorted({join.within for join in fork.joins if join.within is not None}):
            self.commands.append(SetTimer(fork.id, max(0.0, seconds - passed)))

    def start_items(self, fork: OpenFork) -> None:
        """As many items as the map's limit allows; with none left and none open, the map is over."""
        limit = fork.edge.limit
        while fork.items and (limit is None or fork.open < limit):
            index, item = fork.items.popleft()
            fork.open += 1
            self.start_item(fork, index, item)
        if fork.open == 0:
            self.close_fork(fork)

    def start_item(self, fork: OpenFork, index: int, item: Any) -> None:
        path = f"{fork.task}[{index}]/"
        scope = Scope(path, fork.scope.flow, fork.scope, item=fork, index=index, open=1, timed=fork.timed)
        self.deliver(scope, fork.edge.target, item)
        self.release(scope)

    def close_fork(self, fork: OpenFork) -> None:
        """Nothing of the map is open any more: its joins fire, in item order."""
        del self.state.forks[fork.id]
        for join in fork.joins:
            by_index = fork.collected.get(join, {})
            answers = [answer for index in sorted(by_index) for answer in by_index[index]]
            if len(answers) < join.at_least:
                raise _Stop(join.target, JoinIncomplete(join.target, len(answers), join.at_least))
            self.deliver(fork.scope, join.target, answers)
        self.release(fork.scope)

    def timed_out(self, fork: OpenFork) -> None:
        fork.items.clear()
        self.abandon(lambda scope: _within_fork(scope, fork))
        self.close_fork(fork)

    def release(self, scope: Scope) -> None:
        """One piece of work in `scope` has ended; at zero, no more can come."""
        scope.open -= 1
        if scope.open:
            return
        for edge, inbox in (scope.waiting or {}).items():
            missing = [name for name, kept in inbox.items() if not kept]
            if len(missing) < len(inbox):
                present = [name for name, kept in inbox.items() if kept]
                raise _Stop(edge.target, GatherIncomplete(edge.target, present, missing))
        if scope.item is not None:
            scope.item.open -= 1
            self.start_items(scope.item)
        else:
            self.hand_up(scope)

    def hand_up(self, scope: Scope) -> None:
        """A flow came to rest: its one result goes to the flow around it, or is the run's."""
        if len(scope.results) != 1:
            raise _Stop(scope.path.rstrip("/") or scope.flow.name, _result_error(scope))
        result = scope.results[0][1]
        if scope.parent is None:
            self.state.ended = True
            self.commands.append(Finish(result))
            return
        self.answer(scope.parent, scope.path.rstrip("/"), scope.node, result)
        self.release(scope.parent)

    def close_task(self, task: Task) -> None:
        del self.state.tasks[task.id]
        self.end_attempt(task)

    def end_attempt(self, task: Task) -> None:
        self.state.running -= task.running
        task.running = False

    def abandon(self, unwanted: Callable[[Scope], bool]) -> None:
        """Every task whose scope is unwanted is cancelled, and every fork in it forgotten."""
        tasks = [task for task in self.state.tasks.values() if unwanted(task.scope)]
        self.state.ready = deque(waiting for waiting in self.state.ready if not unwanted(waiting[0].scope))
        for task in tasks:
            self.close_task(task)
        for fork in [fork for fork in self.state.forks.values() if unwanted(fork.scope)]:
            del self.state.forks[fork.id]
        self.commands.append(CancelTasks(tuple(task.id for task in tasks)))

    def start_ready(self) -> None:
        """Ready tasks start, as many as the run's limit allows, in the order in which they became ready."""
        state = self.state
        self.call_suspect()
        while state.ready and (state.limit is None or state.running < state.limit):
            task, delay = state.ready.popleft()
            state.running += 1
            task.running = True
            task.attempts += 1
            self.commands.append(RunTask(task, task.attempts, delay))

    def call_suspect(self) -> None:
        """The next suspect is ready once the one before is done."""
        state = self.state
        while state.suspects and (state.on_trial is None or state.on_trial.id not in state.tasks):
            state.on_trial = state.suspects.popleft()
            if state.on_trial.id in state.tasks:  # else it was abandoned
                state.ready.append((state.on_trial, 0.0))

    def stop(self, stop: _Stop) -> None:
        """The run ends here. Its open tasks are kept, for whoever retries the one that ended it."""
        state = self.state
        state.ended = True
        state.ready.clear()
        state.suspects.clear()
        cancelled = tuple(task.id for task in state.tasks.values() if task is not state.failed)
        self.commands = [CancelTasks(cancelled), Fail(stop.node, stop.error)]
        for task in state.tasks.values():
            self.end_attempt(task)


def _takes(flow: Flow[Any, Any], name: str) -> Any:
    return flow.nodes[name].signature.consumes


def _kind_of(output: Any) -> str:
    if isinstance(output, list):
        return f"a list of {len(output)} {'/'.join(sorted({type(item).__name__ for item in output})) or 'nothing'}"
    return type(output).__name__


def _flow_scope(scope: Scope) -> Scope:
    while scope.item is not None and scope.parent is not None:
        scope = scope.parent
    return scope


def _ancestors(scope: Scope) -> Iterator[Scope]:
    inner: Scope | None = scope
    while inner is not None:
        yield inner
        inner = inner.parent


def _within_scope(scope: Scope, around: Scope) -> bool:
    return any(ancestor is around for ancestor in _ancestors(scope))


def _within_fork(scope: Scope, fork: OpenFork) -> bool:
    return any(ancestor.item is fork for ancestor in _ancestors(scope))


def _result_error(scope: Scope) -> ResultError:
    expected = describe(scope.flow.signature.produces)
    if not scope.results:
        return ResultError(f"flow {scope.flow.name!r} came to rest without a {expected}; no end node was reached")
    names = ", ".join(sorted(name for name, _ in scope.results))
    return ResultError(
        f"flow {scope.flow.name!r} ended {len(scope.results)} times, at {names}; gather or join the branches first"
    )


def _qualified(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
