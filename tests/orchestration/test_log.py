"""What every log promises: in memory, in SQLite and in PostgreSQL. And what only a database can."""

import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from coterie.agents import Exchange, Message, Origin, Passage
from coterie.agents.errors import MessageError, NotDurable
from coterie.agents.registry import Registry
from coterie.orchestration import (
    Approve,
    Choose,
    Edit,
    KeyTaken,
    Log,
    LogCorrupt,
    MemoryLog,
    NoSuchRun,
    Reject,
    RunHeldElsewhere,
    StaleLease,
)
from coterie.orchestration.asking import Asking, RuleVerdict
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.definition import digest_of
from coterie.orchestration.errors import LogError
from coterie.orchestration.events import (
    KINDS,
    EffectIntended,
    EffectSettled,
    EffectUnknown,
    Event,
    InputSwapped,
    ReviewAnswered,
    ReviewRequested,
    ReviewWithdrawn,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunSuspended,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TaskStarted,
    TimerFired,
)
from coterie.orchestration.queries import verify
from coterie.orchestration.schema import messages, runs

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


class Deep(Message):
    passages: list[Passage]
    score: float


REGISTRY = Registry([Text, Deep, Passage])
DEFINITION = {"flow": "flow", "nodes": {}}
DIGEST = digest_of(DEFINITION)
MADE = Text(text="é\u202e🙂 ").made_by(Origin(role="desk/mood", weights="a" * 64, alternatives=(("good", 0.5),)))


def text(value: str = "x") -> Text:
    return Text(text=value)


def started(run: str, **settings: Any) -> RunStarted:
    return RunStarted(run=run, seq=1, at=1.5, flow="flow", message=text(), definition=DIGEST, **settings)


def turn(run: str, seq: int, told: Any, answered: Any, node: str = "talk") -> tuple[Event, Event]:
    task = f"{node}#{seq}"
    return (
        TaskStarted(run=run, seq=seq, at=0.0, task=task, node=node, attempt=1, inputs=[told], given={}),
        TaskFinished(run=run, seq=seq + 1, at=0.0, task=task, node=node, output=answered),
    )


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def log(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Log]:
    """An open log of each kind."""
    if request.param == "memory":
        made: Log = MemoryLog()
    elif request.param == "sqlite":
        made = DatabaseLog(tmp_path / "desk.db")
    else:
        made = DatabaseLog(request.getfixturevalue("postgresql").database())
    async with made:
        yield made


@pytest.fixture
async def durable(database: str, anyio_backend: str) -> AsyncIterator[DatabaseLog]:
    """An open log in a database."""
    async with DatabaseLog(database) as opened:
        yield opened


ASKING = Asking(("it is unsure",), (RuleVerdict("r", "a rule", False),), 2.0, 0.25, True, "good", 60.0, "a case")


def every_kind(run: str) -> list[Event]:
    """A fact of each kind, with messages of every shape; what they say together makes no sense."""
    deep = Deep(passages=[Passage(id="p", text="t", score=0.25)], score=-0.5)
    stamps = iter((run, number, 1.7e9 + number / 3) for number in range(2, 100))
    return [
        RunStarted(
            run, 1, 1.7e9, "flow", MADE, "thread", "key", 7, 3, DIGEST, {"role": "digest"}, "old", "task", "otto"
        ),
        RunResumed(*next(stamps), limit=None, releases={"role": ""}),
        RunSuspended(*next(stamps)),
        TaskStarted(*next(stamps), "a", "a", 2, [MADE, [text("1"), deep]], {"asked": MADE}),
        TaskFinished(*next(stamps), "a", "a", [deep, text("2")]),
        TaskStarted(*next(stamps), "b", "b", 1, [MADE], {}),
        TaskFinished(*next(stamps), "b", "b", deep),
        TaskFinished(*next(stamps), "b", "b", None),
        TaskFailed(*next(stamps), "c", "c", 1, "OSError", "no \u202e", ("builtins.OSError",), 0.125),
        TaskRetried(*next(stamps), "c", "anna"),
        InputSwapped(*next(stamps), "c", "c", deep),
        EffectIntended(*next(stamps), "d", "d", 1, "r/d"),
        EffectUnknown(*next(stamps), "d", "d", "r/d"),
        EffectSettled(*next(stamps), "d", "d", True, "anna"),
        ReviewRequested(*next(stamps), "e", "e", MADE),
        ReviewRequested(*next(stamps), "f", "f", MADE, ASKING),
        ReviewAnswered(*next(stamps), "e", "e", Approve(by="anna")),
        ReviewAnswered(*next(stamps), "e", "e", Edit(message=deep, by="anna")),
        ReviewAnswered(*next(stamps), "e", "e", Reject(reason="no", code="facts", by="anna"), 7),
        ReviewAnswered(*next(stamps), "e", "e", Choose(label="good", by="anna")),
        ReviewWithdrawn(*next(stamps), "e", "e"),
        TimerFired(*next(stamps), "a>b"),
        RunFailed(*next(stamps), "c", "RunFailed", "no"),
        RunCancelled(*next(stamps)),
        RunFinished(*next(stamps), deep),
    ]


