"""Flows inside flows, at work: results, handlers, maps, reviews and given messages at every depth."""

from typing import Any

import anyio
import pytest

from coterie.agents import Failure, Message
from coterie.orchestration import Approve, Flow, Given, Review, RunFailed, Runtime, Workflow, node
from coterie.orchestration.events import TaskStarted

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


@node
async def star(text: Text) -> Text:
    return Text(text=text.text + "*")


@node
async def characters(text: Text) -> list[Text]:
    return [Text(text=one) for one in text.text]


@node
async def together(texts: list[Text]) -> Text:
    return Text(text="".join(text.text for text in texts))


@node
async def spare(failure: Failure) -> Text:
    return Text(text=f"{failure.node}: {failure.reason}")


def around(name: str, inner: Any) -> Flow[Text, Text]:
    """A flow that does `inner` and then adds a star."""
    flow: Workflow[Text, Text] = Workflow(name, Text, Text)
    flow.start(inner)
    flow.edge(inner, star)
    flow.end(star)
    return flow.build()


async def outcome(flow: Flow[Any, Any], text: str = "x", limit: int | None = None) -> str:
    async with Runtime(limit=limit) as runtime:
        run = await runtime.start(flow, Text(text=text))
        result: Text = await run.result()
        return result.text


async def test_flows_nest_two_deep() -> None:
    """Each depth does its part, and tasks carry the path to them."""
    flow = around("outer", around("middle", around("inner", characters_and_back())))
    async with Runtime() as runtime:
        run = await runtime.start(flow, Text(text="ab"))
        assert await run.result() == Text(text="ab***")
    tasks = [event.task for event in run.facts() if isinstance(event, TaskStarted)]
    assert "middle/inner/mapped/characters[1]/star" not in tasks
    assert tasks[0] == "middle/inner/mapped/characters"
    assert tasks[-3:] == ["middle/inner/star", "middle/star", "star"]


def characters_and_back() -> Flow[Text, Text]:
    flow: Workflow[Any, Any] = Workflow("mapped", Text, Text)
    flow.start(characters)
    flow.map(characters, copy)
    flow.join(copy, together)
    flow.end(together)
    return flow.build()


@node
async def copy(text: Text) -> Text:
    return text


def test_a_nested_flow_runs_without_an_event_loop_of_ones_own() -> None:
    """`run_sync` is for scripts."""
    assert around("outer", around("inner", star_then())).run_sync(Text(text="a")) == Text(text="a!**")


def star_then() -> Any:
    @node
    async def exclaim(text: Text) -> Text:
        return Text(text=text.text + "!")

    return exclaim


async def test_a_flow_can_be_mapped() -> None:
    """Each item runs the whole nested flow, and the join keeps the order."""

    @node
    async def slow_first(text: Text) -> Text:
        for _ in range(3 if text.text == "a" else 1):
            await anyio.lowlevel.checkpoint()
        return text

    inner = around("inner", slow_first)
    flow: Workflow[Any, Any] = Workflow("outer", Text, Text)
    flow.start(characters)
    flow.map(characters, inner, limit=2)
    flow.join(inner, together)
    flow.end(together)
    assert await outcome(flow.build(), "abc") == "a*b*c*"


async def test_a_failure_inside_stops_the_siblings_and_goes_to_the_flows_handler() -> None:
    """The nested flow fails as one node would; what else it was doing is cancelled."""
    stopped: list[str] = []

    @node
    async def fail(text: Text) -> Text:
        await anyio.wait_all_tasks_blocked()
        raise ValueError("broken")

    @node
    async def patient(text: Text) -> Text:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append("patient")
        raise AssertionError

    @node
    async def meet(one: Text, other: Text) -> Text:
        return one

    inside: Workflow[Any, Any] = Workflow("inner", Text, Text)
    inside.start(fail, patient)
    inside.gather((fail, patient), meet)
    inside.end(meet)
    inner = inside.build()
    flow: Workflow[Any, Any] = Workflow("outer", Text, Text)
    flow.start(inner)
    flow.edge(inner, star)
    flow.on_error(inner, spare, catch=ValueError)
    flow.end(star)
    assert await outcome(flow.build()) == "inner: broken*"
    assert stopped == ["patient"]


