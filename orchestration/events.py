"""What happened in a run, as typed facts. Facts are numbered without gaps; `TokenDelta`s are not facts and may be lost.

Times are seconds since the epoch, UTC. A fact never changes once it is in the log. Facts are made only by a run, from
values that were checked where they were made, so they are named tuples: nothing is cheaper to make and to keep.
Every fact has `run`, `seq` (its position in the run's log, from 1) and `at` (when it happened).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..agents.messages import Message
from .asking import Asking
from .review_answers import Answer

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
    limit: int | None = None  # tasks of the run at work at the same time
    definition: str = ""  # digest of the flow's definition; see definition.py
    releases: Mapping[str, str] = {}  # role -> digest that must answer for it, "" for its zero-shot form
    forked_from: str | None = None  # the run whose outcomes it starts with
    forked_before: str | None = None  # the task that it does anew
    by: str | None = None  # the person who started it, where one is named


class RunResumed(NamedTuple):
    """A process took up a run that another one, or an earlier one, had left; what was open is done again."""

    run: str
    seq: int
    at: float
    limit: int | None = None
    releases: Mapping[str, str] = {}  # as in `RunStarted`


class RunSuspended(NamedTuple):
    """The runtime was closed before the run had ended; what was open did not crash."""

    run: str
    seq: int
    at: float


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


class TaskRetried(NamedTuple):
    """Somebody put the task that had ended the run back to work, with all its attempts."""

    run: str
    seq: int
    at: float
    task: str
    by: str


class InputSwapped(NamedTuple):
    """A fork gave a task another input than the one that it had."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    message: Payload | tuple[Payload, ...]


class EffectIntended(NamedTuple):
    """A node that declares an outside effect is about to begin. Without an outcome, nobody knows if it happened."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    attempt: int
    key: str  # what the node gives the outside as its idempotency key


class EffectUnknown(NamedTuple):
    """A person is asked whether an effect happened; the task stays open until an answer comes."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    key: str


class EffectSettled(NamedTuple):
    """A person said whether an effect happened. If it did, the task's outcome follows; if not, it is done again."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    happened: bool
    by: str


class ReviewRequested(NamedTuple):
    """A person is asked; the task stays pending until an answer comes."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    message: Message
    asking: Asking | None = None  # why; None in logs of before reviews had reasons


class ReviewAnswered(NamedTuple):
    """A person answered; what follows from it is the task's outcome."""

    run: str
    seq: int
    at: float
    task: str
    node: str
    answer: Answer
    decision: int = 0  # its number among the log's decisions; 0: it has none


class ReviewWithdrawn(NamedTuple):
    """Nobody need answer any more: the branch that the review stood in was given up."""

    run: str
    seq: int
    at: float
    task: str
    node: str


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
    | RunResumed
    | RunSuspended
    | TaskStarted
    | TaskFinished
    | TaskFailed
    | TaskRetried
    | InputSwapped
    | EffectIntended
    | EffectUnknown
    | EffectSettled
    | ReviewRequested
    | ReviewAnswered
    | ReviewWithdrawn
    | TimerFired
    | RunFinished
    | RunFailed
    | RunCancelled
)
"""A fact of a run."""

KINDS: dict[str, type[Event]] = {
    "run-started": RunStarted,
    "run-resumed": RunResumed,
    "run-suspended": RunSuspended,
    "task-started": TaskStarted,
    "task-finished": TaskFinished,
    "task-failed": TaskFailed,
    "task-retried": TaskRetried,
    "input-swapped": InputSwapped,
    "effect-intended": EffectIntended,
    "effect-unknown": EffectUnknown,
    "effect-settled": EffectSettled,
    "review-requested": ReviewRequested,
    "review-answered": ReviewAnswered,
    "review-withdrawn": ReviewWithdrawn,
    "timer-fired": TimerFired,
    "run-finished": RunFinished,
    "run-failed": RunFailed,
    "run-cancelled": RunCancelled,
}
"""What each fact is called where it is stored and shown."""

NAMES: dict[type[Any], str] = {kind: name for name, kind in KINDS.items()}
TERMINAL: tuple[type[Any], ...] = (RunFinished, RunFailed, RunCancelled)
CONSEQUENCES: tuple[type[Any], ...] = (TaskStarted, ReviewRequested, EffectUnknown, RunFinished, RunFailed)
"""Facts that follow from the ones before them, so that a replay can check them."""
