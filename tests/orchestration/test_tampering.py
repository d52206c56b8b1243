"""A log that is not as it was written is noticed before any node runs: flipped bits, cut files, swapped rows, fuzz."""

import os
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from coterie.agents import CoterieError, Message
from coterie.agents.registry import Registry, StoredMessage
from coterie.orchestration import Flow, LogCorrupt, Runtime, Workflow, node
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.errors import LogError
from coterie.orchestration.fact_rows import FactRow, event_of
from coterie.orchestration.queries import RunFilter, list_runs, verify
from coterie.orchestration.schema import metadata

BLOCK = 512  # bytes, what a disk writes at once


class Text(Message):
    text: str


def desk(ran: list[str]) -> Flow[Text, Text]:
    """A flow that stops half-way for ever, and tells which nodes ran."""

    @node
    async def first(told: Text) -> Text:
        ran.append("first")
        return Text(text=told.text + "!")

    @node
    async def second(told: Text) -> Text:
        ran.append("second")
        await anyio.sleep_forever()
        return told

    flow = Workflow("desk", Text, Text)
    flow.start(first)
    flow.edge(first, second)
    flow.end(second)
    return flow.build()


def small_log(place: Path, witness: Path | None = None) -> None:
    """A log of three runs, closed in mid-flight."""

    async def make() -> None:
        ran: list[str] = []
        async with Runtime(log=DatabaseLog(place, witness=witness)) as runtime:
            for words in ("one", "two", "three"):
                await runtime.start(desk(ran), Text(text=words), thread=words, key=words)
            while ran.count("second") < 3:
                await anyio.sleep(0.001)

    anyio.run(make)


def refused(place: Path, witness: Path | None = None, runs: int = 3) -> bool:
    """Whether a program that would go on with the log is told that it is damaged, before any node runs."""
    ran: list[str] = []

    async def go_on() -> None:
        async with Runtime(log=DatabaseLog(place, witness=witness)) as runtime:
            taken = await runtime.resume(desk(ran))
            if taken.refused:
                raise next(iter(taken.refused.values()))
            assert len(taken.runs) == runs

    try:
        anyio.run(go_on)
    except CoterieError:
        assert ran == []
        return True
    return False


def content(place: Path) -> list[Any]:
    """Every row that a reader of the log can see."""
    with closing(sqlite3.connect(place)) as connection:
        tables = [*metadata.tables, "alembic_version"]
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]  # noqa: S608


def copied(source: Path, target: Path) -> Path:
    for old in target.parent.glob(f"{target.name}*"):
        if old.is_file():
            old.unlink()
    shutil.copy(source, target)
    return target


@pytest.mark.timeout(240)  # a log has some three hundred blocks, and each is a program of its own
def test_one_flipped_bit_in_any_block_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """In each block of 512 bytes: the log is refused, or the bit lay where nothing is stored and every row is whole."""
    place = tmp_path / "desk.db"
    small_log(place)
    original, rows = place.read_bytes(), content(place)
    chance = random.Random(0)
    unseen, noticed = [], 0
    for begin in range(0, len(original), BLOCK):
        used = [at for at in range(begin, begin + BLOCK) if original[at]] or [begin]
        at = chance.choice(used)
        copy = copied(place, tmp_path / "copy.db")
        broken = flipped(original, at, chance)
        copy.write_bytes(broken)
        if refused(copy):
            noticed += 1
        elif content(copied_content(broken, tmp_path)) != rows:
            unseen.append(at)
    assert unseen == []
    assert noticed > 20


def flipped(content: bytes, at: int, chance: random.Random) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def copied_content(broken: bytes, folder: Path) -> Path:
    place = folder / "read.db"
    place.write_bytes(broken)
    return place


def test_a_log_that_was_put_back_shows_in_its_witness(tmp_path: Path) -> None:
    """An older copy of the whole file, which is sound in itself, is refused."""
    place, witness = tmp_path / "desk.db", tmp_path / "desk.witness"
    small_log(place, witness)
    older = place.read_bytes()

    async def one_more() -> None:
        async with Runtime(log=DatabaseLog(place, witness=witness)) as runtime:
            await runtime.start(desk([]), Text(text="four"))

    anyio.run(one_more)
    assert not refused(copied(place, tmp_path / "whole.db"), copied(witness, tmp_path / "whole.witness"), runs=4)
    copied_back = copied(place, tmp_path / "back.db")
    copied_back.write_bytes(older)
    assert refused(copied_back, witness)


