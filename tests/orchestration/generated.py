"""Graphs that Hypothesis draws, and a run of them whose tasks end in any order, without an event loop."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from coterie.agents import Failure, Message, ScriptedAgent
from coterie.agents.type_forms import members
from coterie.orchestration import Flow, Workflow
from coterie.orchestration.consequences import consequence
from coterie.orchestration.events import Event, RunResumed, RunStarted, TaskFailed, TaskFinished, TimerFired
from coterie.orchestration.rebuild import rebuild
from coterie.orchestration.scheduler import advance
from coterie.orchestration.state import AskReview, CancelTasks, Command, Fail, Finish, RunTask, SetTimer, State


class Bag(Message):
    """Numbers without an order, so that merging commutes."""

    numbers: list[int]


class Red(Message):
    value: int


class Blue(Message):
    value: int


class Green(Message):
    value: int


# Graphs that are right by construction: any acyclic shape with maps, handlers and nested flows in it.


@dataclass
class Plan:
    """Names and predecessors of a right graph's nodes; `kinds` says what each is."""

    kinds: list[str]
    before: list[list[int]]  # for each node the earlier nodes that it gathers from; none: the flow's input


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    size = draw(st.integers(1, 7))
    kinds = [draw(st.sampled_from(["plain", "plain", "map", "handled", "nested"])) for _ in range(size)]
    before = [sorted(draw(st.sets(st.integers(0, index - 1), max_size=3))) if index else [] for index in range(size)]
    return Plan(kinds, before)


def merge(message: Any) -> Bag:
    bags = message if isinstance(message, tuple) else (message,)
    return Bag(numbers=sorted(number for bag in bags for number in bag.numbers))


def bag_node(name: str, inputs: int, add: int) -> Any:
    takes = Bag if inputs == 1 else tuple[(Bag,) * inputs]  # type: ignore[misc]
    return ScriptedAgent[takes, Bag](name, lambda message: merge((merge(message), Bag(numbers=[add]))))


def nested_flow(name: str, add: int) -> Flow[Bag, Bag]:
    inner: Workflow[Bag, Bag] = Workflow(name, Bag, Bag)
    left, right, meet = bag_node("left", 1, add), bag_node("right", 1, add), bag_node("meet", 2, add)
    inner.start(left, right)
    inner.gather((left, right), meet)
    inner.end(meet)
    return inner.build()


def wire_block(flow: Workflow[Any, Any], name: str, kind: str, head: Any) -> Any:
    """What comes behind `head` for this kind of node; its last node is returned."""
    if kind == "nested":
        inner = nested_flow(f"{name}-inner", 7)
        flow.edge(head, inner)
        return inner
    if kind == "handled":
        flow.on_error(head, ScriptedAgent[Failure, Bag](f"{name}-spare", lambda failure: Bag(numbers=[-1])))
    if kind == "map":
        split = ScriptedAgent[Bag, list[Bag]](f"{name}-split", lambda bag: [Bag(numbers=[one]) for one in bag.numbers])
        work = bag_node(f"{name}-work", 1, 3)
        collect = ScriptedAgent[list[Bag], Bag](f"{name}-collect", lambda bags: merge(tuple(bags)))
        flow.edge(head, split)
        flow.map(split, work, limit=2)
        flow.join(work, collect)
        return collect
    return head


def flow_of(plan: Plan) -> Flow[Bag, Bag]:
    flow: Workflow[Any, Any] = Workflow("generated", Bag, Bag)
    tails: list[Any] = []
    for index, (kind, before) in enumerate(zip(plan.kinds, plan.before, strict=True)):
        head = bag_node(f"n{index}", max(1, len(before)), index)
        if not before:
            flow.start(head)
        elif len(before) == 1:
            flow.edge(tails[before[0]], head)
        else:
            flow.gather(tuple(tails[one] for one in before), head)  # type: ignore[call-overload]
        tails.append(wire_block(flow, f"n{index}", kind, head))
    used = {one for before in plan.before for one in before}
    loose = [tail for index, tail in enumerate(tails) if index not in used]
    last = bag_node("last", len(loose), 100)
    if len(loose) == 1:
        flow.edge(loose[0], last)
    else:
        flow.gather(tuple(loose), last)  # type: ignore[call-overload]
    flow.end(last)
    return flow.build()


# A run whose tasks end in any order, some of them in an error.


