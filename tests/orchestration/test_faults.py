"""Disks that are full, writes that fail, and cancellations anywhere: what was acknowledged is kept, and runs go on."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.lowlevel

from coterie.agents import Context, Message
from coterie.orchestration import Flow, LogUnavailable, RunError, Runtime, Workflow, node
from coterie.orchestration.database import Database
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.events import Event, TaskFinished
from coterie.orchestration.queries import verify


class Text(Message):
    text: str


def desk(ran: list[str], size: int = 0) -> Flow[Text, Text]:
    """A chain and a map; every node adds its name to `ran`."""

    def step(name: str) -> Any:
        async def work(told: Text, *, ctx: Context) -> Text:
            ran.append(ctx.task)
            await anyio.lowlevel.checkpoint()
            return Text(text=f"{told.text[:20]}{name}".ljust(size))

        return node(name=name)(work)

    @node
    async def split(told: Text, *, ctx: Context) -> list[Text]:
        ran.append(ctx.task)
        return [Text(text=f"{told.text}{index}") for index in range(3)]

    @node
    async def meet(told: list[Text], *, ctx: Context) -> Text:
        ran.append(ctx.task)
        return Text(text="".join(one.text.strip() for one in told))

    a, b, c = step("a"), step("b"), step("c")
    flow = Workflow("desk", Text, Text)
    flow.start(a)
    flow.edge(a, split)
    flow.map(split, b)
    flow.join(b, meet)
    flow.edge(meet, c)
    flow.end(c)
    return flow.build()


async def uninterrupted() -> str:
    async with Runtime() as runtime:
        return (await (await runtime.start(desk([]), Text(text="x"))).result()).text


async def went_on(place: Path, size: int = 0) -> tuple[str, list[str], list[Event]]:
    """The result of the log's one run, what ran for it now, and its facts from before."""
    ran: list[str] = []
    async with Runtime(log=place) as runtime:
        log: Any = runtime.log
        assert (await log.call(lambda database: database.read(verify))).faults == []
        (identity,) = await log.unfinished("desk") or [None]
        if identity is None:
            return "", ran, []
        before = list(await log.read(identity, desk([]).registry))
        run = await runtime.resume_run(desk(ran, size), identity)
        return (await run.result()).text, ran, before


def finished(facts: list[Event]) -> set[str]:
    return {fact.task for fact in facts if isinstance(fact, TaskFinished)}


async def filled(place: Path, ran: list[str], room: int) -> set[str] | None:
    """Tasks that were shown to have finished until the disk had no more than `room` pages; None: that was enough."""
    async with Runtime(log=place) as runtime:
        log: Any = runtime.log

        def fill(database: Database) -> None:
            with database.write() as connection:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + room}")

        await log.call(fill)
        run = None
        try:
            run = await runtime.start(desk(ran, size=9000), Text(text="x"))
            await run.result()
        except (RunError, LogUnavailable) as error:
            assert "database or disk is full; make room on the disk, then resume" in str(error)  # noqa: PT017
            return set() if run is None else finished(list(run.facts()))
    return None


@pytest.mark.anyio
async def test_a_disk_that_is_full_at_any_write_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """With room for one page more each time: the error says so in plain words, and the run goes on where it was."""
    stopped = 0
    for room in range(60):
        place, ran = tmp_path / f"{room}.db", list[str]()
        shown = await filled(place, ran, room)
        if shown is None:
            break
        stopped += 1
        result, again, before = await went_on(place, size=9000)
        assert result or not ran
        assert shown <= finished(before)
        assert not finished(before) & set(again)
    assert 10 <= stopped < 60


def fails_at(number: int, when: str) -> Callable[..., None]:
    """A commit that fails at its `number`th call, before or after what it writes."""
    original, calls = Database._commit_hot, [0]

    def commit(self: Database, work: Any, wait: bool) -> None:
        calls[0] += 1
        if calls[0] != number:
            original(self, work, wait)
            return

        def broken(transaction: Any) -> None:
            if when == "after":
                work(transaction)
            raise sqlite3.OperationalError("disk I/O error")

        original(self, broken, wait)

    return commit


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_write_that_fails_anywhere_stops_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """At each commit in turn: nothing is half kept, nothing that was shown is lost, nothing finished runs again."""
    expected, broken = await uninterrupted(), 0
    for number in range(1, 40):
        place = tmp_path / f"{number}.db"
        ran: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(Database, "_commit_hot", fails_at(number, when))
            shown: set[str] = set()
            async with Runtime(log=place) as runtime:
                try:
                    run = await runtime.start(desk(ran), Text(text="x"))
                    await run.result()
                except (RunError, LogUnavailable):
                    broken += 1
                else:
                    break
                if number > 1:
                    shown = finished(list(run.facts()))
        result, again, before = await went_on(place)
        assert result in ("", expected)
        assert shown <= finished(before)
        assert not finished(before) & set(again)
    assert broken >= 6


class CancelAt(trio.abc.Instrument):
    """Cancels a scope when a task is about to take the `number`th step."""

    def __init__(self, number: int, scope: trio.CancelScope) -> None:
        self.left, self.scope = number, scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            trio.lowlevel.current_trio_token().run_sync_soon(self.scope.cancel)


def test_a_cancellation_at_any_step_leaves_a_log_that_can_be_gone_on_with(tmp_path: Path) -> None:
    """For each step of the event loop in turn; CANCELLATIONS sets how far apart they are."""
    expected, number, survived = trio.run(uninterrupted), 1, False
    while not survived:
        place = tmp_path / f"{number}.db"

        async def cancelled(place: Path = place, number: int = number) -> bool:
            with trio.CancelScope() as scope:
                async with Runtime(log=place) as runtime:
                    trio.lowlevel.add_instrument(CancelAt(number, scope))
                    run = await runtime.start(desk([]), Text(text="x"))
                    await run.result()
            return not scope.cancelled_caught

        survived = trio.run(cancelled)
        result, again, before = anyio.run(went_on, place, backend="trio")
        assert result in ("", expected)
        assert not finished(before) & set(again)
        number += int(os.environ.get("CANCELLATIONS", "1"))
    assert number > 12


@pytest.mark.anyio
async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A folder that does not exist, a file that is no database, a kind of database that we do not know."""
    no_database = tmp_path / "notes.txt"
    no_database.write_text("these are notes, and no database at all\n" * 50)
    for place, said in (
        (tmp_path / "missing" / "desk.db", "cannot be used"),
        (no_database, "file is not a database"),
        ("mysql://localhost/desk", "kept in SQLite or PostgreSQL, not in 'mysql'"),
        ("postgresql+psycopg://nobody:secret@127.0.0.1:1/desk", "cannot be used"),
    ):
        with pytest.raises(LogUnavailable, match=said) as refused:
            async with DatabaseLog(place):
                pass
        assert "secret" not in str(refused.value)


@pytest.mark.anyio
async def test_ended_runs_leave_nothing_behind_in_the_process(tmp_path: Path) -> None:
    """A log that has kept a thousand runs remembers none of them in memory."""
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        for _ in range(30):
            run = await runtime.start(desk([]), Text(text="x"))
            await run.result()
        log: Any = runtime.log
        assert log._registries == {}
        assert log._rows._heads == {}
