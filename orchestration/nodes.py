"""What can stand in a graph: the `Node` protocol, plain functions made nodes by `@node`, and what they are given.

Positional parameters of a function are its inputs; keyword-only parameters are what it is given: `Given[T]`, an earlier
message of the same run, or `Context`. This file knows nothing of graphs and runs nothing.
"""

import inspect
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import (
    Annotated,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from ..agents.agent import Context, In, In_contra, Out, Out_co, Signature
from .errors import NodeDefinitionError

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
Z = TypeVar("Z")
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GivenMarker:
    """Marks a keyword-only parameter that is filled with an earlier message of the run."""


Given = Annotated[T, GivenMarker()]
"""`asked: Given[Question]`: the run's Question; its producer must always come before the node (checked at build)."""


Effect: TypeAlias = Literal["pure", "idempotent", "ask"]
"""What a node does outside of Coterie, and so what follows when its process dies before the outcome is known:

- "pure": nothing, or only what a repeat does not harm; it is done again. Saying so is the same as saying nothing.
- "idempotent": something that is done once for each key; it is done again, with the same `ctx.key`.
- "ask": something that must not be repeated; a person says whether it happened.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a node is tried. Times are in seconds.

    Policy(retries=3)              # three more attempts, 0.1, 0.2 and 0.4 s apart at most
    Policy(timeout=2, limit=4)     # at most 2 s an attempt, at most 4 attempts at a time in one runtime
    Policy(effect="ask")           # it must never be repeated unless a person says that it did not happen
    """

    timeout: float | None = None  # seconds for one attempt; None: no limit
    retries: int = 0  # attempts after the first; errors of validation are never tried again
    backoff: float = 0.1  # seconds before the first retry at most; doubles with each further one
    backoff_limit: float = 30.0  # seconds that a wait never exceeds
    limit: int | None = None  # tasks of this node at the same time in one runtime; None: no limit
    effect: Effect | None = None  # what the node does outside, and so what becomes of it when it dies meanwhile

    def delay(self, attempt: int, chance: random.Random) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1), with full jitter.

        Full jitter as in M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
        """
        doublings = min(attempt - 1, 64)  # more would overflow long after the limit was reached
        return chance.uniform(0, min(self.backoff_limit, self.backoff * 2.0**doublings))


class Node(Protocol[In_contra, Out_co]):
    """Anything that can stand in a graph: a function node, an agent, a review, a flow."""

    @property
    def name(self) -> str: ...

    @property
    def signature(self) -> Signature[In_contra, Out_co]: ...


@dataclass(frozen=True, eq=False)
class FunctionNode(Generic[In, Out]):
    """An async function as a node; `function` is the function itself, for calling it in a test."""

    function: Callable[..., Awaitable[Out]]
    name: str
    policy: Policy

    @property
    def signature(self) -> Signature[In, Out]:
        """Inputs from the positional parameters, output from the return annotation.

        Raises:
            NodeDefinitionError: an annotation is missing or names something that does not exist.
        """
        return self._signature  # a cached_property itself is no property to every type checker

    @cached_property
    def _signature(self) -> Signature[In, Out]:
        inputs = [self._hint(parameter.name) for parameter in self._parameters if _is_positional(parameter)]
        if not inputs:
            raise NodeDefinitionError(f"node {self.name!r} takes no message; give it one positional parameter")
        consumes = inputs[0] if len(inputs) == 1 else tuple[tuple(inputs)]  # type: ignore[misc]
        return Signature(consumes, self._hint("return"))

    @cached_property
    def given(self) -> Mapping[str, Any]:
        """Keyword-only parameter name -> the message type that it is given."""
        return {
            parameter.name: get_args(self._hint(parameter.name))[0]
            for parameter in self._parameters
            if not _is_positional(parameter) and self._hint(parameter.name) is not Context
        }

    @cached_property
    def context_parameter(self) -> str | None:
        """Name of the keyword-only parameter that takes the `Context`, if there is one."""
        for parameter in self._parameters:
            if not _is_positional(parameter) and self._hint(parameter.name) is Context:
                return parameter.name
        return None

    def faults(self) -> list[str]:
        """What is wrong with the function's parameters, in sentences."""
        variadic = [one for one in self._parameters if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        if variadic:
            return [
                f"node {self.name!r} takes {parameter}; name each parameter, because each is matched by itself"
                for parameter in (f"{'*' if one.kind is one.VAR_POSITIONAL else '**'}{one.name}" for one in variadic)
            ]
        try:
            self.signature  # noqa: B018 - reading it resolves every annotation
            strange = [name for name in self._keywords if not _is_given(self._hint(name))]
        except NodeDefinitionError as error:
            return [str(error)]
        return [
            f"node {self.name!r} has the keyword-only parameter {name!r}, which is neither Given[…] nor Context"
            for name in strange
        ]

    def call(self, message: Any, given: Mapping[str, Any], context: Context | None) -> Awaitable[Out]:
        """The function's answer to `message` (a tuple of messages where it takes several).

        `context` may be None where the function has no `context_parameter`.
        """
        keywords = given if self.context_parameter is None else {**given, self.context_parameter: context}
        if isinstance(message, tuple):
            return self.function(*message, **keywords)
        return self.function(message, **keywords)

    @cached_property
    def _parameters(self) -> tuple[inspect.Parameter, ...]:
        return tuple(inspect.signature(self.function).parameters.values())

    @property
    def _keywords(self) -> list[str]:
        return [parameter.name for parameter in self._parameters if not _is_positional(parameter)]

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.function, localns=_bound_around(self.function), include_extras=True)
        except (NameError, AttributeError) as error:
            raise NodeDefinitionError(f"node {self.name!r} has an annotation that does not resolve: {error}") from error

    def _hint(self, name: str) -> Any:
        if name not in self._hints:
            what = "a return annotation" if name == "return" else f"an annotation for parameter {name!r}"
            raise NodeDefinitionError(f"node {self.name!r} needs {what}")
        return self._hints[name]