def test_a_witness_that_was_changed_is_refused(tmp_path: Path) -> None:
    """Its lines are signed, each together with the one before."""
    place, witness = tmp_path / "desk.db", tmp_path / "desk.witness"
    small_log(place, witness)
    lines = witness.read_bytes().splitlines(keepends=True)
    assert len(lines) > 3
    witness.write_bytes(b"".join([lines[0], *lines[2:]]))
    with pytest.raises(LogCorrupt, match="line 2: it was not signed with this key, or was changed"):
        small_log(place, witness)


REGISTRY = Registry([Text])
VALUES = [None, 0, -1, 1.5, True, "", "x", "__import__('os')", "cos\nsystem\n(S'x'\ntR.", [], {}, {"$message": "d"}]
KINDS = ["run-started", "task-started", "task-finished", "task-failed", "review-answered", "os.system", "", "x"]
FIELDS = ["message", "output", "inputs", "given", "answer", "kinds", "text", "py/object", "__class__", "lc", "attempt"]


@pytest.mark.timeout(300)
def test_fuzzed_rows_import_nothing_and_run_nothing() -> None:
    """A million stored facts and messages of any content: each is decoded, or refused with an error of ours.

    An audit hook counts imports, pickles and compiled code. FUZZED_ROWS sets how many.
    """
    seen: list[str] = []
    watching = False

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if watching and name in ("import", "pickle.find_class", "compile", "exec", "os.system", "subprocess.Popen"):
            seen.append(f"{name} {arguments[:1]}")

    sys.addaudithook(hook)
    chance = random.Random(0)
    rows = int(os.environ.get("FUZZED_ROWS", "1000000"))
    resolve = {"d": Text(text="x")}.__getitem__
    for _ in range(200):  # validators are built when first used, which compiles
        decode(chance, resolve)
    watching = True
    refusals = sum(decode(chance, resolve) for _ in range(rows))
    watching = False
    assert seen == []
    assert 0 < refusals < rows


def decode(chance: random.Random, resolve: Any) -> bool:
    """Whether a row made by chance was refused."""
    body = to_json({chance.choice(FIELDS): some_value(chance, 0) for _ in range(chance.randrange(5))}).decode()
    if chance.random() < 0.1:
        body = body[: chance.randrange(len(body) + 1)]
    task = chance.choice([None, "t"])
    try:
        if chance.random() < 0.5:
            event_of(FactRow("r", 1, chance.choice(KINDS), 0.0, task, task, body, ""), resolve)
        else:
            kind, version = chance.choice(["Text", "os.system", ""]), chance.choice([0, 1])
            REGISTRY.decode(StoredMessage(kind, version, body, chance.choice([None, "{}", body])))
    except CoterieError:
        return True
    return False


def some_value(chance: random.Random, depth: int) -> Any:
    dice = chance.randrange(len(VALUES) + 2)
    if dice < len(VALUES) or depth > 2:
        return VALUES[dice % len(VALUES)]
    if dice == len(VALUES):
        return [some_value(chance, depth + 1) for _ in range(chance.randrange(3))]
    return {chance.choice(FIELDS): some_value(chance, depth + 1) for _ in range(chance.randrange(3))}