async def test_facts_are_read_back_as_they_were_kept(log: Log) -> None:
    """Every kind of fact, with its messages, their origins, and times to the last bit."""
    facts = every_kind("r")
    assert {type(fact) for fact in facts} == set(KINDS.values())
    lease = await log.begin(facts[:1], REGISTRY, DEFINITION)
    await log.commit(lease, facts[1:])
    found = list(await log.read("r", REGISTRY))
    assert found == facts
    assert [type(fact) for fact in found] == [type(fact) for fact in facts]
    first: Any = found[0]
    assert first.message.origin == MADE.origin
    assert dict(await log.definition(DIGEST)) == DEFINITION


async def test_a_run_that_does_not_exist_cannot_be_read_or_claimed(log: Log) -> None:
    """The error says what to do."""
    with pytest.raises(NoSuchRun, match="the log has no run 'nobody'"):
        await log.read("nobody", REGISTRY)
    with pytest.raises(NoSuchRun):
        await log.claim("nobody", REGISTRY)


async def test_a_key_belongs_to_one_run_of_a_flow(log: Log) -> None:
    """The second start is told which; the same key may be used by another flow."""
    await log.begin([started("r", key="mail-1")], REGISTRY, DEFINITION)
    with pytest.raises(KeyTaken, match="it is run 'r'") as taken:
        await log.begin([started("s", key="mail-1")], REGISTRY, DEFINITION)
    assert taken.value.run == "r"
    await log.begin([started("t", key="mail-1")._replace(flow="other")], REGISTRY, DEFINITION)
    assert await log.find("flow", "mail-1") == "r"
    assert await log.find("other", "mail-1") == "t"
    assert await log.find("flow", "mail-2") is None


async def test_a_lease_ends_when_the_run_is_claimed_again(log: Log) -> None:
    """What the former holder commits then is refused, and not kept."""
    old = await log.begin([started("r")], REGISTRY, DEFINITION)
    new = await log.claim("r", REGISTRY)
    assert new.fence > old.fence
    with pytest.raises(StaleLease, match="taken over by another process"):
        await log.commit(old, turn("r", 2, text("old"), text()))
    lease = await log.claim("r", REGISTRY)
    await log.commit(lease, turn("r", 2, text("new"), text()))
    found: Any = (await log.read("r", REGISTRY))[1]
    assert found.inputs == [text("new")]


async def test_a_lease_that_is_given_back_can_be_taken_again(log: Log) -> None:
    """Giving back one that has ended takes nothing from its successor."""
    old = await log.begin([started("r")], REGISTRY, DEFINITION)
    await log.release(old)
    new = await log.claim("r", REGISTRY)
    await log.release(old)
    await log.commit(new, turn("r", 2, text(), text()))
    assert len(await log.read("r", REGISTRY)) == 3


async def test_nothing_is_kept_of_a_run_whose_first_facts_cannot_be(durable: DatabaseLog) -> None:
    """Neither its row nor its key, which another run may take."""
    strange = TaskFinished("r", 2, 0.0, "a", "a", Passage(id="p", text="t", score=0.5))
    with pytest.raises(MessageError, match="'Passage' is not a message type"):
        await durable.begin([started("r", key="k"), strange], Registry([Text]), DEFINITION)
    with pytest.raises(NoSuchRun):
        await durable.read("r", REGISTRY)
    await durable.begin([started("s", key="k")], REGISTRY, DEFINITION)
    assert await durable.find("flow", "k") == "s"


