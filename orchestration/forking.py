"""A fork: the facts of a new run that takes over what another run did, up to one task, which it does anew.

The new flow is told the outcomes of the old run, in their order, except that of the task and of what lay downstream of
it, which does not exist before the task has answered. All that is taken over carries the time of the fork, from which
its timers run. Calls no node and no database.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..agents.messages import Message
from ..agents.type_forms import describe, is_instance
from .consequences import consequence
from .errors import ResumeRefused, UndeliverableMessage
from .events import (
    EffectSettled,
    Event,
    InputSwapped,
    ReviewAnswered,
    ReviewRequested,
    ReviewWithdrawn,
    RunStarted,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from .scheduler import advance
from .state import AskEffect, AskReview, Command, Fail, Finish, RunTask, State, Task
from .workflow import Flow


@dataclass(slots=True)
class Fork:
    """A run that has not begun to work."""

    state: State
    facts: list[Event] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)  # what is left to do


def forked(
    flow: Flow[Any, Any],
    facts: Sequence[Event],
    run: str,
    before: str,
    message: Message | None,
    definition: str,
    releases: Mapping[str, str],
) -> Fork:
    """The fork of the run that `facts` tell of; the arguments are those of `Runtime.fork`.

    Raises:
        ResumeRefused: `before` is no task of the run, or is not reached in `flow` as it is now.
        UndeliverableMessage: the node does not take `message`.
    """
    started = facts[0]
    assert isinstance(started, RunStarted)  # noqa: S101 - every run begins with it
    return _Forking(flow, facts, run, _task(facts, started.run, before), started).done(message, definition, releases)


def _task(facts: Sequence[Event], run: str, before: str) -> str:
    """The task that `before` names; of a node, its first."""
    begun = [event for event in facts if isinstance(event, TaskStarted | ReviewRequested)]
    for event in begun:
        if before in (event.task, event.node):
            return event.task
    known = ", ".join(dict.fromkeys(event.task for event in begun))
    raise ResumeRefused(run, [f"it has no task {before!r} to fork before; it has {known}"])


class _Forking:
    def __init__(
        self, flow: Flow[Any, Any], facts: Sequence[Event], run: str, before: str, started: RunStarted
    ) -> None:
        self.old, self.run, self.before, self.started = facts, run, before, started
        self.fork = Fork(State(flow))
        self.now = time.time()
        self.inputs = {
            event.task: list(event.inputs) if isinstance(event, TaskStarted) else [event.message]
            for event in facts
            if isinstance(event, TaskStarted | ReviewRequested)
        }
        self.answered: set[str] = set()  # reviews whose answers were taken over
        self.open: dict[str, Command] = {}  # what the new run would do, by task

    def done(self, message: Message | None, definition: str, releases: Mapping[str, str]) -> Fork:
        started = self.started._replace(
            run=self.run,
            key=None,
            definition=definition,
            releases={**self.started.releases, **releases},
            forked_from=self.started.run,
            forked_before=self.before,
        )
        self.tell(started)
        for event in self.old:
            self.copy(event)
        task = self.fork.state.tasks.get(self.before)
        if task is None:
            raise ResumeRefused(self.started.run, [f"task {self.before!r} is not reached in the flow as it is now"])
        if message is not None:
            self.swap(task, message)
        self.fork.commands = [*self.fork.commands, *self.open.values()]
        return self.fork

    def copy(self, event: Event) -> None:
        """Take an outcome of the old run over, where the new one has the same task with the same input."""
        match event:
            case ReviewAnswered(task=name) | EffectSettled(task=name, happened=True):
                task = self.same(name)
                if task is not None and (task.review or isinstance(event, EffectSettled)):  # a lot may fall otherwise
                    self.answered.add(task.id)
                    self.keep(event._replace(run=self.run, task=task.id))
            case TaskFinished(task=name):
                task = self.same(name)
                if task is not None:
                    self.withdraw(task)
                    self.tell(event._replace(task=task.id))
            case TaskFailed(task=name, retry_in=None):
                task = self.same(name)
                if task is not None and task.flow.catches[task.node]:
                    self.withdraw(task)
                    self.tell(event._replace(task=task.id, attempt=task.attempts))
            case _:
                pass

    def same(self, name: str) -> Task | None:
        """The open task that the old task `name` was, by its id or, where visits came in another order, its input."""
        tasks = self.fork.state.tasks
        if name == self.before:
            return None
        alike = [tasks[name]] if name in tasks else []
        alike += [task for task in tasks.values() if task.id.partition("#")[0] == name.partition("#")[0]]
        return next((task for task in alike if task.id != self.before and self.told(task) == self.inputs[name]), None)

    def told(self, task: Task) -> list[Any]:
        return list(task.message) if isinstance(task.message, tuple) else [task.message]

    def withdraw(self, task: Task) -> None:
        """Nobody need answer `task` any more, if anybody was asked in the new run, and not in the old one."""
        if task.review and task.id not in self.answered:
            self.keep(ReviewWithdrawn(self.run, 0, self.now, task.id, task.node))

    def swap(self, task: Task, message: Message) -> None:
        expected = task.flow.nodes[task.node].signature.consumes
        if not is_instance(message, expected):
            raise UndeliverableMessage(f"(before {task.id})", type(message).__name__, describe(expected))
        self.withdraw(task)
        self.tell(InputSwapped(self.run, 0, self.now, task.id, task.node, message))

    def tell(self, event: Any) -> None:
        """Let the new run's scheduler know, and keep what follows as facts."""
        self.keep(event._replace(run=self.run))
        self.open.pop(getattr(event, "task", ""), None)
        for command in advance(self.fork.state, self.fork.facts[-1]):
            self.follow(command)

    def follow(self, command: Command) -> None:
        facts = self.fork.facts
        fact = consequence(command, self.run, len(facts) + 1, facts[-1].at)
        match command:
            case Finish() | Fail():
                raise ResumeRefused(self.started.run, [f"the run comes to its end without task {self.before!r}"])
            case RunTask(task=task) | AskReview(task=task) | AskEffect(task=task):
                self.open[task.id] = command
            case _:
                self.fork.commands.append(command)
        if fact is not None:
            facts.append(fact)

    def keep(self, event: Any) -> None:
        self.fork.facts.append(event._replace(seq=len(self.fork.facts) + 1, at=self.now))
