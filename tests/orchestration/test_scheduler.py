"""The scheduler as a pure function: events in, commands out, without an event loop and without nodes at work."""

from collections.abc import Callable
from typing import Any

import pytest

from coterie.agents import Failure, Message, ScriptedAgent
from coterie.orchestration import (
    Flow,
    GatherIncomplete,
    Given,
    JoinIncomplete,
    LoopExhausted,
    ResultError,
    Review,
    RunFailed,
    UndeliverableMessage,
    Workflow,
    node,
)
from coterie.orchestration.events import RunStarted, TaskFailed, TaskFinished, TimerFired
from coterie.orchestration.scheduler import advance
from coterie.orchestration.state import AskReview, CancelTasks, Command, Fail, Finish, RunTask, SetTimer, State


class Text(Message):
    text: str


class Number(Message):
    value: int


class Special(Text):
    """A Text that is also more."""


class Play:
    """A run of `flow` whose nodes answer when the test says so."""

    def __init__(self, flow: Flow[Any, Any], limit: int | None = None) -> None:
        self.state, self.limit = State(flow), limit
        self.seq = 0
        self.started: list[str] = []  # every task that was to run, in order
        self.given: dict[str, Any] = {}
        self.told: dict[str, Any] = {}
        self.reviews: list[str] = []
        self.timers: list[SetTimer] = []
        self.cancelled: list[str] = []
        self.finished: Message | None = None
        self.failed: Fail | None = None

    def start(self, message: Message) -> list[Command]:
        return self._advance(RunStarted(**self._stamp(), flow=self.state.flow.name, message=message, limit=self.limit))

    def finish(self, task: str, output: Any) -> list[Command]:
        return self._advance(TaskFinished(**self._stamp(), task=task, node="", output=output))

    def fail(self, task: str, error: Exception, retry_in: float | None = None, attempt: int = 1) -> list[Command]:
        kinds = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
        name = type(error).__name__
        return self._advance(
            TaskFailed(
                **self._stamp(),
                task=task,
                node="",
                attempt=attempt,
                error=name,
                reason=str(error),
                kinds=kinds,
                retry_in=retry_in,
            )
        )

    def fire(self, timer: SetTimer) -> list[Command]:
        return self._advance(TimerFired(**self._stamp(), fork=timer.fork))

    def _stamp(self) -> dict[str, Any]:
        self.seq += 1
        return {"run": "r", "seq": self.seq, "at": float(self.seq)}

    def _advance(self, event: Any) -> list[Command]:
        commands = advance(self.state, event)
        for command in commands:
            match command:
                case RunTask(task=task):
                    self.started.append(task.id)
                    self.told[task.id], self.given[task.id] = task.message, dict(task.given)
                case AskReview(task=task):
                    self.reviews.append(task.id)
                case SetTimer():
                    self.timers.append(command)
                case CancelTasks(tasks=tasks):
                    self.cancelled += tasks
                case Finish(message=message):
                    self.finished = message
                case Fail():
                    self.failed = command
        return commands


def flow_of(wire: Callable[[Workflow[Any, Any]], None], output: type[Message] = Text) -> Flow[Any, Any]:
    """A Text -> `output` flow, wired by `wire`."""
    workflow: Workflow[Any, Any] = Workflow("flow", Text, output)
    wire(workflow)
    return workflow.build()


def role(name: str, takes: Any = Text, gives: Any = Text) -> Any:
    """A node of these types; it is never run here."""
    return ScriptedAgent[takes, gives](name, [])


def text(value: str = "x") -> Text:
    return Text(text=value)


# Chains, fan-out, gather.


def test_a_chain_goes_from_node_to_node_to_the_result() -> None:
    """Each answer starts the next task, and the last one is the run's result."""
    a, b = role("a"), role("b")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a)
        flow.edge(a, b)
        flow.end(b)

    play = Play(flow_of(wire))
    play.start(text("in"))
    play.finish("a", text("a"))
    play.finish("b", text("b"))
    assert play.started == ["a", "b"]
    assert play.told == {"a": text("in"), "b": text("a")}
    assert play.finished == text("b")
    assert play.state.ended


