"""Reviews and decisions that are not as they were written are named, and no run goes on with one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from coterie.orchestration import Approve, Choose, LogCorrupt, RunError, Runtime
from coterie.orchestration.queries import verify
from coterie.orchestration.review_desk import ReviewDesk
from tests.orchestration.desks import Headline, left, moods, opened, waiting

FLOW = moods(grace=0.0)


def decided_log(place: str) -> list[str]:
    """A log of three runs that wait: of two, somebody has answered; of one, they have taken it back."""

    async def make() -> list[str]:
        return await left(place, FLOW, *(Headline(text=f"{number}") for number in range(3)))

    runs = anyio.run(make)
    with ReviewDesk(place, "anna") as desk:
        desk.answer(desk.item(runs[0], "desk"), Approve(), seconds=2.0)
        desk.answer(desk.item(runs[1], "desk"), Choose(label="negative"), seconds=2.0)
        desk.answer(desk.item(runs[2], "desk"), Approve(), seconds=2.0)
        desk.undo()
    return runs


def change(place: str, *statements: str) -> None:
    with closing(sqlite3.connect(place)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount, statement
        connection.commit()


def faults_of(place: str) -> list[str]:
    with opened(place) as log:
        return log.read(verify).faults


SWAPPED = "UPDATE {table} SET ({columns}) = (SELECT {columns} FROM {table} AS other WHERE other.{key} = {other}) "
BODY = SWAPPED.format(table="decisions", columns="act, body, hash", key="seq", other="2") + "WHERE seq = 1"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE decisions SET act = 'reject' WHERE seq = 1", "decision 1: its content does not fit its hash"),
        ("UPDATE decisions SET body = replace(body, 'negative', 'neutral')", "decision 2: its content does not fit"),
        ("UPDATE decisions SET \"by\" = 'bob' WHERE seq = 2", "decision 2: its content does not fit its hash"),
        ("UPDATE decisions SET at = at + 1 WHERE seq = 3", "decision 3: its content does not fit its hash"),
        ("UPDATE decisions SET undoes = 2 WHERE seq = 4", "decision 4: its content does not fit its hash"),
        ("DELETE FROM decisions WHERE seq = 1", "decision 1: it is missing"),
        ("DELETE FROM decisions WHERE seq = 2", "decision 2: it is missing"),
        ("DELETE FROM decisions WHERE seq >= 2", "decision"),
        ("INSERT INTO decisions SELECT seq + 10, at, \"by\", act, run, task, body, batch, undoes, hash FROM decisions "
         "WHERE seq = 1", "decision 5: it is missing"),
        ("INSERT INTO decisions SELECT 5, at, \"by\", act, run, task, body, batch, undoes, hash FROM decisions "
         "WHERE seq = 1", "decision 5: its content does not fit its hash"),
        (BODY, "decision 1: its content does not fit its hash"),
        ("UPDATE reviews SET risk = 0", "its content does not fit its hash"),
        ("UPDATE reviews SET state = 'open', decision = NULL WHERE decision = 2", "its content does not fit its hash"),
        ("UPDATE reviews SET decision = 1 WHERE decision = 2", "its content does not fit its hash"),
        ("UPDATE reviews SET agreed = '[[\"bob\",\"x\"]]'", "its content does not fit its hash"),
        ("DELETE FROM reviews WHERE decision = 2", "review"),
        ("UPDATE reviews SET task = 'other' WHERE decision = 2", "its content does not fit its hash"),
        ("INSERT INTO reviews SELECT run, 'other', flow, node, thread, author, definition, role, digest, asked, "
         "deadline, asking, proposed, risk, doubt, agrees, urgency, alike, text, state, decision, \"by\", label, kept, "
         "\"release\", closed, claimed, claimed_until, skipped, agreed, notes, hash FROM reviews WHERE decision = 2",
         "review"),
    ],
)  # fmt: skip
def test_a_changed_removed_added_or_swapped_row_is_named(tmp_path: Path, statement: str, said: str) -> None:
    """By the check of the whole log."""
    place = str(tmp_path / "desk.db")
    decided_log(place)
    assert faults_of(place) == []
    change(place, statement)
    assert any(said in fault for fault in faults_of(place)), faults_of(place)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET act = 'reject', body = replace(body, '}', ',\"code\":\"facts\"}') WHERE seq = {seq}",
        "UPDATE decisions SET body = 'no JSON' WHERE seq = {seq}",
        "UPDATE decisions SET body = '{}' WHERE seq = {seq}",
        "DELETE FROM decisions WHERE seq = {seq}",
        "UPDATE reviews SET \"by\" = 'bob' WHERE decision = {seq}",
    ],
)
async def test_a_run_does_not_go_on_with_an_answer_that_was_changed(tmp_path: Path, statement: str) -> None:
    """It says so and ends there; another run of the same process goes on with its own answer."""
    place = str(tmp_path / "desk.db")

    def decide(run: str, label: str) -> int:
        with ReviewDesk(place, "anna") as desk:
            return desk.answer(desk.item(run, "desk"), Choose(label=label)).seq

    flow = moods(grace=1.0)
    async with Runtime(log=place) as runtime:
        sound, changed = await waiting(runtime, flow, Headline(text="sound"), Headline(text="changed"))
        await anyio.to_thread.run_sync(decide, sound.id, "neutral")
        seq = await anyio.to_thread.run_sync(decide, changed.id, "negative")
        await anyio.to_thread.run_sync(change, place, statement.replace("{seq}", str(seq)))
        with pytest.raises(RunError, match="is not as it was written") as broke:
            await changed.result()
        assert isinstance(broke.value.__cause__, LogCorrupt)
        assert (await sound.result()).label == "neutral"