async def test_runs_that_are_over_for_this_process_leave_nothing_in_it(durable: DatabaseLog) -> None:
    """Ended by a commit or with actions, given back, refused at once, or held by somebody else."""
    ended = [RunFinished("r", 2, 0.0, text())]
    await durable.commit(await durable.begin([started("r", key="k")], REGISTRY, DEFINITION), ended)
    acting = await durable.begin([started("s")], REGISTRY, DEFINITION)
    await durable.transact(acting, [lambda connection: None], lambda: [RunFinished("s", 2, 0.0, text())])
    await durable.release(await durable.begin([started("t")], REGISTRY, DEFINITION))
    await durable.release(await durable.claim("r", REGISTRY))
    with pytest.raises(KeyTaken):
        await durable.begin([started("u", key="k")], REGISTRY, DEFINITION)
    async with DatabaseLog(durable.place) as other:
        await other.begin([started("v")], REGISTRY, DEFINITION)
        with pytest.raises(RunHeldElsewhere):
            await durable.claim("v", REGISTRY)
    assert (durable._registries, durable._rows._heads) == ({}, {})


async def test_runs_that_have_not_ended_are_listed_oldest_first(log: Log) -> None:
    """Of one flow; a failed run that is retried has not ended."""
    for number, run in enumerate("cab"):
        await log.begin([started(run)._replace(at=float(number))], REGISTRY, DEFINITION)
    await log.begin([started("z")._replace(flow="other")], REGISTRY, DEFINITION)
    ended = await log.claim("a", REGISTRY)
    await log.commit(ended, [RunFailed("a", 2, 0.0, "n", "E", "why")])
    assert list(await log.unfinished("flow")) == ["c", "b"]
    again = await log.claim("a", REGISTRY)
    await log.commit(again, [TaskRetried("a", 3, 0.0, "n", "anna")])
    assert list(await log.unfinished("flow")) == ["c", "a", "b"]


async def test_exchanges_are_the_turns_of_one_node_in_the_other_runs(log: Log) -> None:
    """Answers without a message, lists, other nodes, other threads and the asking run are left out."""
    for number, (run, thread, facts) in enumerate(
        [
            ("a", "t", (*turn("a", 2, text("a"), text("A")), *turn("a", 4, text(), None))),
            ("b", "t", turn("b", 2, text("b"), text("B"), node="other")),
            ("c", "t", turn("c", 2, text("c"), text("C"))),
            ("d", "u", turn("d", 2, text("d"), text("D"))),
            ("e", "t", turn("e", 2, [text("e")], text("E"))),
        ]
    ):
        await log.begin([started(run, thread=thread)._replace(at=float(number)), *facts], REGISTRY, DEFINITION)
    first, third = Exchange(text("a"), text("A")), Exchange(text("c"), text("C"))
    assert list(await log.exchanges("t", "talk", REGISTRY, "c")) == [first]
    assert list(await log.exchanges("t", "talk", REGISTRY, "new")) == [first, third]


async def test_the_log_in_memory_forgets_ended_runs_beyond_the_latest() -> None:
    """Open runs, runs with a key and runs of a thread are kept."""
    log = MemoryLog(keep=1)
    for run, settings in (("keyed", {"key": "k"}), ("threaded", {"thread": "t"}), ("old", {}), ("new", {})):
        await log.begin([started(run, **settings)], REGISTRY, DEFINITION)
    await log.begin([started("open")], REGISTRY, DEFINITION)
    for run in ("keyed", "threaded", "old", "new"):
        await log.commit(await log.claim(run, REGISTRY), [RunCancelled(run=run, seq=2, at=0.0)])
    assert [run for run in ("keyed", "threaded", "new", "open") if await log.read(run, REGISTRY)]
    with pytest.raises(NoSuchRun):
        await log.read("old", REGISTRY)


async def test_the_log_in_memory_has_no_transactions() -> None:
    """The error says what to write instead."""
    log = MemoryLog()
    lease = await log.begin([started("r")], REGISTRY, DEFINITION)
    with pytest.raises(NotDurable, match=r"use Runtime\(log='desk.db'\)"):
        await log.transact(lease, [], list)