def test_siblings_start_together_and_never_wait_for_each_other() -> None:
    """A fan-out starts all at once; what follows one starts while the other is still at work."""
    a, b, after = role("a"), role("b"), role("after")
    meet = role("meet", tuple[Text, Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a, b)
        flow.edge(a, after)
        flow.gather((after, b), meet)
        flow.end(meet)

    play = Play(flow_of(wire))
    play.start(text())
    assert play.started == ["a", "b"]
    play.finish("a", text("a"))
    assert play.started == ["a", "b", "after"]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_gather_waits_for_all_and_keeps_its_order(order: tuple[str, str]) -> None:
    """The inputs come in the order of the parameters, whoever came first."""
    a, b, meet = role("a"), role("b", Text, Number), role("meet", tuple[Text, Number])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a, b)
        flow.gather((a, b), meet)
        flow.end(meet)

    play = Play(flow_of(wire))
    play.start(text())
    answers: dict[str, Message] = {"a": text("a"), "b": Number(value=1)}
    play.finish(order[0], answers[order[0]])
    assert play.started == ["a", "b"]
    play.finish(order[1], answers[order[1]])
    assert play.told["meet"] == (text("a"), Number(value=1))


def test_a_gather_in_a_loop_pairs_each_round() -> None:
    """Each visit of the loop gathers the answers of its own round, in order of arrival."""
    a, b, meet, stop = role("a"), role("b"), role("meet", tuple[Text, Text], Text | Number), role("stop", Number)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a, b)
        flow.gather((a, b), meet)
        flow.edge(meet, a, on=Text, max_visits=2)
        flow.edge(meet, b, on=Text, max_visits=2)
        flow.edge(meet, stop, on=Number)
        flow.end(stop)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("a", text("a1"))
    play.finish("b", text("b1"))
    play.finish("meet", text("again"))
    assert play.started[-2:] == ["a#2", "b#2"]
    play.finish("b#2", text("b2"))
    play.finish("a#2", text("a2"))
    assert play.told["meet#2"] == (text("a2"), text("b2"))
    play.finish("meet#2", Number(value=2))
    play.finish("stop", text("done"))
    assert play.finished == text("done")


def test_a_gather_whose_branch_was_not_taken_fails_and_names_it() -> None:
    """When no more can come, a missing input is an error, not a hang."""
    a, route = role("a"), role("route", Text, Text | Number)
    other, meet = role("other", Number), role("meet", tuple[Text, Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a, route)
        flow.edge(route, other, on=Number)
        flow.gather((a, route), meet)
        flow.end(meet, other)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("a", text())
    play.finish("route", Number(value=1))
    play.finish("other", text())
    assert play.failed is not None
    assert isinstance(play.failed.error, GatherIncomplete)
    assert str(play.failed.error) == (
        "node 'meet' gathers from 2 nodes, but nothing came from route; the branch was not taken or gave nothing"
    )


# Routes.


def routed() -> Flow[Any, Any]:
    route, small, large = role("route", Text, Text | Number), role("small"), role("large", Number)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(route)
        flow.edge(route, small, on=Text)
        flow.edge(route, large, on=Number)
        flow.end(small, large)

    return flow_of(wire)


@pytest.mark.parametrize(
    ("answer", "taken"), [(text(), "small"), (Number(value=3), "large"), (Special(text=""), "small")]
)
def test_a_union_goes_where_its_member_goes(answer: Message, taken: str) -> None:
    """`on=` follows the class of the answer, subclasses included."""
    play = Play(routed())
    play.start(text())
    play.finish("route", answer)
    assert play.started == ["route", taken]


def test_what_no_edge_takes_is_undeliverable() -> None:
    """The node, the type and the candidates are named, and nothing else happens."""
    a, b = role("a"), role("b")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a)
        flow.edge(a, b, when=lambda message: message.text == "good")
        flow.end(b)

    play = Play(flow_of(wire))
    play.start(text())
    commands = play.finish("a", text("bad"))
    assert commands[0] == CancelTasks(())
    assert isinstance(commands[1], Fail)
    assert isinstance(commands[1].error, UndeliverableMessage)
    assert str(commands[1].error) == "node 'a' answered with Text, but only edge a -> b can go on from there"