async def test_what_waits_for_its_turn_is_never_begun_after_a_sibling_failed() -> None:
    """The failure of a nested flow withdraws the tasks of it that the run's limit had kept back."""
    begun: list[str] = []

    @node
    async def fail(text: Text) -> Text:
        raise ValueError("broken")

    @node
    async def note(text: Text) -> Text:
        begun.append(text.text)
        return text

    @node
    async def meet(one: Text, two: Text, three: Text) -> Text:
        return one

    @node
    async def head(text: Text) -> Text:
        return text

    @node
    async def other(text: Text) -> Text:
        begun.append("other")
        return text

    inside: Workflow[Any, Any] = Workflow("inner", Text, Text)
    inside.start(fail, note, other)
    inside.gather((fail, note, other), meet)
    inside.end(meet)
    inner = inside.build()
    flow: Workflow[Any, Any] = Workflow("outer", Text, Text)
    flow.start(head)
    flow.edge(head, inner)
    flow.edge(inner, star)
    flow.on_error(inner, spare)
    flow.end(star)
    async with Runtime(limit=1) as runtime:
        run = await runtime.start(flow.build(), Text(text="x"))
        assert await run.result() == Text(text="inner: broken*")
    assert begun == []


async def test_an_inner_handler_comes_before_an_outer_one() -> None:
    """What is handled inside is no failure outside."""

    @node
    async def fail(text: Text) -> Text:
        raise ValueError("broken")

    inside: Workflow[Any, Any] = Workflow("inner", Text, Text)
    inside.start(fail)
    inside.edge(fail, star)
    inside.on_error(fail, spare, catch=ValueError)
    inside.end(star)
    inner = inside.build()

    @node
    async def never(failure: Failure) -> Text:
        raise AssertionError

    flow: Workflow[Any, Any] = Workflow("outer", Text, Text)
    flow.start(inner)
    flow.on_error(inner, never)
    flow.end(inner)
    assert await outcome(flow.build()) == "fail: broken*"


async def test_a_failure_two_deep_names_the_whole_path() -> None:
    """Without a handler anywhere, the run fails."""

    @node
    async def fail(text: Text) -> Text:
        raise ValueError("broken")

    with pytest.raises(RunFailed, match=r"failed at node 'middle/inner/fail': ValueError: broken"):
        await outcome(around("outer", around("middle", around("inner", fail))))


async def test_a_review_inside_a_nested_flow_is_answered_by_its_path() -> None:
    """The task's path tells the reviews of two items apart."""
    desk = Review[Text, Text]("desk")
    inner = around("inner", desk)
    flow: Workflow[Any, Any] = Workflow("outer", Text, Text)
    flow.start(characters)
    flow.map(characters, inner)
    flow.join(inner, together)
    flow.end(together)
    built = flow.build()
    async with Runtime() as runtime:
        run = await runtime.start(built, Text(text="ab"))
        await run.wait_settled()
        assert [request.task for request in run.pending] == ["characters[0]/inner/desk", "characters[1]/inner/desk"]
        await run.answer("characters[1]/inner/desk", Approve())
        await run.wait_settled()
        await run.answer("characters[0]/inner/desk", Approve())
        assert await run.result() == Text(text="a*b*")


async def test_given_reads_the_flow_that_the_node_stands_in() -> None:
    """A nested flow's own input is its start, not that of the flow around it."""

    @node
    async def inner_asks(text: Text, *, asked: Given[Text]) -> Text:
        return Text(text=f"{asked.text}>{text.text}")

    inside: Workflow[Text, Text] = Workflow("inner", Text, Text)
    inside.start(inner_asks)
    inside.end(inner_asks)
    inner = inside.build()
    flow: Workflow[Any, Any] = Workflow("outer", Text, Text)
    flow.start(star)
    flow.edge(star, inner)
    flow.end(inner)
    assert await outcome(flow.build(), "a") == "a*>a*"


async def test_one_flow_can_stand_in_two_others_at_once() -> None:
    """Flows are immutable: runs of both go on side by side."""
    shared = around("shared", copy)
    left, right = around("left", shared), around("right", shared)
    async with Runtime() as runtime:
        runs = [await runtime.start(flow, Text(text=flow.name)) for flow in (left, right, shared)]
        results = [await run.result() for run in runs]
    assert [result.text for result in results] == ["left**", "right**", "shared*"]