# Logs in databases.

NOTES = Table("notes", MetaData(), Column("number", Integer, primary_key=True))


async def counted(log: DatabaseLog, table: Table) -> int:
    chosen = select(func.count()).select_from(table)
    return await log.call(lambda database: database.read(lambda found: found.execute(chosen).scalar_one()))


async def noting(log: DatabaseLog) -> None:
    def make(database: Any) -> None:
        with database.write() as connection:
            NOTES.create(connection)

    await log.call(make)


async def test_facts_that_leave_a_gap_are_refused(durable: DatabaseLog) -> None:
    """Nothing of them is kept, and the log is sound."""
    lease = await durable.begin([started("r")], REGISTRY, DEFINITION)
    with pytest.raises(LogError, match="facts from number 3 on are not kept"):
        await durable.commit(lease, turn("r", 3, text(), text()))
    assert len(await durable.read("r", REGISTRY)) == 1
    assert (await durable.call(lambda database: database.read(verify))).sound


async def test_a_commit_that_cannot_be_encoded_leaves_what_was_before(durable: DatabaseLog) -> None:
    """A message of a type that the flow does not have; other runs are not touched by it."""

    class Strange(Message):
        text: str

    lease = await durable.begin([started("r")], REGISTRY, DEFINITION)
    other = await durable.begin([started("s")], REGISTRY, DEFINITION)
    failed: list[Exception] = []

    async def strange() -> None:
        try:
            await durable.commit(lease, turn("r", 2, Strange(text="x"), text()))
        except Exception as error:  # noqa: BLE001 - looked at below
            failed.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(strange)
        group.start_soon(durable.commit, other, turn("s", 2, text(), text()))
    assert "'Strange' is not a message type" in str(failed[0])
    assert len(await durable.read("r", REGISTRY)) == 1
    assert len(await durable.read("s", REGISTRY)) == 3


async def test_actions_and_facts_are_kept_together(durable: DatabaseLog) -> None:
    """`follow` is called once the actions are done."""
    await noting(durable)
    lease = await durable.begin([started("r")], REGISTRY, DEFINITION)
    order: list[str] = []

    def act(connection: Any) -> None:
        order.append("action")
        connection.execute(insert(NOTES).values(number=1))

    def follow() -> Sequence[Event]:
        order.append("follow")
        return turn("r", 2, text(), text())

    await durable.transact(lease, [act], follow)
    assert order == ["action", "follow"]
    assert await counted(durable, NOTES) == 1
    assert len(await durable.read("r", REGISTRY)) == 3


async def test_an_action_that_raises_leaves_nothing(durable: DatabaseLog) -> None:
    """Neither its own rows nor facts; its error is told; writes that came meanwhile are kept."""
    await noting(durable)
    lease = await durable.begin([started("r")], REGISTRY, DEFINITION)
    other = await durable.begin([started("s")], REGISTRY, DEFINITION)

    def act(connection: Any) -> None:
        connection.execute(insert(NOTES).values(number=1))
        raise ValueError("no")

    async with anyio.create_task_group() as group:
        group.start_soon(durable.commit, other, turn("s", 2, text(), text()))
        with pytest.raises(ValueError, match="no"):
            await durable.transact(lease, [act], lambda: turn("r", 2, text(), text()))
    assert await counted(durable, NOTES) == 0
    assert len(await durable.read("r", REGISTRY)) == 1
    assert len(await durable.read("s", REGISTRY)) == 3
    await durable.commit(lease, turn("r", 2, text(), text()))


async def test_actions_that_nobody_wants_any_more_are_undone(durable: DatabaseLog) -> None:
    """Where `follow` gives no facts, because the task was cancelled meanwhile."""
    await noting(durable)
    lease = await durable.begin([started("r")], REGISTRY, DEFINITION)
    await durable.transact(lease, [lambda connection: connection.execute(insert(NOTES).values(number=1))], list)
    assert await counted(durable, NOTES) == 0