def test_a_condition_that_raises_fails_the_run() -> None:
    """The edge and the error are named, and the error itself is the cause."""
    a, b = role("a"), role("b")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a)
        flow.edge(a, b, when=lambda message: 1 // len(message.text) > 0)
        flow.end(b)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("a", text(""))
    assert play.failed is not None
    assert "the `when` of edge a -> b raised ZeroDivisionError" in str(play.failed.error)


# Loops.


def loop(exhausted: bool) -> Flow[Any, Any]:
    draft, check, spare = role("draft"), role("check", Text, Text | Number), role("spare")
    done = role("done", Number)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(draft)
        flow.edge(draft, check)
        flow.edge(check, draft, on=Text, max_visits=2, exhausted=spare if exhausted else None)
        flow.edge(check, done, on=Number)
        flow.end(done, *([spare] if exhausted else []))

    return flow_of(wire)


def go_round(play: Play, times: int) -> None:
    play.start(text())
    for visit in range(1, times + 1):
        mark = f"#{visit}" if visit > 1 else ""
        play.finish(f"draft{mark}", text())
        play.finish(f"check{mark}", text("again"))


def test_a_loop_is_taken_as_often_as_it_may() -> None:
    """Tasks of later visits carry the number of their visit."""
    play = Play(loop(exhausted=True))
    go_round(play, 2)
    assert play.started == ["draft", "check", "draft#2", "check#2", "draft#3"]
    play.finish("draft#3", text())
    play.finish("check#3", Number(value=1))
    play.finish("done", text("done"))
    assert play.finished == text("done")


def test_a_used_up_loop_goes_on_at_its_exhausted_node() -> None:
    """After `max_visits`, the message goes to `exhausted=` instead."""
    play = Play(loop(exhausted=True))
    go_round(play, 3)
    assert play.started[-1] == "spare"
    assert play.told["spare"] == text("again")


def test_a_used_up_loop_without_an_exhausted_node_fails() -> None:
    """The edge and its bound are named."""
    play = Play(loop(exhausted=False))
    go_round(play, 3)
    assert play.failed is not None
    assert isinstance(play.failed.error, LoopExhausted)
    assert str(play.failed.error) == (
        "the edge check -> draft was taken 2 times, its `max_visits`; name a node in `exhausted=` to go on from there"
    )


# Map and join.


def mapped(limit: int | None = None, at_least: int = 0, within: float | None = None) -> Flow[Any, Any]:
    split, work = role("split", Text, list[Text]), role("work")
    elsewhere, collect = role("elsewhere", Number, None), role("collect", list[Text])
    route = role("route", Text, Text | Number)
    skip = role("skip", Failure, None)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, work, limit=limit)
        flow.edge(work, route)
        flow.edge(route, elsewhere, on=Number)
        flow.join(route, collect, at_least=at_least, within=within)
        flow.on_error(work, skip)
        flow.end(collect)

    return flow_of(wire)


def items(count: int) -> list[Text]:
    return [text(str(index)) for index in range(count)]


def test_a_join_gets_the_items_in_their_order() -> None:
    """Whatever order the items end in, the list has that of the map."""
    play = Play(mapped())
    play.start(text())
    play.finish("split", items(3))
    assert play.started[1:] == ["split[0]/work", "split[1]/work", "split[2]/work"]
    for index in (2, 0, 1):
        play.finish(f"split[{index}]/work", text())
        assert "collect" not in play.started
        play.finish(f"split[{index}]/route", text(str(index)))
    assert play.told["collect"] == items(3)


def test_a_join_of_no_items_fires_at_once() -> None:
    """An empty list is collected as an empty list."""
    play = Play(mapped())
    play.start(text())
    play.finish("split", [])
    assert play.told["collect"] == []
    play.finish("collect", text("nothing"))
    assert play.finished == text("nothing")


