"""A witness beside its log: a disk that has no room for it, a check while it is at work, and bits that are flipped."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, text

from coterie.agents import Context, Message
from coterie.orchestration import Flow, RunError, Runtime, Workflow, node, writer
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.errors import LogUnavailable
from coterie.orchestration.witness import Witness, WitnessFile


class Text(Message):
    text: str


def desk(act: Callable[[Connection], None] | None = None) -> Flow[Text, Text]:
    """Two nodes; the second does `act` in the log's database."""

    @node
    async def first(told: Text) -> Text:
        return told

    @node
    async def second(told: Text, *, ctx: Context) -> Text:
        if act is not None:
            ctx.transaction(act)
        return Text(text="done")

    flow = Workflow("desk", Text, Text)
    flow.start(first)
    flow.edge(first, second)
    flow.end(second)
    return flow.build()


def full(log: DatabaseLog) -> None:
    """From now on there is no room for the log's witness."""
    witness: Any = log._witness
    os.close(witness._file)
    witness._file = os.open("/dev/full", os.O_WRONLY)


@pytest.mark.anyio
@pytest.mark.parametrize("quick", [1.0, 0.0], ids=["on the loop", "in the thread"])
@pytest.mark.parametrize("act", [None, lambda connection: connection.execute(text("SELECT 1"))], ids=["plain", "acts"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_a_witness_without_room_stops_the_run(
    quick: float, act: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cause is said; what the log had taken is kept, and with room again the run goes on."""
    monkeypatch.setattr(writer, "QUICK", quick)
    log = DatabaseLog(tmp_path / "desk.db", witness=tmp_path / "desk.witness")
    with anyio.fail_after(10):
        async with Runtime(log=log) as runtime:
            stopped = await runtime.start(desk(lambda connection: full(log)), Text(text="x"))
            with pytest.raises(RunError, match=r"witness .*desk\.witness cannot be written: No space left on device"):
                await stopped.result()
            with pytest.raises(LogUnavailable, match="cannot be written"):
                await runtime.start(desk(act), Text(text="y"))
    async with Runtime(log=DatabaseLog(tmp_path / "desk.db", witness=tmp_path / "desk.witness")) as runtime:
        again = await runtime.resume_run(desk(act), stopped.id)
        assert await again.result() == Text(text="done")


def test_half_a_line_is_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk took a part of it, nothing is appended to that, and the next reader leaves it out."""
    path = tmp_path / "desk.witness"
    witness = Witness(path, b"key")
    witness.note({"a": (1, "x")})
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, line: whole(file, line[:20]))
    with pytest.raises(LogUnavailable, match=r"desk\.witness cannot be written: the disk took 20 of"):
        witness.note({"a": (2, "y")})
    monkeypatch.undo()
    with pytest.raises(LogUnavailable, match="cannot be written"):
        witness.note({"a": (3, "z")})
    witness.close()
    assert WitnessFile(path, b"key").seen == {"a": (1, "x")}


def test_a_witness_can_be_read_while_it_is_at_work(tmp_path: Path) -> None:
    """Reading changes nothing, so that what is noted afterwards is still found."""
    path = tmp_path / "desk.witness"
    witness = Witness(path, b"key")
    before = path.read_bytes()
    assert WitnessFile(path, b"key").seen == {}
    assert path.read_bytes() == before
    witness.note({"a": (1, "x")})
    witness.close()
    assert WitnessFile(path, b"key").seen == {"a": (1, "x")}
