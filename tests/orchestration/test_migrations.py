"""Logs of other versions: older ones are brought up to date wholly or not at all, newer ones are refused."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from sqlalchemy import inspect

from coterie.agents import Message
from coterie.orchestration import Approve, Flow, LogUnavailable, Review, Runtime, Workflow, migrations, node, replay
from coterie.orchestration.database import Database
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.migrations.versions import first, reviews
from coterie.orchestration.queries import verify
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.schema import HEAD, metadata

GOLDEN = Path(__file__).parent / "golden"


class Question(Message):
    text: str


class Answer(Message):
    text: str


@node
async def think(question: Question) -> Answer:
    return Answer(text=question.text.upper())


@node
async def print_it(answer: Answer) -> Answer:
    return answer


def golden_flow() -> Flow[Question, Answer]:
    """The flow that the golden logs hold a run of. It must never change."""
    flow = Workflow("golden", Question, Answer)
    flow.start(think)
    flow.edge(think, print_it)
    flow.end(print_it)
    return flow.build()


def test_the_tables_are_those_that_the_migrations_make(database: str) -> None:
    """Column by column: schema.py and the last migration say the same."""
    opened = Database(database)
    try:
        found = opened.read(
            lambda connection: {
                table: {column["name"] for column in inspect(connection).get_columns(table)}
                for table in inspect(connection).get_table_names()
            }
        )
    finally:
        opened.close()
    assert found.pop("alembic_version")
    assert found == {table.name: {column.name for column in table.columns} for table in metadata.tables.values()}


@pytest.mark.parametrize("version", sorted(path.stem for path in GOLDEN.glob("????.sql")))
def test_a_log_of_every_earlier_version_is_read_and_replayed(tmp_path: Path, version: str) -> None:
    """As it was written then: it verifies, replays, and can be gone on with."""
    place = tmp_path / "desk.db"
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript((GOLDEN / f"{version}.sql").read_text(encoding="utf-8"))

    async def read() -> None:
        async with Runtime(log=place) as runtime:
            log = runtime.log
            assert isinstance(log, DatabaseLog)
            assert (await log.call(lambda one: one.read(verify))).faults == []
            (identity,) = await log.unfinished("golden")
            assert (await replay(log, golden_flow(), identity)).divergences == ()
            run = await runtime.resume_run(golden_flow(), identity)
            assert (await run.result()).text == "GOLD"

    anyio.run(read)


def asking_flow() -> Flow[Question, Answer]:
    """The flow that the golden logs hold a run of which waits for a person. It must never change."""
    desk = Review[Answer, Answer]("desk")
    flow = Workflow("golden", Question, Answer)
    flow.start(think)
    flow.edge(think, desk)
    flow.edge(desk, print_it)
    flow.end(print_it)
    return flow.build()


@pytest.mark.parametrize("version", sorted(path.stem for path in GOLDEN.glob("*-asking.sql")))
def test_a_question_of_every_earlier_version_is_in_the_queue_and_can_be_approved(tmp_path: Path, version: str) -> None:
    """Also one that was open before logs had a table for questions; its run goes on when it is resumed."""
    place = tmp_path / "desk.db"
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript((GOLDEN / f"{version}.sql").read_text(encoding="utf-8"))
    with ReviewDesk(place, "bob") as desk:
        item = desk.next()
        assert item is not None
        assert (item.task, item.proposal.fields) == ("desk", {"text": "GOLD"})
        assert item.why
        assert desk.budget().left == 1
        assert [step.message.fields for step in desk.case(item).lineage] == [{"text": "gold"}]
        desk.answer(item, Approve(), seconds=2.0)

    async def read() -> None:
        async with Runtime(log=place) as runtime:
            log = runtime.log
            assert isinstance(log, DatabaseLog)
            assert (await log.call(lambda one: one.read(verify))).faults == []
            run = await runtime.resume_run(asking_flow(), item.run)
            assert (await run.result()).text == "GOLD"
            assert (await replay(log, asking_flow(), item.run)).divergences == ()
            assert (await log.call(lambda one: one.read(verify))).faults == []

    anyio.run(read)


def test_what_was_decided_in_an_earlier_version_is_kept(tmp_path: Path) -> None:
    """Who did what, and what was taken back."""
    place = tmp_path / "desk.db"
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript((GOLDEN / "0002-asking.sql").read_text(encoding="utf-8"))
    with ReviewDesk(place, "bob") as desk:
        assert [(one.by, one.act) for one in desk.decisions()] == [("anna", act) for act in ("edit", "undo", "approve")]


def test_a_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """In a sentence that says what to do; nothing is changed."""
    place = tmp_path / "desk.db"
    Database(place).close()
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(LogUnavailable, match=r"has the tables of version 9999, .* use the Coterie that made it"):
        Database(place)


def test_a_migration_happens_wholly_or_not_at_all(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that breaks off half-way leaves what was there, and the next one that works does all of it."""
    whole = first.op.create_table
    made: list[str] = []

    def breaks(name: str, *columns: object, **settings: object) -> object:
        made.append(name)
        if name == "messages":
            raise KeyboardInterrupt
        return whole(name, *columns, **settings)

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_table", breaks)
        with pytest.raises(KeyboardInterrupt):
            Database(database)
    assert made == ["runs", "facts", "messages"]
    opened = Database(database)
    try:
        tables = opened.read(lambda connection: set(inspect(connection).get_table_names()))
        assert tables == {"alembic_version", *(table.name for table in metadata.tables.values())}
    finally:
        opened.close()