def test_an_item_that_was_routed_elsewhere_is_missing_in_the_join() -> None:
    """The join waits for the branch to end, and goes on without it."""
    play = Play(mapped())
    play.start(text())
    play.finish("split", items(2))
    for index in (0, 1):
        play.finish(f"split[{index}]/work", text())
    play.finish("split[0]/route", Number(value=0))
    play.finish("split[1]/route", text("1"))
    assert "collect" not in play.started
    play.finish("split[0]/elsewhere", None)
    assert play.told["collect"] == [text("1")]


def test_an_item_that_was_skipped_on_error_is_missing_in_the_join() -> None:
    """A handler that answers None skips the item."""
    play = Play(mapped())
    play.start(text())
    play.finish("split", items(2))
    play.fail("split[0]/work", ValueError("bad"))
    assert play.told["split[0]/skip"] == Failure(node="work", error="ValueError", reason="bad", attempts=1)
    play.finish("split[0]/skip", None)
    play.finish("split[1]/work", text())
    play.finish("split[1]/route", text("1"))
    assert play.told["collect"] == [text("1")]


def test_a_join_with_too_few_items_fails() -> None:
    """`at_least` is checked when no more can come."""
    play = Play(mapped(at_least=2))
    play.start(text())
    play.finish("split", items(1))
    play.finish("split[0]/work", text())
    play.finish("split[0]/route", text())
    assert play.failed is not None
    assert isinstance(play.failed.error, JoinIncomplete)
    assert str(play.failed.error) == "node 'collect' joins at least 2 items, but only 1 came"


def test_a_map_never_exceeds_its_limit() -> None:
    """An item counts until all of its tasks have ended; the next one starts then."""
    play = Play(mapped(limit=2))
    play.start(text())
    play.finish("split", items(3))
    assert play.started[1:] == ["split[0]/work", "split[1]/work"]
    play.finish("split[0]/work", text())
    assert "split[2]/work" not in play.started
    play.finish("split[0]/route", text())
    assert play.started[-1] == "split[2]/work"


def test_a_join_goes_on_when_its_time_is_over() -> None:
    """What is still open is cancelled, waiting items never start, and what has come is joined."""
    play = Play(mapped(limit=2, within=5.0))
    play.start(text())
    play.finish("split", items(3))
    (timer,) = play.timers
    assert timer.delay == 5.0
    play.finish("split[1]/work", text())
    play.finish("split[1]/route", text("1"))
    play.fire(timer)
    assert sorted(play.cancelled) == ["split[0]/work", "split[2]/work"]
    assert play.told["collect"] == [text("1")]


def test_a_timer_after_its_join_changes_nothing() -> None:
    """Late timers are ignored, and so is what cancelled tasks still answer."""
    play = Play(mapped(within=5.0))
    play.start(text())
    play.finish("split", items(1))
    play.fire(play.timers[0])
    assert play.told["collect"] == []
    assert play.fire(play.timers[0]) == []
    assert play.finish("split[0]/work", text()) == []
    play.finish("collect", text("done"))
    assert play.finished == text("done")


