"""The log in memory: what was committed can be read, by run, by key and by thread."""

from typing import Any

import pytest

from coterie.agents import Exchange, Message
from coterie.orchestration import MemoryLog
from coterie.orchestration.events import (
    Event,
    RunCancelled,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskStarted,
)
from coterie.orchestration.log import exchanges

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


class Longer(Text):
    more: str


def text(value: str = "x") -> Text:
    return Text(text=value)


def started(run: str, **settings: Any) -> RunStarted:
    return RunStarted(run=run, seq=1, at=0.0, flow="flow", message=text(), **settings)


def turn(run: str, seq: int, told: Any, answered: Any, node: str = "talk") -> tuple[Event, Event]:
    task = f"{node}#{seq}"
    return (
        TaskStarted(run=run, seq=seq, at=0.0, task=task, node=node, attempt=1, inputs=[told], given={}),
        TaskFinished(run=run, seq=seq + 1, at=0.0, task=task, node=node, output=answered),
    )


async def test_events_are_read_from_a_number_on() -> None:
    """In order; nothing for a run that does not exist."""
    log = MemoryLog()
    facts = (started("r"), *turn("r", 2, text(), text()), RunFinished(run="r", seq=4, at=0.0, message=text()))
    await log.commit("r", facts[:1])
    await log.commit("r", facts[1:])
    assert list(log.read("r")) == list(facts)
    assert list(log.read("r", after=2)) == list(facts[2:])
    assert list(log.read("r", after=4)) == []
    assert list(log.read("nobody")) == []


async def test_a_run_is_found_by_its_flow_and_key() -> None:
    """The same key may be used by another flow."""
    log = MemoryLog()
    await log.commit("r", (started("r", key="mail-1"),))
    assert log.find("flow", "mail-1") == "r"
    assert log.find("flow", "mail-2") is None
    assert log.find("other", "mail-1") is None


async def test_a_thread_lists_its_runs_oldest_first() -> None:
    """Runs without a thread belong to none."""
    log = MemoryLog()
    for run, thread in (("a", "t"), ("b", None), ("c", "t")):
        await log.commit(run, (started(run, thread=thread),))
    assert list(log.thread("t")) == ["a", "c"]
    assert list(log.thread("nobody")) == []


async def test_ended_runs_beyond_the_latest_are_forgotten() -> None:
    """Open runs, runs with a key and runs of a thread are kept."""
    log = MemoryLog(keep=1)
    for run, settings in (("keyed", {"key": "k"}), ("threaded", {"thread": "t"}), ("old", {}), ("new", {})):
        await log.commit(run, (started(run, **settings),))
    await log.commit("open", (started("open"),))
    for run in ("keyed", "threaded", "old", "new"):
        await log.commit(run, (RunCancelled(run=run, seq=2, at=0.0),))
    kept = [run for run in ("keyed", "threaded", "old", "new", "open") if log.read(run)]
    assert kept == ["keyed", "threaded", "new", "open"]


async def test_exchanges_are_the_turns_of_one_node_in_the_other_runs() -> None:
    """Answers without a message, other nodes and the asking run are left out."""
    log = MemoryLog()
    await log.commit("a", (started("a", thread="t"), *turn("a", 2, text("a"), text("A")), *turn("a", 4, text(), None)))
    await log.commit("b", (started("b", thread="t"), *turn("b", 2, text("b"), text("B"), node="other")))
    await log.commit("c", (started("c", thread="t"), *turn("c", 2, text("c"), text("C"))))
    assert exchanges(log, "t", "talk", "c") == [Exchange(text("a"), text("A"))]
    assert exchanges(log, "t", "talk", "d") == [Exchange(text("a"), text("A")), Exchange(text("c"), text("C"))]


async def test_exchanges_leave_out_nodes_that_take_no_single_message() -> None:
    """A node behind a join is told a list, which is no turn of a conversation."""
    log = MemoryLog()
    await log.commit("a", (started("a", thread="t"), *turn("a", 2, [text("a")], text("A"))))
    assert exchanges(log, "t", "talk", "b") == []


def test_a_fact_never_changes() -> None:
    """Events are frozen and refuse fields that they do not know."""
    fact = RunCancelled(run="r", seq=1, at=0.0)
    with pytest.raises(AttributeError):
        fact.seq = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="why"):
        RunCancelled(run="r", seq=1, at=0.0, why="no")  # type: ignore[call-arg]
