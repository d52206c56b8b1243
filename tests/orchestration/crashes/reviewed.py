"""A run that asks people three times, and a program that answers as people do: twice at desks, once from within."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import anyio

from coterie.agents import Context, Message
from coterie.orchestration import Approve, Choose, Flow, Review, Runtime, Workflow, fault_points, node
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.fault_points import Point
from coterie.orchestration.review_desk import ReviewDesk
from tests.orchestration.crashes.desk import lines, note
from tests.orchestration.desks import Headline, Mood, acts, feel

FELT, PUBLISHED = Path("felt"), Path("published")


class Seen(Message):
    """What the program found in the end."""

    label: str
    acts: list[str]
    published: int


@node
async def mood(headline: Headline, *, ctx: Context) -> Mood:
    note(FELT, ctx.key)
    return feel(headline)


@node(effect="idempotent")
async def publish(found: Mood, *, ctx: Context) -> Mood:
    note(PUBLISHED, ctx.key)
    return found


def built() -> Flow[Headline, Mood]:
    first, second, third = (Review[Mood, Mood](name, grace=0.0, blind=0.0) for name in ("first", "second", "third"))
    flow = Workflow("reviewed", Headline, Mood)
    flow.start(mood)
    flow.edge(mood, first)
    flow.edge(first, second)
    flow.edge(second, publish)
    flow.edge(publish, third)
    flow.end(third)
    return flow.build()


flow = built()
ANSWERS: dict[str, Any] = {"first": Approve(), "second": Choose(label="negative")}


def decide(log: str, run: str, task: str) -> None:
    """One person's visit."""
    with ReviewDesk(log, "anna") as desk:
        item = desk.next()
        if item is not None and item.place == (run, task):
            desk.answer(item, ANSWERS[task], seconds=1.0)
        elif item is not None:  # the run has gone on meanwhile
            desk.release_claim(item)


async def program(runtime: Runtime) -> Seen:
    """Start the run or go on with it, and decide whatever it asks."""
    run = await runtime.start(flow, Headline(text="a"), key="trial", by="otto")
    assert isinstance(runtime.log, DatabaseLog)
    log = str(runtime.log.place)
    while not run.ended:
        await run.wait_settled()
        for request in run.pending:
            if request.task == "third":
                # a desk that was killed may still have it open, and what anna has open only she can answer
                await run.answer("third", Approve(by="anna"))
            else:
                await anyio.to_thread.run_sync(decide, log, run.id, request.task)
    result = await run.result()
    return Seen(
        label=result.label,
        acts=[f"{by} {act}" for by, act in await anyio.to_thread.run_sync(acts, log)],
        published=len(set(lines(PUBLISHED))),
    )


def sit(log: str, run: str, told: str, kill: tuple[Point, int] | None) -> None:
    """A desk in a process of its own: everything that a person does there, told in a file, up to a kill."""
    reached: Counter[Point] = Counter()

    def watch(point: Point, about: tuple[Any, ...]) -> None:
        reached[point] += 1
        if kill == (point, reached[point]):
            os.kill(os.getpid(), signal.SIGKILL)

    fault_points.watch(watch)
    with ReviewDesk(log, "anna") as desk:
        item = desk.item(run, "first")
        desk.skip(item)
        note(Path(told), "skip")
        item = desk.next()
        assert item is not None
        desk.answer(item, Choose(label="neutral"))
        note(Path(told), "choose")
        desk.undo()
        note(Path(told), "undo")
        desk.answer(desk.item(run, "first"), Approve())
        note(Path(told), "approve")