def test_maps_nest() -> None:
    """An item may be mapped again; each join collects for its own map."""
    outer, inner = role("outer", Text, list[Text]), role("inner", Text, list[Text])
    leaf, gather_inner = role("leaf"), role("gather_inner", list[Text])
    collect = role("collect", list[Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outer)
        flow.map(outer, inner)
        flow.map(inner, leaf)
        flow.join(leaf, gather_inner)
        flow.join(gather_inner, collect)
        flow.end(collect)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("outer", items(2))
    play.finish("outer[1]/inner", items(1))
    play.finish("outer[0]/inner", items(2))
    for leaf_task in ("outer[0]/inner[1]/leaf", "outer[1]/inner[0]/leaf", "outer[0]/inner[0]/leaf"):
        play.finish(leaf_task, text(leaf_task))
    assert play.told["outer[0]/gather_inner"] == [text("outer[0]/inner[0]/leaf"), text("outer[0]/inner[1]/leaf")]
    play.finish("outer[0]/gather_inner", text("first"))
    play.finish("outer[1]/gather_inner", text("second"))
    assert play.told["collect"] == [text("first"), text("second")]


def test_a_gather_inside_a_map_pairs_within_the_item() -> None:
    """Items never mix in a gather."""
    split, left, right = role("split", Text, list[Text]), role("left"), role("right")
    head, meet, collect = role("head"), role("meet", tuple[Text, Text]), role("collect", list[Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, head)
        flow.edge(head, left)
        flow.edge(head, right)
        flow.gather((left, right), meet)
        flow.join(meet, collect)
        flow.end(collect)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("split", items(2))
    for index in (0, 1):
        play.finish(f"split[{index}]/head", text())
    play.finish("split[0]/left", text("l0"))
    play.finish("split[1]/right", text("r1"))
    assert not [task for task in play.started if task.endswith("meet")]
    play.finish("split[1]/left", text("l1"))
    assert play.told["split[1]/meet"] == (text("l1"), text("r1"))


# Limits and retries.


def wide(count: int) -> Flow[Any, Any]:
    split, work, collect = role("split", Text, list[Text]), role("work"), role("collect", list[Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, work)
        flow.join(work, collect)
        flow.end(collect)

    return flow_of(wire)


def test_a_run_never_exceeds_its_limit() -> None:
    """Ready tasks wait for a place and start in the order in which they became ready."""
    play = Play(wide(4), limit=2)
    play.start(text())
    play.finish("split", items(4))
    assert play.started == ["split", "split[0]/work", "split[1]/work"]
    play.finish("split[1]/work", text())
    assert play.started[-1] == "split[2]/work"


def test_a_retry_takes_its_place_in_the_limit_again() -> None:
    """A task that is tried again queues behind those that were ready before."""
    play = Play(wide(3), limit=1)
    play.start(text())
    play.finish("split", items(2))
    commands = play.fail("split[0]/work", ValueError("once"), retry_in=0.5)
    assert [command.task.id for command in commands if isinstance(command, RunTask)] == ["split[1]/work"]
    (again,) = play.finish("split[1]/work", text())
    assert isinstance(again, RunTask)
    assert (again.task.id, again.attempt, again.delay) == ("split[0]/work", 2, 0.5)


def test_a_review_takes_no_place_in_the_limit() -> None:
    """People may be slow: a pending review keeps no task from running."""
    desk, work, meet = Review[Text, Text]("desk"), role("work"), role("meet", tuple[Text, Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(desk, work)
        flow.gather((desk, work), meet)
        flow.end(meet)

    play = Play(flow_of(wire), limit=1)
    play.start(text())
    assert (play.reviews, play.started) == (["desk"], ["work"])
    play.finish("work", text("w"))
    play.finish("desk", text("d"))
    assert play.told["meet"] == (text("d"), text("w"))


# Handlers of errors.


def caught(*catches: tuple[str, type[Exception]]) -> Flow[Any, Any]:
    work, after = role("work"), role("after")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(work)
        flow.edge(work, after)
        for name, kind in catches:
            flow.on_error(work, role(name, Failure), catch=kind)
        flow.end(after)

    return flow_of(wire)


@pytest.mark.parametrize(
    ("error", "handler"),
    [(KeyError("k"), "lookup"), (LookupError("l"), "lookup"), (ValueError("v"), "general")],
)
def test_a_handler_is_chosen_by_the_class_of_the_error(error: Exception, handler: str) -> None:
    """Subclasses match; the first declared handler that matches is told."""
    play = Play(caught(("lookup", LookupError), ("general", Exception), ("never", KeyError)))
    play.start(text())
    play.fail("work", error)
    assert play.started == ["work", handler]


def test_a_stand_in_answers_in_the_place_of_its_node() -> None:
    """The answer of a handler without edges goes where the node's would have gone."""
    play = Play(caught(("spare", Exception)))
    play.start(text())
    play.fail("work", ValueError("no"), attempt=3)
    assert play.told["spare"] == Failure(node="work", error="ValueError", reason="no", attempts=3)
    play.finish("spare", text("instead"))
    assert play.told["after"] == text("instead")


def test_a_stand_in_of_a_stand_in_answers_in_the_place_of_the_node() -> None:
    """Handlers chain: the second one, too, answers for the node that failed first."""
    work, after = role("work"), role("after")
    spare, last = role("spare", Failure), role("last", Failure)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(work)
        flow.edge(work, after)
        flow.on_error(work, spare)
        flow.on_error(spare, last)
        flow.end(after)

    play = Play(flow_of(wire))
    play.start(text())
    play.fail("work", ValueError("no"))
    play.fail("spare", ValueError("neither"))
    play.finish("last", text("at last"))
    assert play.told["after"] == text("at last")


def test_an_error_that_nothing_catches_fails_the_run() -> None:
    """The node, the error's class and its reason are named; other tasks are cancelled."""
    work, other = role("work"), role("other")
    meet = role("meet", tuple[Text, Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(work, other)
        flow.on_error(work, role("lookup", Failure), catch=LookupError)
        flow.gather((work, other), meet)
        flow.end(meet)

    play = Play(flow_of(wire))
    play.start(text())
    play.fail("work", ValueError("no"))
    assert play.cancelled == ["other"]
    assert play.failed is not None
    assert isinstance(play.failed.error, RunFailed)
    assert str(play.failed.error) == "run 'r' failed at node 'work': ValueError: no"


# Given.


def test_a_node_is_given_the_latest_answer_in_its_scope() -> None:
    """Inside a map it is the item's own; what came before the map is seen, too."""

    @node
    async def use(message: Number, *, item: Given[Special], asked: Given[Text]) -> Text:
        return asked

    split, special = role("split", Text, list[Number]), role("special", Number, Special)
    count, collect = role("count", Special, Number), role("collect", list[Text])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, special)
        flow.edge(special, count)
        flow.edge(count, use)
        flow.join(use, collect)
        flow.end(collect)

    play = Play(flow_of(wire))
    play.start(text("asked"))
    play.finish("split", [Number(value=0), Number(value=1)])
    for index in (0, 1):
        play.finish(f"split[{index}]/special", Special(text=f"s{index}"))
    for index in (0, 1):
        play.finish(f"split[{index}]/count", Number(value=index))
    assert play.given["split[0]/use"]["item"] == Special(text="s0")
    assert play.given["split[1]/use"]["item"] == Special(text="s1")


def test_a_given_message_is_never_of_another_type() -> None:
    """Where its producer has meanwhile answered something else in a loop, the run fails and says so."""

    @node
    async def late(message: Text, *, first: Given[Number]) -> Text:
        return message

    ask, count = role("ask", Text, Text | Number), role("count", Number)
    slow, other = role("slow"), role("other", Text, None)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(ask)
        flow.edge(ask, count, on=Number)
        flow.edge(ask, other, on=Text)
        flow.edge(count, slow)
        flow.edge(count, ask, max_visits=1)
        flow.edge(slow, late)
        flow.end(late)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("ask", Number(value=1))
    play.finish("count", text())
    play.finish("ask#2", text("something else"))
    play.finish("slow", text())
    assert play.failed is not None
    assert str(play.failed.error) == (
        "run 'r' failed at node 'late': it is given Number, but the last answer of 'ask' was Text"
    )


# Nested flows.


def nested(handler: bool) -> Flow[Any, Any]:
    left, right = role("left"), role("right")
    meet = role("meet", tuple[Text, Text])

    def wire_inner(flow: Workflow[Any, Any]) -> None:
        flow.start(left, right)
        flow.gather((left, right), meet)
        flow.end(meet)

    inner: Workflow[Any, Any] = Workflow("inner", Text, Text)
    wire_inner(inner)
    built, after, beside = inner.build(), role("after"), role("beside", Text, None)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(built, beside)
        flow.edge(built, after)
        if handler:
            flow.on_error(built, role("spare", Failure))
        flow.end(after)

    return flow_of(wire)


def test_a_nested_flow_answers_like_a_node() -> None:
    """Its tasks carry its name as a path, and its result goes along the edges of the flow around it."""
    play = Play(nested(handler=False))
    play.start(text("in"))
    assert play.started == ["beside", "inner/left", "inner/right"] or play.started == [
        "inner/left",
        "inner/right",
        "beside",
    ]
    play.finish("inner/left", text("l"))
    play.finish("inner/right", text("r"))
    play.finish("inner/meet", text("met"))
    assert play.told["after"] == text("met")


def test_a_failure_in_a_nested_flow_goes_to_the_flows_handler() -> None:
    """What else the nested flow was doing is cancelled; the flow around goes on."""
    play = Play(nested(handler=True))
    play.start(text())
    play.fail("inner/left", ValueError("no"))
    assert play.cancelled == ["inner/right"]
    assert play.told["spare"] == Failure(node="inner", error="ValueError", reason="no", attempts=1)
    play.finish("beside", None)
    play.finish("spare", text("spare"))
    assert play.told["after"] == text("spare")
    play.finish("after", text("done"))
    assert play.finished == text("done")


def test_a_failure_in_a_nested_flow_without_a_handler_fails_the_run() -> None:
    """The whole path of the task is named."""
    play = Play(nested(handler=False))
    play.start(text())
    play.fail("inner/left", ValueError("no"))
    assert play.failed is not None
    assert str(play.failed.error) == "run 'r' failed at node 'inner/left': ValueError: no"


def test_a_second_visit_of_a_nested_flow_has_tasks_of_its_own() -> None:
    """Each visit opens a scope; task ids stay apart."""
    step = role("step")
    workflow: Workflow[Any, Any] = Workflow("inner", Text, Text)
    workflow.start(step)
    workflow.end(step)
    inner, done = workflow.build(), role("done")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(inner)
        flow.edge(inner, inner, max_visits=1, exhausted=done)
        flow.end(done)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("inner/step", text("1"))
    play.finish("inner#2/step", text("2"))
    assert play.started == ["inner/step", "inner#2/step", "done"]


# Results.


def test_a_flow_without_a_result_fails() -> None:
    """All work ended, but no end was reached."""
    route, done, aside = role("route", Text, Text | Number), role("done"), role("aside", Number, None)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(route)
        flow.edge(route, done, on=Text)
        flow.edge(route, aside, on=Number)
        flow.end(done)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("route", Number(value=1))
    play.finish("aside", None)
    assert play.failed is not None
    assert isinstance(play.failed.error, ResultError)
    assert str(play.failed.error) == "flow 'flow' came to rest without a Text; no end node was reached"


def test_a_flow_with_two_results_fails() -> None:
    """The ends are named, and what to do."""
    a, b = role("a"), role("b")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(a, b)
        flow.end(a, b)

    play = Play(flow_of(wire))
    play.start(text())
    play.finish("b", text())
    play.finish("a", text())
    assert play.failed is not None
    assert isinstance(play.failed.error, ResultError)
    assert str(play.failed.error) == "flow 'flow' ended 2 times, at a, b; gather or join the branches first"


# Order and determinism.


def test_events_about_tasks_that_are_not_open_change_nothing() -> None:
    """Late, repeated and invented events give no command."""
    play = Play(routed())
    play.start(text())
    assert play.finish("nobody", text()) == []
    assert play.fail("nobody", ValueError("no")) == []
    play.finish("route", text())
    assert play.finish("route", Number(value=1)) == []
    play.finish("small", text("end"))
    assert play.finish("small", text("again")) == []
    assert play.finished == text("end")


def test_the_same_events_give_the_same_commands() -> None:
    """Two fresh states that are told the same make the same decisions, word for word."""

    def act() -> str:
        play = Play(mapped(limit=2, within=9.0))
        said = [play.start(text()), play.finish("split", items(3))]
        said += [play.fail("split[0]/work", KeyError("k")), play.finish("split[0]/skip", None)]
        said += [play.finish("split[1]/work", text()), play.fire(play.timers[0]), play.finish("collect", text("end"))]
        return repr([[_told(command) for command in commands] for commands in said])

    assert act() == act()


def _told(command: Command) -> Any:
    match command:
        case RunTask(task=task) | AskReview(task=task):
            return type(command).__name__, task.id, task.message, dict(task.given)
        case _:
            return command