@dataclass
class Shuffled:
    """Plays a run, choosing by `chance` what happens next; keeps what it told and what it heard."""

    flow: Flow[Any, Any]
    chance: random.Random
    limit: int | None = None
    answer: Callable[[str, Any, Any, random.Random], Any] = field(default=lambda node, agent, told, chance: None)
    fails: Callable[[str], bool] = field(default=lambda node: False)
    told: list[Event] = field(default_factory=list)
    heard: list[list[str]] = field(default_factory=list)
    open: dict[str, RunTask | AskReview] = field(default_factory=dict)
    timers: list[SetTimer] = field(default_factory=list)
    most: int = 0
    outcome: Finish | Fail | None = None
    facts: list[Event] = field(default_factory=list)  # the log: what was told, and what follows from it
    commits: list[int] = field(default_factory=list)  # how many facts the log has after each commit
    crashes: float = 0.0  # the chance that the process ends, and another takes the run up, before something happens
    finished: list[str] = field(default_factory=list)  # tasks that have answered, in order

    def play(self, message: Message) -> Finish | Fail | None:
        self.state = State(self.flow)
        self._tell(RunStarted(**self._stamp(), flow=self.flow.name, message=message, limit=self.limit))
        for _ in range(5_000):
            if not self.open:
                break
            if self.crashes and self.chance.random() < self.crashes:
                self.crash()
            else:
                self._tell(self._next())
        return self.outcome

    def crash(self) -> None:
        """All that is in memory is lost; the run goes on from its facts alone."""
        rebuilt = rebuild(self.flow, self.facts)
        assert rebuilt.divergences == []
        self.state, self.open, self.timers = rebuilt.state, {}, []
        self._tell(RunResumed(**self._stamp(), limit=self.limit))

    def _next(self) -> Event:
        if self.timers and self.chance.random() < 0.1:
            return TimerFired(**self._stamp(), fork=self.timers.pop().fork)
        name = self.chance.choice(sorted(self.open))
        command = self.open.pop(name)
        attempt = command.attempt if isinstance(command, RunTask) else 1
        task = command.task
        if self.fails(task.node):
            retry = 0.0 if attempt == 1 else None
            kinds = ("builtins.ValueError", "builtins.Exception")
            outcome = {"error": "ValueError", "reason": "", "kinds": kinds, "retry_in": retry}
            return TaskFailed(**self._stamp(), task=task.id, node=task.node, attempt=attempt, **outcome)
        output = self.answer(task.node, task.flow.nodes[task.node], task.message, self.chance)
        return TaskFinished(**self._stamp(), task=task.id, node=task.node, output=output)

    def _stamp(self) -> dict[str, Any]:
        return {"run": "r", "seq": len(self.facts) + 1, "at": 0.0}

    def _tell(self, happened: Event) -> None:
        self.told.append(happened)
        self.facts.append(happened)
        if isinstance(happened, TaskFinished):
            self.finished.append(happened.task)
        commands = advance(self.state, happened)
        self.heard.append([said(command) for command in commands])
        for command in commands:
            fact = consequence(command, "r", len(self.facts) + 1, 0.0)
            if fact is not None:
                self.facts.append(fact)
        self.commits.append(len(self.facts))
        for command in commands:
            match command:
                case RunTask(task=task) | AskReview(task=task):
                    assert task.id not in self.open, "two open tasks of one id"
                    self.open[task.id] = command
                case CancelTasks(tasks=tasks):
                    for name in tasks:
                        self.open.pop(name, None)
                case SetTimer():
                    self.timers.append(command)
                case Finish() | Fail():
                    assert self.outcome is None
                    self.outcome = command
        self.most = max(self.most, sum(isinstance(command, RunTask) for command in self.open.values()))


def said(command: Command) -> str:
    match command:
        case RunTask(task=task) | AskReview(task=task):
            return f"{type(command).__name__} {task.id} {task.message!r} {dict(task.given)!r}"
        case Fail(node=name, error=error):
            return f"Fail {name} {error}"
        case _:
            return repr(command)


def by_script(node: str, agent: Any, told: Any, chance: random.Random) -> Any:
    return agent.script(told)


SOME = Bag(numbers=[1, 2])


# Graphs with routes, loops, joins with a time limit and handlers, grown by edges that fit.

