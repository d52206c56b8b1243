"""A run's state from its facts: the scheduler is told again what happened, and must decide again what it decided.

Calls no model and no node. This file knows nothing of databases.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .consequences import consequence
from .events import CONSEQUENCES, NAMES, Event, ReviewRequested, ReviewWithdrawn
from .scheduler import advance
from .state import State
from .workflow import Flow


@dataclass(slots=True)
class Rebuilt:
    """Where a run stands after its facts."""

    state: State
    divergences: list[str] = field(default_factory=list)  # where the program now decides otherwise than the log says


def rebuild(flow: Flow[Any, Any], events: Sequence[Event]) -> Rebuilt:
    """The state of a run of `flow` after `events`, and where it would have gone another way."""
    state = State(flow)
    divergences: list[str] = []
    due: deque[Event] = deque()  # what the log must say next
    for event in events:
        if isinstance(event, ReviewWithdrawn):  # says for readers what the scheduler knows from the event before
            continue
        if isinstance(event, CONSEQUENCES):
            divergences += _differences(due.popleft() if due else None, event)
            continue
        divergences += [_missing(fact) for fact in due]
        due.clear()
        for command in advance(state, event):
            fact = consequence(command, event.run, 0, 0.0)
            if fact is not None:
                due.append(fact)
    return Rebuilt(state, divergences + [_missing(fact) for fact in due])


def _differences(due: Event | None, found: Event) -> Iterator[str]:
    if due is None:
        yield f"the log goes on with {_told(found)}, the program now does not"
    elif _told(due) != _told(found):
        yield f"the log goes on with {_told(found)}, the program now with {_told(due)}"
    elif _content(due) != _content(found):
        yield f"{_told(found)} has another content under the program as it is now"


def _content(fact: Event) -> tuple[Any, ...]:
    """What two facts must share; the reasons of a review may be worded anew."""
    return tuple((fact._replace(asking=None) if isinstance(fact, ReviewRequested) else fact)[3:])


def _missing(due: Event) -> str:
    return f"the program now goes on with {_told(due)}, the log does not"


def _told(fact: Event) -> str:
    place = getattr(fact, "task", getattr(fact, "node", ""))
    return f"{NAMES[type(fact)]} {place!r}" if place else NAMES[type(fact)]
