"""What each task of a run was told and what it answered, from the facts as a reader sees them.

Messages are JSON values and are told apart by their digests. This file knows no message types, no graph and no
database.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .queries import ShownFact
from .review_items import ShownMessage

INPUT = "(input)"  # stands for a task where a run's own input is meant, which no task made


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What a task was told and what it answered; or, begun and ended with one fact, what was put in for its input."""

    task: str
    node: str
    began: int  # number of the first fact that gives it these inputs
    ended: int | None  # number of the fact that ends it; None: it is open
    at: float  # when it ended, or began if it is open; seconds since the epoch, UTC
    inputs: tuple[ShownMessage, ...] = ()  # the items of lists, one after another
    given: Mapping[str, ShownMessage] = field(default_factory=dict)
    outputs: tuple[ShownMessage, ...] = ()
    listed: bool = False  # whether it answered with a list
    failure: Mapping[str, Any] | None = None  # what a handler of its error was told of it

    @property
    def told(self) -> tuple[ShownMessage, ...]:
        """All that it saw."""
        return (*self.inputs, *self.given.values())

    @property
    def made(self) -> Iterator[tuple[int | None, ShownMessage]]:
        """What it answered and was not told, each with its position in the list, if it answered with one."""
        if self.began == self.ended:
            return  # somebody put it in
        told = {message.digest for message in self.told}
        for number, message in enumerate(self.outputs):
            if message.digest not in told:
                yield (number if self.listed else None), message

    def handed_on(self, message: ShownMessage) -> bool:
        """Whether it was told `message`, so that it did not make it."""
        return any(message.digest == one.digest for one in self.told)


def turns_of(facts: Sequence[ShownFact]) -> list[Turn]:
    """The tasks of a run, in the order in which they began, after what was put in the place of inputs."""
    turns: dict[str, Turn] = {}
    swapped: list[Turn] = []
    for fact in facts:
        task, fields = str(fact.task), fact.fields
        if fact.kind in ("task-started", "review-requested"):
            turns[task] = _begun(fact, turns.get(task))
        elif fact.kind == "task-finished" and task in turns:
            outputs, listed = tuple(messages_in(fields["output"])), isinstance(fields["output"], list)
            turns[task] = replace(turns[task], ended=fact.seq, at=fact.at, outputs=outputs, listed=listed)
        elif fact.kind == "task-failed" and task in turns and fields["retry_in"] is None:
            told = {"error": fields["error"], "reason": fields["reason"], "attempts": fields["attempt"]}
            turns[task] = replace(turns[task], ended=fact.seq, at=fact.at, failure=told)
        elif fact.kind == "input-swapped":
            put = tuple(messages_in(fields["message"]))
            swapped.append(Turn(task, str(fact.node), fact.seq, fact.seq, fact.at, outputs=put))
    return [*swapped, *turns.values()]


def nearest(turns: Iterable[Turn], task: str, before: float) -> Turn | None:
    """Of `turns`, which all gave the same message, the one that `task` has it from.

    Ended before fact number `before`; then the task itself, then the one that shares most of the flows and map items
    around it, then the latest.
    """
    ended = (turn for turn in turns if turn.ended is not None and turn.ended < before)
    return max(ended, key=lambda turn: (turn.task == task, _around_both(turn.task, task), turn.ended), default=None)


def messages_in(payload: Any) -> Iterator[ShownMessage]:
    """The messages of what travelled along an edge, as a fact shows it: one, a list, or None."""
    if isinstance(payload, list):
        for one in payload:
            yield from messages_in(one)
    elif payload is not None:
        yield ShownMessage(payload["type"], payload["version"], payload["digest"], payload["fields"], payload["origin"])


def role_of(message: ShownMessage) -> str | None:
    """The role that made `message`; None: plain code or a person did."""
    return None if message.origin is None else str(message.origin["role"])


def _begun(fact: ShownFact, before: Turn | None) -> Turn:
    """The task that `fact` tells of; a further attempt with the same inputs began with the first."""
    fields = fact.fields
    inputs = tuple(messages_in(fields["inputs"] if "inputs" in fields else fields["message"]))
    given = {name: next(messages_in(one)) for name, one in fields.get("given", {}).items()}
    again = before is not None and [one.digest for one in before.inputs] == [one.digest for one in inputs]
    began = before.began if before is not None and again else fact.seq
    return Turn(str(fact.task), str(fact.node), began, None, fact.at, inputs, given)


def _around_both(one: str, other: str) -> int:
    """How many of the flows and map items around two tasks are the same."""
    count = 0
    for here, there in zip(one.split("/")[:-1], other.split("/")[:-1], strict=False):
        if here != there:
            break
        count += 1
    return count
