"""A run's state from its facts: the scheduler is told again what happened, and must decide again what it decided.

Calls no model and no node. This file knows nothing of databases.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .events import (
    CONSEQUENCES,
    EffectUnknown,
    Event,
    ReviewRequested,
    RunFailed,
    RunFinished,
    TaskStarted,
)
from .scheduler import advance
from .state import AskEffect, AskReview, Command, Fail, Finish, RunTask, State, Task
from .workflow import Flow


@dataclass(slots=True)
class Rebuilt:
    """Where a run stands after its facts."""

    state: State
    divergences: list[str] = field(default_factory=list)  # where the program now decides otherwise than the log says


def rebuild(flow: Flow[Any, Any], events: Sequence[Event]) -> Rebuilt:
    """The state of a run of `flow` after `events`, and where it would have gone another way."""
    rebuilt = Rebuilt(State(flow))
    due: deque[tuple[Any, ...]] = deque()  # what must come next, as the scheduler sees it
    for event in events:
        if isinstance(event, CONSEQUENCES):
            _compare(rebuilt, due.popleft() if due else None, event)
            continue
        rebuilt.divergences += [f"the program now goes on with {_told(missing)}, the log does not" for missing in due]
        due = deque(_due(command) for command in advance(rebuilt.state, event) if _due(command))
    rebuilt.divergences += [f"the program now goes on with {_told(missing)}, the log does not" for missing in due]
    return rebuilt


def inputs_of(task: Task) -> list[Any]:
    """The inputs of `task`, one for each parameter."""
    return list(task.message) if isinstance(task.message, tuple) else [task.message]


def _compare(rebuilt: Rebuilt, due: tuple[Any, ...] | None, event: Event) -> None:
    found = _seen(event)
    if due is None:
        rebuilt.divergences.append(f"the log goes on with {_told(found)}, the program now does not")
    elif due[:2] != found[:2]:
        rebuilt.divergences.append(f"the log goes on with {_told(found)}, the program now with {_told(due)}")
    elif due != found:
        rebuilt.divergences.append(f"{_told(found)} has other inputs under the program as it is now")


def _due(command: Command) -> tuple[Any, ...]:
    match command:
        case RunTask(task=task):
            return "task", task.id, inputs_of(task), dict(task.given)
        case AskReview(task=task):
            return "review", task.id, task.message
        case AskEffect(task=task):
            return "question about the effect of", task.id
        case Finish(message=message):
            return "result", type(message).__name__, message
        case Fail(node=node):
            return "failure at", node
        case _:
            return ()


def _seen(event: Event) -> tuple[Any, ...]:
    match event:
        case TaskStarted(task=task, inputs=inputs, given=given):
            return "task", task, list(inputs), dict(given)
        case ReviewRequested(task=task, message=message):
            return "review", task, message
        case EffectUnknown(task=task):
            return "question about the effect of", task
        case RunFinished(message=message):
            return "result", type(message).__name__, message
        case RunFailed(node=node):
            return "failure at", node
        case _:
            return ()


def _told(what: tuple[Any, ...]) -> str:
    return f"{what[0]} {what[1]!r}"