ANY_TEXT = st.text(st.characters(exclude_categories=()))
STORABLE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of runs with awkward names, in all states."""
    place = tmp_path_factory.mktemp("filtered") / "desk.db"
    small_log(place)
    awkward = ["'", "' OR 1=1 --", "%", "_", "\\", '"; DROP TABLE runs; --', "é", "\u202e", "?", ":1", "%(id)s"]

    async def more() -> None:
        async with Runtime(log=place) as runtime:
            for words in awkward:
                await runtime.start(desk([]), Text(text=words), thread=words, key=words)

    anyio.run(more)
    return place


@settings(deadline=None, max_examples=150)
@given(
    flow=st.none() | st.just("desk") | ANY_TEXT,
    thread=st.none() | st.sampled_from(["one", "%", "' OR 1=1 --", "_", "?"]) | ANY_TEXT,
    key=st.none() | st.sampled_from(["two", "%", '"; DROP TABLE runs; --', ":1"]) | ANY_TEXT,
    state=st.sampled_from([None, "running", "waiting", "finished", "failed", "cancelled"]),
    since=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    until=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_filter_finds_what_a_filter_in_python_finds(filtered: Path, **wanted: Any) -> None:
    """Whatever text it is given, and never anything else."""

    async def both() -> tuple[list[str], list[str]]:
        async with DatabaseLog(filtered) as log:
            chosen = await log.call(lambda one: one.read(lambda found: list_runs(found, RunFilter(**wanted))))
            every = await log.call(lambda one: one.read(lambda found: list_runs(found, RunFilter())))
        return [run.id for run in chosen], [run.id for run in every if fits(run, wanted)]

    chosen, expected = anyio.run(both)
    assert chosen == expected


def fits(run: Any, wanted: dict[str, Any]) -> bool:
    exact = all(wanted[name] in (None, getattr(run, name)) for name in ("flow", "thread", "key", "state"))
    since, until = wanted["since"], wanted["until"]
    return exact and (since is None or run.started >= since) and (until is None or run.started < until)


async def faults_of(place: Path) -> list[str]:
    async with DatabaseLog(place) as log:
        return (await log.call(lambda database: database.read(verify))).faults


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE facts SET body = replace(body, 'one', 'won') WHERE seq = 1", None),
        ("UPDATE facts SET at = at + 1 WHERE seq = 2", "fact 2: its content does not fit its hash"),
        ("UPDATE facts SET node = 'second' WHERE seq = 2", "fact 2: its content does not fit its hash"),
        ("DELETE FROM facts WHERE seq = 2", "fact 2: it is missing"),
        ("DELETE FROM facts WHERE seq = (SELECT max(seq) FROM facts)", "its head is fact"),
        ("UPDATE facts SET seq = -seq WHERE seq IN (2, 3)", "fact 1: it is missing"),
        ("INSERT INTO facts SELECT run, seq + 100, kind, at, task, node, body, hash FROM facts", "it is missing"),
        ('UPDATE messages SET body = \'{"text":"mallory"}\'', "its content does not fit its digest"),
        ("DELETE FROM messages", "it is named by a fact, but missing"),
        ("UPDATE runs SET state = 'finished'", "its state is said to be 'finished'"),
        ("UPDATE runs SET thread = 'other'", "its thread is said to be 'other'"),
        ("UPDATE runs SET author = 'otto'", "its author is said to be 'otto'"),
        ("UPDATE runs SET asked = 1", "its asked is said to be 1"),
        ("UPDATE runs SET updated = updated + 1", "its updated is said to be"),
        ("DELETE FROM runs", "it has facts, but is missing"),
        ("DELETE FROM definitions", "its flow's definition is missing"),
        (
            "UPDATE facts SET (kind, at, task, node, body, hash) = "
            "(SELECT kind, at, task, node, body, hash FROM facts AS other WHERE other.run <> facts.run "
            "AND other.seq = facts.seq) WHERE seq = 3",
            "fact 3: its content does not fit its hash",
        ),
    ],
)
async def test_a_changed_swapped_or_removed_row_is_named(tmp_path: Path, change: str, said: str | None) -> None:
    """By the check of the whole log, and by whoever would go on with the run."""
    place = tmp_path / "desk.db"
    await anyio.to_thread.run_sync(small_log, place)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute(change)
        connection.commit()
    faults = await faults_of(place)
    assert said is None or any(said in fault for fault in faults), faults
    assert said is None or await anyio.to_thread.run_sync(refused, place)


@pytest.mark.anyio
async def test_a_sound_log_has_no_faults(tmp_path: Path) -> None:
    """And can be gone on with."""
    place = tmp_path / "desk.db"
    await anyio.to_thread.run_sync(small_log, place)
    assert await faults_of(place) == []
    assert not await anyio.to_thread.run_sync(refused, place)


def test_errors_of_a_log_are_errors_of_ours() -> None:
    """They can be caught together."""
    assert issubclass(LogCorrupt, LogError)
    assert issubclass(LogError, CoterieError)