async def test_writes_that_come_during_a_transaction_join_it(durable: DatabaseLog) -> None:
    """In the order in which they came, also of the same run."""
    await noting(durable)
    lease = await durable.begin([started("r")], REGISTRY, DEFINITION)
    leases = [await durable.begin([started(f"s{number}")], REGISTRY, DEFINITION) for number in range(5)]

    def act(connection: Any) -> None:
        connection.execute(insert(NOTES).values(number=1))

    async with anyio.create_task_group() as group:
        group.start_soon(durable.transact, lease, [act], lambda: turn("r", 2, text(), text()))
        for number, other in enumerate(leases):
            group.start_soon(durable.commit, other, turn(f"s{number}", 2, text(), text()))
    assert [len(await durable.read(one.run, REGISTRY)) for one in (lease, *leases)] == [3] * 6
    assert (await durable.call(lambda database: database.read(verify))).sound


async def test_a_message_is_stored_once(durable: DatabaseLog) -> None:
    """However many facts and runs name it; another origin makes another row."""
    for run in ("r", "s"):
        lease = await durable.begin([started(run)], REGISTRY, DEFINITION)
        await durable.commit(lease, [*turn(run, 2, text(), text()), *turn(run, 4, text(), MADE)])
    assert await counted(durable, messages) == 2


async def test_what_was_kept_is_there_in_the_next_process(database: str) -> None:
    """A log that is opened again has its runs, and they can be claimed."""
    async with DatabaseLog(database) as first:
        await first.begin([started("r"), *turn("r", 2, text(), MADE)], REGISTRY, DEFINITION)
    async with DatabaseLog(database) as second:
        lease = await second.claim("r", REGISTRY)
        await second.commit(lease, [RunFinished("r", 4, 0.0, text())])
        assert len(await second.read("r", REGISTRY)) == 4
        assert await counted(second, runs) == 1


async def test_a_log_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    """Also the files that SQLite keeps beside it."""
    async with DatabaseLog(tmp_path / "desk.db") as log:
        await log.begin([started("r")], REGISTRY, DEFINITION)
        files = [path for path in tmp_path.iterdir() if path.is_file()]  # noqa: ASYNC240 - nothing else is at work
        assert {path.name for path in files} >= {"desk.db", "desk.db-wal", "desk.db-lock"}
        if os.name == "posix":
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE facts SET at = at + 1 WHERE seq = 2", "run 'r', fact 2: its content does not fit its hash"),
        ("DELETE FROM facts WHERE seq = 2", "run 'r', fact 2: it is missing"),
        ("DELETE FROM facts WHERE seq = 3", "run 'r': its head is fact 3, but its facts end with number 2"),
        (
            "INSERT INTO facts SELECT run, 4, kind, at, task, node, body, hash FROM facts WHERE seq = 3",
            "run 'r', fact 4: its content does not fit its hash",
        ),
        (
            "UPDATE facts SET seq = 9 WHERE seq = 2; UPDATE facts SET seq = 2 WHERE seq = 3; "
            "UPDATE facts SET seq = 3 WHERE seq = 9",
            "run 'r', fact 2: its content does not fit its hash",
        ),
        ("UPDATE messages SET kind = 'Deep'", "its content does not fit its digest"),
        ("DELETE FROM messages", "run 'r' names it, but it is missing"),
        ("UPDATE runs SET hash = 'no'", "run 'r': its head"),
    ],
)
async def test_a_row_that_is_not_as_it_was_written_is_refused(tmp_path: Path, change: str, named: str) -> None:
    """Changed, missing, added or swapped: whoever reads the run is told which."""
    async with DatabaseLog(tmp_path / "desk.db") as log:
        await log.begin([started("r"), *turn("r", 2, text("a"), text("b"))], REGISTRY, DEFINITION)
    with closing(sqlite3.connect(tmp_path / "desk.db")) as connection:
        connection.executescript(change)
    async with DatabaseLog(tmp_path / "desk.db") as log:
        with pytest.raises(LogCorrupt, match=named):
            await log.read("r", REGISTRY)


def test_a_fact_never_changes() -> None:
    """Events are frozen and refuse fields that they do not know."""
    fact = RunCancelled(run="r", seq=1, at=0.0)
    with pytest.raises(AttributeError):
        fact.seq = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="why"):
        RunCancelled(run="r", seq=1, at=0.0, why="no")  # type: ignore[call-arg]
