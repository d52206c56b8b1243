"""What happens next in a run, decided without waiting: an event goes in, commands come out.

    commands = advance(state, event)

Work is counted in scopes. A flow's input opens a scope; a map opens one for each item; a nested flow opens one of its
own. A scope counts its open tasks and child scopes. When the count reaches zero no more can come, and only then are
joins fired, results handed up and missing inputs called errors. So nothing can hang on a branch that was not taken.

`advance` is deterministic: no clock (events carry their time), no randomness (so do they), no await and no I/O, in this
file. It changes the state it is given, which belongs to one run; the same events into a fresh state give the same state
and the same commands.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ..agents.messages import Failure, Message
from ..agents.type_forms import describe, is_instance, item_of, parts_of
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
from .events import Event, RunStarted, TaskFailed, TaskFinished, TimerFired
from .nodes import FunctionNode
from .review import Review
from .workflow import Flow


@dataclass(slots=True, eq=False)
class Scope:
    """A place where tasks live: a flow's run, or one item of a map inside it."""

    path: str  # "" for the run itself, "sub/" inside a nested flow, "plan[3]/" for an item
    flow: Flow[Any, Any]
    parent: "Scope | None" = None
    node: str = ""  # in the parent's flow: the nested flow's node
    item: "OpenFork | None" = None  # for an item: the fork that it belongs to
    index: int = 0  # for an item: its position
    open: int = 0  # tasks and child scopes that have not ended
    results: tuple[tuple[str, Message], ...] = ()
    latest: dict[str, Any] = field(default_factory=dict)  # node -> its last answer
    visits: dict[str | Link, int] = field(default_factory=dict)
    waiting: dict[Gather, dict[str, deque[Any]]] | None = None  # made when a first input is kept
    timed: tuple[str, ...] = ()  # ids of the forks around it that a timer may end, outermost first

    def last_answer(self, node: str) -> Any:
        """The last answer of `node` here, or in the scopes around inside the same flow."""
        scope: Scope | None = self
        while scope is not None and node not in scope.latest:
            scope = scope.parent if scope.item is not None else None
        return None if scope is None else scope.latest[node]


@dataclass(slots=True, eq=False)
class OpenFork:
    """A map at work: the items still to start and the answers that its joins have so far."""

    id: str
    edge: Fork
    scope: Scope  # where the map stands
    items: deque[tuple[int, Any]]  # still to start
    joins: tuple[Join, ...]
    task: str  # the task whose answer was forked
    timed: tuple[str, ...]  # ids of the forks around its items that a timer may end, itself included
    open: int = 0  # items that have not ended
    collected: dict[Join, dict[int, list[Any]]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)  # frozen would cost a microsecond a task; nothing writes to it
class Task:
    """One call of one node: its stable id, what goes in, and what it is given."""

    id: str
    node: str
    flow: Flow[Any, Any]
    scope: Scope = field(repr=False)
    message: Any
    given: Mapping[str, Message]


class RunTask(NamedTuple):
    """Do `task`, attempt number `attempt` (from 1), after `delay` seconds."""

    task: Task
    attempt: int = 1
    delay: float = 0.0


class AskReview(NamedTuple):
    """Leave `task` pending until a person has answered."""

    task: Task


class SetTimer(NamedTuple):
    """Send `TimerFired(fork)` in `delay` seconds."""

    fork: str
    delay: float


class CancelTasks(NamedTuple):
    """Stop these tasks; their outcome is not wanted any more."""

    tasks: tuple[str, ...]


class Finish(NamedTuple):
    """The run has its result."""

    message: Message


class Fail(NamedTuple):
    """The run cannot go on."""

    node: str
    error: RunError


Command: TypeAlias = RunTask | AskReview | SetTimer | CancelTasks | Finish | Fail


@dataclass(slots=True, eq=False)
class State:
    """All that a run's future depends on. Made empty, filled by events."""

    flow: Flow[Any, Any]
    run: str = ""
    limit: int | None = None  # tasks of the run at work at the same time; None: no limit
    tasks: dict[str, Task] = field(default_factory=dict)
    forks: dict[str, OpenFork] = field(default_factory=dict)
    running: int = 0
    ready: deque[RunTask] = field(default_factory=deque)
    ended: bool = False


class _Stop(Exception):
    """Unwinds a step of the scheduler into one `Fail`; never leaves this file."""

    def __init__(self, node: str, error: RunError) -> None:
        self.node = node
        self.error = error


