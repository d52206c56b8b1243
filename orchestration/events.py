"""What happened in a run, as typed facts. Facts are numbered without gaps; `TokenDelta`s are not facts and may be lost.

Times are seconds since the epoch, UTC. A fact never changes once it is in the log. Facts are made only by a run, from
values that were checked where they were made, so they are plain dataclasses; what reads them from outside checks them
with `pydantic.TypeAdapter(Event)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, SerializeAsAny

from ..agents.messages import Message
from .review import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    run: str
    seq: int  # position in the run's log, from 1
    at: float  # seconds since the epoch, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(_Fact):
    """A flow was given its input."""

    kind: Literal["run-started"] = "run-started"
    flow: str
    message: SerializeAsAny[Message]
    thread: str | None = None
    key: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted(_Fact):
    """An attempt of a task began."""

    kind: Literal["task-started"] = "task-started"
    task: str
    node: str
    attempt: int = 1
    inputs: list[SerializeAsAny[Message] | list[SerializeAsAny[Message]]] = field(
        default_factory=list
    )  # one for each parameter
    given: Mapping[str, SerializeAsAny[Message]] = field(
        default_factory=dict
    )  # parameter -> what the node is given besides its inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinished(_Fact):
    """A task answered; it never runs again."""

    kind: Literal["task-finished"] = "task-finished"
    task: str
    node: str
    output: SerializeAsAny[Message] | list[SerializeAsAny[Message]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed(_Fact):
    """An attempt of a task failed."""

    kind: Literal["task-failed"] = "task-failed"
    task: str
    node: str
    attempt: int
    error: str  # name of the exception's class
    reason: str
    kinds: tuple[str, ...]  # qualified names of the exception's class and its bases
    retry_in: float | None = None  # seconds until the next attempt; None: no attempt is left


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequested(_Fact):
    """A person is asked; the task stays pending until an answer comes."""

    kind: Literal["review-requested"] = "review-requested"
    task: str
    node: str
    message: SerializeAsAny[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewAnswered(_Fact):
    """A person answered; what follows from it is the task's outcome."""

    kind: Literal["review-answered"] = "review-answered"
    task: str
    node: str
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired(_Fact):
    """The time that a join allows its map is over."""

    kind: Literal["timer-fired"] = "timer-fired"
    fork: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(_Fact):
    """The run has its result."""

    kind: Literal["run-finished"] = "run-finished"
    message: SerializeAsAny[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(_Fact):
    """The run could not go on."""

    kind: Literal["run-failed"] = "run-failed"
    node: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled(_Fact):
    """Somebody cancelled the run."""

    kind: Literal["run-cancelled"] = "run-cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDelta:
    """A piece of text, as a model writes it. Not a fact: a slow reader may miss some."""

    kind: Literal["token-delta"] = "token-delta"
    run: str
    seq: int  # the last fact before it
    task: str
    text: str


Event: TypeAlias = Annotated[
    RunStarted
    | TaskStarted
    | TaskFinished
    | TaskFailed
    | ReviewRequested
    | ReviewAnswered
    | TimerFired
    | RunFinished
    | RunFailed
    | RunCancelled,
    Field(discriminator="kind"),
]
"""A fact of a run."""

TERMINAL: tuple[type[Any], ...] = (RunFinished, RunFailed, RunCancelled)