NEXT = """
import os, signal, sys
from alembic import op
from sqlalchemy import Column, String

revision = "0003"
down_revision = "0002"

def upgrade():
    op.add_column("runs", Column("colour", String))
    op.execute("UPDATE runs SET state = 'grey'")
    op.create_table("colours", Column("name", String, primary_key=True))
    if "dies" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
"""

UPGRADE = """
import sys
from coterie.orchestration import database

database.HEAD, database.REVISIONS = "0003", ("0001", "0002", "0003")
database.__file__ = sys.argv[1]  # its migrations lie beside it
database.Database(sys.argv[2]).close()
"""


def upgraded(folder: Path, database: str, *how: str) -> int:
    """What a process says that opens the log with a Coterie which has one more migration."""
    versions = folder / "migrations" / "versions"
    if not versions.exists():
        shutil.copytree(Path(migrations.__file__).parent, folder / "migrations")
        (versions / "third.py").write_text(NEXT, encoding="utf-8")
    command = [sys.executable, "-c", UPGRADE, str(folder / "database.py"), database, *how]
    return subprocess.run(command, check=False).returncode


def test_a_process_that_is_killed_in_a_migration_leaves_the_old_log(database: str, tmp_path: Path) -> None:
    """Whole and sound, for the Coterie of before as for the next try."""

    async def run() -> str:
        async with Runtime(log=database) as runtime:
            return (await (await runtime.start(golden_flow(), Question(text="gold"), key="k")).result()).text

    assert anyio.run(run) == "GOLD"
    assert upgraded(tmp_path, database, "dies") == -signal.SIGKILL
    opened = Database(database)
    try:
        assert opened.read(verify).faults == []
        assert "colours" not in opened.read(lambda connection: inspect(connection).get_table_names())
    finally:
        opened.close()
    assert anyio.run(run) == "GOLD"
    assert upgraded(tmp_path, database) == 0
    with pytest.raises(LogUnavailable, match="has the tables of version 0003"):
        Database(database)


def test_processes_that_open_a_new_log_at_once_all_work(database: str) -> None:
    """One makes the tables, the others find them."""
    code = "import sys; from coterie.orchestration.database import Database; Database(sys.argv[1]).close()"
    processes = [subprocess.Popen([sys.executable, "-c", code, database]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


@pytest.mark.anyio
async def test_tasks_that_open_a_new_log_at_once_all_work(database: str) -> None:
    """The same within one process."""

    async def opened() -> None:
        async with DatabaseLog(database) as log:
            assert await log.find("flow", "key") is None

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(opened)


def test_the_newest_version_is_known_to_its_migrations() -> None:
    """The name in schema.py is that of the last step."""
    assert reviews.revision == HEAD
