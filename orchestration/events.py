"""What happened in a run, as typed facts. Facts are numbered without gaps; `TokenDelta`s are not facts and may be lost.

Times are seconds since the epoch, UTC. A fact never changes once it is in the log. Facts are made only by a run, from
values that were checked where they were made, so they are named tuples: nothing is cheaper to make and to keep.
Every fact has `run`, `seq` (its position in the run's log, from 1) and `at` (when it happened).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..agents.messages import Message
from .review import Answer

Payload: TypeAlias = Message | list[Message]
"""What travels along an edge: a message, or the list that a map takes and a join gives."""


class RunStarted(NamedTuple):
    """A flow was given its input."""

    run: str
    seq: int
    at: float
    flow: str
    message: Message
    thread: str | None = None
    key: str | None = None
    seed: int = 0


class TaskStarted(NamedTuple):
    """An attempt of a task began."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    attempt: int
    inputs: Sequence[Payload]  # one for each parameter
    given: Mapping[str, Message]  # parameter -> what the node is given besides its inputs


class TaskFinished(NamedTuple):
    """A task answered; it never runs again."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    output: Payload | None


class TaskFailed(NamedTuple):
    """An attempt of a task failed."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    attempt: int
    error: str  # name of the exception's class
    reason: str
    kinds: tuple[str, ...]  # qualified names of the exception's class and its bases
    retry_in: float | None = None  # seconds until the next attempt; None: no attempt is left


class ReviewRequested(NamedTuple):
    """A person is asked; the task stays pending until an answer comes."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    message: Message


class ReviewAnswered(NamedTuple):
    """A person answered; what follows from it is the task's outcome."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    answer: Answer


class TimerFired(NamedTuple):
    """The time that a join allows its map is over."""

    run: str
    seq: int
    at: float
    fork: str


class RunFinished(NamedTuple):
    """The run has its result."""

    run: str
    seq: int
    at: float
    message: Message


class RunFailed(NamedTuple):
    """The run could not go on."""

    run: str
    seq: int
    at: float
    node: str
    error: str
    reason: str


class RunCancelled(NamedTuple):
    """Somebody cancelled the run."""

    run: str
    seq: int
    at: float


class TokenDelta(NamedTuple):
    """A piece of text, as a model writes it. Not a fact: a slow reader may miss some."""

    run: str
    seq: int  # the last fact before it
    task: str
    text: str


Event: TypeAlias = (
    RunStarted
    | TaskStarted
    | TaskFinished
    | TaskFailed
    | ReviewRequested
    | ReviewAnswered
    | TimerFired
    | RunFinished
    | RunFailed
    | RunCancelled
)
"""A fact of a run."""

TERMINAL: tuple[type[Any], ...] = (RunFinished, RunFailed, RunCancelled)
