"""What a run's future depends on, and the commands that its scheduler gives: plain data, without a rule in it.

Work is counted in scopes. A flow's input opens a scope; a map opens one for each item; a nested flow opens one of its
own. A scope counts its open tasks and child scopes.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ..agents.messages import Message
from .asking import Asking
from .edges import Fork, Gather, Join, Link
from .errors import RunError
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
    since: float  # when, in seconds since the epoch
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
    attempts: int = 0  # that have begun
    failures: int = 0  # attempts that ended in an error, other than for want of memory
    shortages: int = 0  # attempts that ran out of memory
    crashes: int = 0  # attempts during which the process ended
    running: bool = False  # an attempt has begun and has not ended, so far as the log knows
    intended: bool = False  # its effect may have happened
    asked: bool = False  # a person has been asked whether it did
    asking: Asking | None = None  # why a person does it; None: nobody does

    @property
    def review(self) -> bool:
        """Whether a person does it."""
        return self.asking is not None

    @property
    def unknown(self) -> bool:
        """Whether its effect may have happened and must not be repeated, though nothing is at work on it."""
        return self.intended and not self.running and self.flow.policies[self.node].effect == "ask"


class RunTask(NamedTuple):
    """Do `task`, attempt number `attempt` (from 1), after `delay` seconds."""

    task: Task
    attempt: int = 1
    delay: float = 0.0


class GiveUp(NamedTuple):
    """Let `task` fail: it has taken its process down too often."""

    task: Task


class AskReview(NamedTuple):
    """Leave `task` pending until a person has answered."""

    task: Task


class AskEffect(NamedTuple):
    """Leave `task` pending until a person has said whether its effect happened."""

    task: Task
    again: bool = False  # the log has the question already


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


Command: TypeAlias = RunTask | GiveUp | AskReview | AskEffect | SetTimer | CancelTasks | Finish | Fail


@dataclass(slots=True, eq=False)
class State:
    """All that a run's future depends on. Made empty, filled by events."""

    flow: Flow[Any, Any]
    run: str = ""
    lots: str = ""  # the run whose lots are drawn: of a fork, the one that it was forked from
    limit: int | None = field(default=None, init=False)  # tasks of the run at work at the same time; None: no limit
    tasks: dict[str, Task] = field(default_factory=dict)
    forks: dict[str, OpenFork] = field(default_factory=dict)
    running: int = 0
    ready: deque[tuple[Task, float]] = field(default_factory=deque)  # with the seconds to wait before each
    suspects: deque[Task] = field(default_factory=deque)  # to be done one after the other; see `_Step.resume`
    on_trial: Task | None = None  # the one of them that has begun
    ended: bool = False
    failed: Task | None = None  # the task that ended the run, if one did
    suspended: bool = False  # the runtime was closed, so nothing is at work