def advance(state: State, event: Event) -> list[Command]:
    """The commands that follow from `event`. Events about tasks that are no longer open change nothing."""
    step = _Step(state)
    if state.ended:
        return []
    try:
        match event:
            case RunStarted(run=run, message=message):
                state.run = run
                root = Scope("", state.flow, open=1)
                step.begin(root, message)
                step.release(root)
            case TaskFinished(task=name, output=output) if name in state.tasks:
                step.finished(state.tasks[name], output)
            case TaskFailed(task=name) if name in state.tasks:
                step.failed(state.tasks[name], event)
            case TimerFired(fork=fork) if fork in state.forks:
                step.timed_out(state.forks[fork])
            case _:
                pass
    except _Stop as stop:
        step.stop(stop)
    step.start_ready()
    return step.commands


@dataclass(slots=True)
class _Step:
    """One call of `advance`: changes the state and collects commands."""

    state: State
    commands: list[Command] = field(default_factory=list)

    def begin(self, scope: Scope, message: Any) -> None:
        """The input of a flow reaches its first nodes."""
        scope.latest[START] = message
        for name in scope.flow.starts:
            self.deliver(scope, name, message)

    def finished(self, task: Task, output: Any) -> None:
        self.close_task(task)
        self.answer(task.scope, task.id, task.node, output)
        self.release(task.scope)

    def failed(self, task: Task, event: TaskFailed) -> None:
        if event.retry_in is not None:
            self.state.running -= 1
            self.state.ready.append(RunTask(task, event.attempt + 1, event.retry_in))
            return
        self.close_task(task)
        self.caught(task.scope, task.node, event)

    def caught(self, scope: Scope, node: str, event: TaskFailed) -> None:
        """The failure of `node` goes to its handler, or to that of the flow around, or ends the run."""
        for catch in scope.flow.catches[node]:
            if _qualified(catch.error) in event.kinds:
                told = Failure(node=node, error=event.error, reason=event.reason, attempts=event.attempt)
                self.deliver(scope, catch.target, told)
                self.release(scope)
                return
        around = _flow_scope(scope)
        if around.parent is None:
            raise _Stop(event.task, RunFailed(event.run, event.task, f"{event.error}: {event.reason}"))
        self.abandon(lambda inner: _within_scope(inner, around))
        self.caught(around.parent, around.node, event)

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
            self.commands.append(AskReview(task))
        else:
            self.state.ready.append(RunTask(task))

    def given(self, scope: Scope, task_id: str, name: str) -> dict[str, Message]:
        """The earlier messages that a node is given, by parameter."""
        node = scope.flow.nodes[name]
        given = {parameter: scope.last_answer(producer) for parameter, producer in scope.flow.given[name].items()}
        for parameter, wanted in node.given.items() if isinstance(node, FunctionNode) else ():
            if not is_instance(given[parameter], wanted):  # a producer in a loop has since answered along another edge
                found, producer = _kind_of(given[parameter]), scope.flow.given[name][parameter]
                reason = f"it is given {describe(wanted)}, but the last answer of {producer!r} was {found}"
                raise _Stop(task_id, RunFailed(self.state.run, task_id, reason))
        return given

    def open_fork(self, scope: Scope, task_id: str, edge: Fork, items: list[Any]) -> None:
        joins = tuple(join for join, fork in scope.flow.forks.items() if fork == edge)
        identity = f"{task_id}>{edge.target}"
        timed = (*scope.timed, identity) if any(join.within is not None for join in joins) else scope.timed
        fork = OpenFork(identity, edge, scope, deque(enumerate(items)), joins, task_id, timed)
        self.state.forks[fork.id] = fork
        scope.open += 1
        for seconds in sorted({join.within for join in joins if join.within is not None}):
            self.commands.append(SetTimer(fork.id, seconds))
        self.start_items(fork)

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
        if not isinstance(task.flow.nodes[task.node], Review):
            self.state.running -= 1

    def abandon(self, unwanted: Callable[[Scope], bool]) -> None:
        """Every task whose scope is unwanted is cancelled, and every fork in it forgotten."""
        tasks = [task for task in self.state.tasks.values() if unwanted(task.scope)]
        waiting = {command.task.id for command in self.state.ready}
        self.state.ready = deque(command for command in self.state.ready if not unwanted(command.task.scope))
        for task in tasks:
            del self.state.tasks[task.id]
            if task.id not in waiting and not isinstance(task.flow.nodes[task.node], Review):
                self.state.running -= 1
        for fork in [fork for fork in self.state.forks.values() if unwanted(fork.scope)]:
            del self.state.forks[fork.id]
        self.commands.append(CancelTasks(tuple(task.id for task in tasks)))

    def start_ready(self) -> None:
        """Ready tasks start, as many as the run's limit allows, in the order in which they became ready."""
        state = self.state
        while state.ready and (state.limit is None or state.running < state.limit):
            state.running += 1
            self.commands.append(state.ready.popleft())

    def stop(self, stop: _Stop) -> None:
        self.state.ended = True
        self.state.ready.clear()
        self.commands = [CancelTasks(tuple(self.state.tasks)), Fail(stop.node, stop.error)]
        self.state.tasks.clear()


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
