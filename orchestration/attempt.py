"""One attempt of one task: the node is called under its policy, and its answer is checked.

Knows nothing of logs and of what comes before or after the attempt.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import anyio
from pydantic import ValidationError

from ..agents.agent import Agent, Context
from ..agents.errors import MessageError, NotDurable, OutputTypeError
from ..agents.type_forms import describe, is_instance
from .errors import NodeTimeout, ReviewRejected, TaskGivenUp, UndeliverableMessage
from .fault_points import reached
from .nodes import FunctionNode
from .state import RunTask, Task

NEVER_RETRIED = (
    ValidationError,
    MessageError,
    OutputTypeError,
    UndeliverableMessage,
    ReviewRejected,
    TaskGivenUp,
    NotDurable,
)
HALVINGS = 3  # attempts with half the batch each that running out of memory gets, whatever the policy
INTENDED = ("idempotent", "ask")  # effects that the log is told of before they may happen

MakeContext: TypeAlias = Callable[[Task, int], Context]
Intend: TypeAlias = Callable[[Task, int], Awaitable[object]]
FindLimiter: TypeAlias = Callable[[object, int], anyio.CapacityLimiter]


@dataclass(frozen=True, slots=True)
class Raised:
    """An attempt ended in this exception."""

    error: Exception


async def attempt(command: RunTask, limiter: FindLimiter, context: MakeContext, intend: Intend) -> Any:
    """What the task's node answers, or what it `Raised`.

    Args:
        limiter: finds what all runs share for a node with a limit.
        context: makes the `Context` of a node that takes one.
        intend: called, and awaited, right before a node that declares an effect.
    """
    task = command.task
    policy = task.flow.policies[task.node]
    try:
        if command.delay:
            await anyio.sleep(command.delay)
        if policy.limit is None:
            return await _timed(command, policy.timeout, context, intend)
        async with limiter(task.flow.nodes[task.node], policy.limit):
            return await _timed(command, policy.timeout, context, intend)
    except Exception as error:  # noqa: BLE001 - becomes the fact TaskFailed
        return Raised(error)


def may_retry(task: Task, error: Exception) -> bool:
    """Whether `task`, which has just failed with `error`, is tried again."""
    policy = task.flow.policies[task.node]
    if isinstance(error, MemoryError):  # OutOfMemory is one, too
        return task.shortages < HALVINGS and policy.effect != "ask"
    return task.failures < policy.retries and not isinstance(error, NEVER_RETRIED)


def kind_of(output: Any) -> str:
    """What `output` is, for the words of an error."""
    if isinstance(output, list):
        return f"list[{' | '.join(sorted({type(item).__name__ for item in output}))}]"
    return "None" if output is None else type(output).__name__


async def _timed(command: RunTask, seconds: float | None, context: MakeContext, intend: Intend) -> Any:
    if seconds is None:
        return await _call(command, context, intend)
    with anyio.move_on_after(seconds) as scope:
        return await _call(command, context, intend)
    assert scope.cancelled_caught  # noqa: S101 - the block either returns, raises or is timed out
    raise NodeTimeout(command.task.node, seconds)


async def _call(command: RunTask, make_context: MakeContext, intend: Intend) -> Any:
    task = command.task
    if task.flow.policies[task.node].effect in INTENDED:
        await intend(task, command.attempt)
    reached("node-called", task)
    node = task.flow.nodes[task.node]
    if isinstance(node, FunctionNode):
        context = make_context(task, command.attempt) if node.context_parameter else None
        output = await node.call(task.message, task.given, context)
    else:
        agent: Agent[Any, Any] = node  # type: ignore[assignment]  # the build refuses anything else
        output = await agent.handle(task.message, make_context(task, command.attempt))
    expected = node.signature.produces
    if output.__class__ is not expected and not is_instance(output, expected):
        raise UndeliverableMessage(task.id, kind_of(output), describe(expected))
    return output