COLOURS: list[type[Message]] = [Red, Blue, Green]
ANSWERS: list[Any] = [Red, Blue, Green, Red | Blue, Blue | Green, Red | None, list[Red], list[Blue] | None, None]


class Garden:
    """Grows a Red -> Blue workflow: every answer of every node goes somewhere that takes it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.flow: Workflow[Any, Any] = Workflow("grown", Red, Blue)
        self.left = draw(st.integers(0, 9))  # nodes that may still be grown freely
        self.count = 0
        self.standing: list[tuple[Any, int]] = []  # nodes that a loop may lead back to, with their depth in maps
        self.gathered: list[tuple[Any, int]] = []  # nodes that wait for a partner

    def grow(self) -> Workflow[Any, Any]:
        for _ in range(self.draw(st.integers(1, 2))):
            self.flow.start(self.plant(Red, 0))
        ending = self.fresh(Red, Blue)
        self.flow.start(ending)
        self.flow.end(ending)
        while len(self.gathered) > 1:
            (one, depth), (other, level) = self.gathered.pop(), self.gathered.pop()
            if depth == level:
                self.flow.gather(
                    (one, other), self.plant(tuple[one.signature.produces, other.signature.produces], depth)
                )
            else:
                self.end_somehow(one, depth)
                self.end_somehow(other, level)
        for one, depth in self.gathered:
            self.end_somehow(one, depth)
        return self.flow

    def fresh(self, takes: Any, gives: Any) -> Any:
        self.count += 1
        return ScriptedAgent[takes, gives](f"n{self.count}", [])

    def plant(self, takes: Any, depth: int) -> Any:
        """A new node with everything that follows from its answers."""
        self.left -= 1
        node = self.fresh(takes, self.draw(st.sampled_from(ANSWERS)) if self.left > 0 else None)
        self.standing.append((node, depth))
        kinds = [kind for kind in members(node.signature.produces) if kind is not type(None)]
        if len(kinds) == 1 and kinds[0] in COLOURS and self.draw(st.integers(0, 4)) == 0:
            self.gathered.append((node, depth))
            return node
        for kind in kinds:
            self.lead_on(node, kind, depth)
        if self.draw(st.integers(0, 3)) == 0:
            gives = self.draw(st.sampled_from([None, node.signature.produces]))
            self.flow.on_error(node, self.fresh(Failure, gives))
        return node

    def lead_on(self, node: Any, kind: Any, depth: int) -> None:
        on = kind if kind in COLOURS else None
        back = [one for one, level in self.standing if level == depth and one.signature.consumes == kind]
        ways = ["new", "new", "join"] if depth else ["new", "new", "end"]
        match self.draw(st.sampled_from(["map", "list"] if on is None else [*ways, *(["back"] * bool(back))])):
            case "map":
                self.flow.map(
                    node, self.plant(kind.__args__[0], depth + 1), limit=self.draw(st.sampled_from([None, 1]))
                )
            case "list":
                self.flow.edge(node, self.plant(kind, depth))
            case "join":
                within, least = self.draw(st.sampled_from([None, 1.0])), self.draw(st.sampled_from([0, 0, 1]))
                self.flow.join(node, self.plant(list[kind], depth - 1), within=within, at_least=least)
            case "back":
                spare = self.plant(kind, depth) if self.draw(st.booleans()) else None
                visits = self.draw(st.integers(1, 3))
                self.flow.edge(node, self.draw(st.sampled_from(back)), on=on, max_visits=visits, exhausted=spare)
            case "end" if kind is Blue:
                self.flow.end(node)
            case _:
                self.flow.edge(node, self.plant(kind, depth), on=on)

    def end_somehow(self, node: Any, depth: int) -> None:
        self.flow.edge(node, self.fresh(node.signature.produces, None))


@st.composite
def grown(draw: st.DrawFn) -> Workflow[Any, Any]:
    return Garden(draw).grow()


def by_type(node: str, agent: Any, told: Any, chance: random.Random) -> Any:
    """Any answer of the node's type."""
    return chance.choice([*_values(agent.signature.produces, chance)])


def _values(form: Any, chance: random.Random) -> Iterator[Any]:
    if form in (None, type(None)):
        yield None
    elif form in COLOURS:
        yield form(value=chance.randrange(3))
    elif getattr(form, "__origin__", None) is list:
        yield [form.__args__[0](value=index) for index in range(chance.randrange(3))]
    else:
        for member in form.__args__:
            yield from _values(member, chance)
