"""The seam between an agent and whatever runs it: `Agent`, `Context`, `Host`; and `ScriptedAgent`, the public double.

An agent is a light, immutable description: it names its types, its role and its settings, and `handle` turns one
message into another. What is heavy (weights, indexes) belongs to the `Host` that runs it and is reached through the
`Context` of each call, so one agent serves any number of runs and hosts.

This file knows nothing of graphs, logs or torch.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, get_args, get_origin

from .errors import NotDurable, OutputTypeError
from .messages import Message

if TYPE_CHECKING:
    from .inference import Inference

In = TypeVar("In")
Out = TypeVar("Out")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)
Resource = TypeVar("Resource")


@dataclass(frozen=True, slots=True)
class Signature(Generic[In_contra, Out_co]):
    """What goes in and what comes out, readable at run time and checkable in an editor."""

    consumes: Any  # a Message type; list[T] behind a join; tuple[A, B] behind a gather
    produces: Any  # a Message type, a union of them, list[T] before a map, or None


class Host(Protocol):
    """Owns what is heavy: the engine, and one resource per key for as long as it lives."""

    @property
    def engine(self) -> "Inference": ...

    async def resource(self, key: Hashable, create: Callable[[], Awaitable[Resource]]) -> Resource:
        """The resource under `key`, created once, however many ask at the same time."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier turn of a thread: what a node was told and what it answered."""

    told: Message
    answered: Message


async def _no_history(node: str) -> Sequence[Exchange]:
    return ()


def _no_transaction(action: Callable[[Any], object]) -> None:
    raise NotDurable("ctx.transaction works in a run whose log is a database, not in a call by hand")


def _no_listener(text: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Context:
    """Where and for whom an agent is working. Times are in seconds.

    Context(host)  # enough to call an agent by hand, outside any run
    """

    host: Host
    run: str = "adhoc"
    node: str = ""
    task: str = "adhoc"  # stable over retries and resumes: node, visit and map position
    attempt: int = 1
    thread: str | None = None
    seed: int = 0  # the same for the same task of a run with the same seed
    batch_share: float = 1.0  # share of the usual batch to use; halved after each OutOfMemory
    listen: Callable[[str], None] = _no_listener  # called with each piece of text as it is written
    history: Callable[[str], Awaitable[Sequence[Exchange]]] = _no_history  # earlier turns of this thread at a node
    releases: Mapping[str, str] = field(default_factory=dict)  # role -> digest that must answer for it; "": zero-shot
    transaction: Callable[[Callable[[Any], object]], None] = _no_transaction
    """`ctx.transaction(lambda connection: connection.execute(…))`: done in the log's database, in the transaction that
    keeps this task's outcome, so exactly once. What it raises fails the task."""

    @property
    def key(self) -> str:
        """An idempotency key for outside effects: the same for every attempt of this task."""
        return f"{self.run}/{self.task}"


class Agent(Protocol[In_contra, Out_co]):
    """A message in, a message out."""

    @property
    def name(self) -> str: ...

    @property
    def signature(self) -> Signature[In_contra, Out_co]: ...

    async def handle(self, message: In_contra, context: Context) -> Out_co: ...


class Described(Generic[In, Out]):
    """Gives an agent its `signature` from the types in its brackets: `Classifier[Question, Mood](…)`."""

    @property
    def signature(self) -> Signature[In, Out]:
        consumes, produces = bracketed_types(self)
        return Signature(consumes, produces)


def bracketed_types(instance: object) -> tuple[Any, Any]:
    """The two types that `instance` was made with, from `Class[In, Out](…)` or from `class Own(Class[In, Out])`.

    Raises:
        OutputTypeError: it was made without brackets.
    """
    candidates = [getattr(instance, "__orig_class__", None), *getattr(type(instance), "__orig_bases__", ())]
    for candidate in candidates:
        arguments = get_args(candidate)
        if get_origin(candidate) is not Generic and len(arguments) == 2 and not _open(arguments):
            return arguments[0], arguments[1]
    kind = type(instance).__name__
    raise OutputTypeError(f"{kind} was made without its types; write {kind}[Input, Output](…)")


def _open(arguments: tuple[Any, ...]) -> bool:
    return any(isinstance(argument, TypeVar) for argument in arguments)


@dataclass(eq=False)
class ScriptedAgent(Described[In, Out]):
    """An agent whose answers you write: a function of the message, or a list of answers given in turn.

        ScriptedAgent[Question, Mood]("mood", lambda question: Mood(label="neutral", confidence=1.0))
        ScriptedAgent[Question, Mood]("mood", [first, second, TimeoutError("slow")])  # exceptions are raised

    The messages that it was given are kept in `calls`, in order.
    """

    name: str
    script: Callable[[In], Out] | Sequence[Out | Exception]
    calls: list[In] = field(default_factory=list)

    async def handle(self, message: In, context: Context) -> Out:
        self.calls.append(message)
        if callable(self.script):
            return self.script(message)
        if len(self.calls) > len(self.script):
            raise IndexError(f"{self.name!r} was asked {len(self.calls)} times, but has {len(self.script)} answers")
        answer = self.script[len(self.calls) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer
