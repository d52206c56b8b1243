"""What happened in a run, as typed facts. Facts are numbered without gaps; `TokenDelta`s are not facts and may be lost.

Times are seconds since the epoch, UTC. A fact never changes once it is in the log.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from ..agents.messages import Message
from .review import Answer


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    run: str
    seq: int  # position in the run's log, from 1
    at: float  # seconds since the epoch, UTC


class RunStarted(_Fact):
    """A flow was given its input."""

    kind: Literal["run-started"] = "run-started"
    flow: str
    message: SerializeAsAny[Message]
    thread: str | None = None
    key: str | None = None
    seed: int = 0


class TaskStarted(_Fact):
    """An attempt of a task began."""

    kind: Literal["task-started"] = "task-started"
    task: str
    node: str
    attempt: int = 1
    inputs: list[SerializeAsAny[Message] | list[SerializeAsAny[Message]]] = []  # one for each positional parameter
    given: dict[str, SerializeAsAny[Message]] = {}  # parameter -> what the node is given besides its inputs


class TaskFinished(_Fact):
    """A task answered; it never runs again."""

    kind: Literal["task-finished"] = "task-finished"
    task: str
    node: str
    output: SerializeAsAny[Message] | list[SerializeAsAny[Message]] | None


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


class ReviewRequested(_Fact):
    """A person is asked; the task stays pending until an answer comes."""

    kind: Literal["review-requested"] = "review-requested"
    task: str
    node: str
    message: SerializeAsAny[Message]


class ReviewAnswered(_Fact):
    """A person answered; what follows from it is the task's outcome."""

    kind: Literal["review-answered"] = "review-answered"
    task: str
    node: str
    answer: Answer


class TimerFired(_Fact):
    """The time that a join allows its map is over."""

    kind: Literal["timer-fired"] = "timer-fired"
    fork: str


class RunFinished(_Fact):
    """The run has its result."""

    kind: Literal["run-finished"] = "run-finished"
    message: SerializeAsAny[Message]


class RunFailed(_Fact):
    """The run could not go on."""

    kind: Literal["run-failed"] = "run-failed"
    node: str
    error: str
    reason: str


class RunCancelled(_Fact):
    """Somebody cancelled the run."""

    kind: Literal["run-cancelled"] = "run-cancelled"


class TokenDelta(BaseModel):
    """A piece of text, as a model writes it. Not a fact: a slow reader may miss some."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