@dataclass(frozen=True, slots=True)
class NodeDecorator:
    """`@node` and `@node(timeout=2, retries=3)`: an async function becomes a node.

    The settings are those of `Policy`; `name` is the function's own unless given.
    """

    policy: Policy = Policy()
    name: str | None = None

    @overload
    def __call__(
        self, function: Callable[Concatenate[A, B, C, D, E, P], Awaitable[Z]], /
    ) -> FunctionNode[tuple[A, B, C, D, E], Z]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[A, B, C, D, P], Awaitable[Z]], /
    ) -> FunctionNode[tuple[A, B, C, D], Z]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[A, B, C, P], Awaitable[Z]], /
    ) -> FunctionNode[tuple[A, B, C], Z]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[A, B, P], Awaitable[Z]], /) -> FunctionNode[tuple[A, B], Z]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[A, P], Awaitable[Z]], /) -> FunctionNode[A, Z]: ...
    @overload
    def __call__(
        self,
        /,
        *,
        name: str | None = None,
        timeout: float | None = None,
        retries: int = 0,
        backoff: float = 0.1,
        backoff_limit: float = 30.0,
        limit: int | None = None,
        effect: Effect | None = None,
    ) -> "NodeDecorator": ...
    def __call__(
        self,
        function: Callable[..., Awaitable[Any]] | None = None,
        /,
        *,
        name: str | None = None,
        timeout: float | None = None,
        retries: int = 0,
        backoff: float = 0.1,
        backoff_limit: float = 30.0,
        limit: int | None = None,
        effect: Effect | None = None,
    ) -> Any:
        if function is None:
            policy = Policy(
                timeout=timeout,
                retries=retries,
                backoff=backoff,
                backoff_limit=backoff_limit,
                limit=limit,
                effect=effect,
            )
            return NodeDecorator(policy, name)
        if not inspect.iscoroutinefunction(function):
            raise NodeDefinitionError(f"{function!r} cannot be a node: write it with `async def`")
        return FunctionNode(function, self.name or function.__name__, self.policy)


node = NodeDecorator()


def _bound_around(function: Any) -> dict[str, Any]:
    """What a function sees of the functions around it; what those have not bound yet is left out."""
    bound: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is empty
            bound[name] = cell.cell_contents
    return bound


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _is_given(hint: Any) -> bool:
    marked = get_origin(hint) is Annotated and any(isinstance(mark, GivenMarker) for mark in get_args(hint)[1:])
    return hint is Context or marked
