"""Several processes at one log: one writer a run, turns without collisions, and no clock that anything depends on."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from coterie.agents import Message
from coterie.agents.registry import Registry
from coterie.orchestration import Flow, RunHeldElsewhere, Runtime, Workflow, node, run_rows
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.definition import digest_of
from coterie.orchestration.events import RunStarted, TaskFinished, TaskStarted
from coterie.orchestration.queries import verify

PROGRAM = """
import sys, anyio
from coterie.agents import Message
from coterie.agents.registry import Registry
from coterie.orchestration import Runtime, Workflow, node
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.definition import digest_of
from coterie.orchestration.events import *

class Text(Message):
    text: str

@node
async def wait(told: Text) -> Text:
    await anyio.sleep_forever()

@node
async def answer(told: Text) -> Text:
    return told

def desk(work):
    flow = Workflow("desk", Text, Text)
    flow.start(work)
    flow.end(work)
    return flow.build()

PLACE = sys.argv[1]
"""


class Text(Message):
    text: str


def program(body: str, place: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process, at work on the same log."""
    code = PROGRAM + textwrap.dedent(body)
    command = [sys.executable, "-c", code, place, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def holder(place: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has a run, and the run."""
    body = """
        async def main():
            async with Runtime(log=PLACE) as runtime:
                run = await runtime.start(desk(wait), Text(text="x"))
                print(run.id, flush=True)
                await anyio.sleep_forever()
        anyio.run(main)
    """
    process = program(body, place)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@node
async def wait(told: Text) -> Text:
    return told


def desk() -> Flow[Text, Text]:
    flow = Workflow("desk", Text, Text)
    flow.start(wait)
    flow.end(wait)
    return flow.build()


async def taken_up(place: str, run: str) -> str:
    async with Runtime(log=place) as runtime:
        return (await (await runtime.resume_run(desk(), run)).result()).text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_belongs_to_its_process_for_as_long_as_that_lives(database: str, backend: str) -> None:
    """Also while it is stopped; killed, it gives the run up at once, without a timer."""
    with holder(database) as (process, run):
        with pytest.raises(RunHeldElsewhere, match=rf"held by process {process.pid} on .*, which is alive"):
            anyio.run(taken_up, database, run, backend=backend)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(RunHeldElsewhere):
            anyio.run(taken_up, database, run, backend=backend)
        process.kill()
        process.wait()
        assert anyio.run(taken_up, database, run, backend=backend) == "x"


def test_of_two_that_take_up_one_run_one_wins(database: str) -> None:
    """The other is told that the run is held, or that it has ended."""
    with holder(database) as (process, run):
        process.kill()
        process.wait()
        body = """
            from coterie.orchestration import RunHeldElsewhere, StaleLease
            async def main():
                async with Runtime(log=PLACE) as runtime:
                    print("ready", flush=True)
                    sys.stdin.readline()
                    try:
                        run = await runtime.resume_run(desk(wait), sys.argv[2])
                    except (RunHeldElsewhere, StaleLease) as error:
                        print("told", type(error).__name__, flush=True)
                        return
                    print("won", flush=True)
                    await anyio.sleep_forever()
            anyio.run(main)
        """
        code = PROGRAM + textwrap.dedent(body)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        rivals: list[Any] = [subprocess.Popen([sys.executable, "-c", code, database, run], **pipes) for _ in range(2)]
        try:
            for rival in rivals:
                assert rival.stdout.readline() == "ready\n"
            for rival in rivals:
                rival.stdin.write("\n")
                rival.stdin.flush()
            said = sorted(rival.stdout.readline().split()[0] for rival in rivals)
        finally:
            for rival in rivals:
                rival.kill()
                rival.communicate()
    assert said == ["told", "won"]


def test_the_same_key_from_many_processes_is_one_run(database: str) -> None:
    """Whoever is late is given the run, or told who has it."""
    body = """
        from coterie.orchestration import RunHeldElsewhere
        async def main():
            async with Runtime(log=PLACE) as runtime:
                try:
                    run = await runtime.start(desk(answer), Text(text="x"), key="mail-1")
                    print((await run.result()).text)
                except RunHeldElsewhere:
                    print("held")
        anyio.run(main)
    """
    processes = [program(body, database) for _ in range(4)]
    ended = [process.communicate(timeout=50) for process in processes]
    assert {out.strip() for out, _ in ended} <= {"x", "held"}, ended

    async def count() -> int:
        async with DatabaseLog(database) as log:
            return (await log.call(lambda one: one.read(verify))).runs

    assert anyio.run(count) == 1


@pytest.mark.anyio
async def test_a_claim_that_is_overtaken_looks_again(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has taken the run between the look at it and the claim is found, and named."""
    async with DatabaseLog(database) as log, DatabaseLog(database) as quicker:
        lease = await log.begin([RunStarted("r", 1, 0.0, "f", Text(text="x"))], Registry([Text]), {})
        await log.release(lease)
        await quicker.claim("r", Registry([Text]))
        looks = iter([SimpleNamespace(fence=lease.fence, worker=None)])  # as it was before
        look = run_rows.run_row
        monkeypatch.setattr(run_rows, "run_row", lambda connection, run: next(looks, None) or look(connection, run))
        with pytest.raises(RunHeldElsewhere):
            await log.claim("r", Registry([Text]))


WRITERS = 8


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("database", "appends"),
    [("sqlite", 1000), ("postgresql", 250), pytest.param("postgresql", 1000, marks=pytest.mark.nightly)],
    indirect=["database"],
)
def test_many_processes_write_one_log_without_gaps(database: str, appends: int) -> None:
    """Eight at once, so many commits each; nobody sees "database is locked"."""
    body = """
        REGISTRY = Registry([Text])
        async def main():
            async with DatabaseLog(PLACE) as log:
                run, many = sys.argv[2], int(sys.argv[3])
                started = RunStarted(run, 1, 0.0, "f", Text(text=run), definition=digest_of({}))
                lease = await log.begin([started], REGISTRY, {})
                for seq in range(2, many + 2):
                    await log.commit(lease, [TimerFired(run, seq, 0.0, "x")], alone=True)
        anyio.run(main)
    """
    processes = [program(body, database, f"run{number}", str(appends)) for number in range(WRITERS)]
    for process in processes:
        _, err = process.communicate(timeout=250)
        assert process.returncode == 0, err
        assert "locked" not in err

    async def checked() -> Any:
        async with DatabaseLog(database) as log:
            return await log.call(lambda one: one.read(verify))

    verdict = anyio.run(checked)
    assert verdict.faults == []
    assert (verdict.runs, verdict.facts) == (WRITERS, WRITERS * (appends + 1))


@pytest.mark.anyio
async def test_a_clock_that_is_wrong_changes_neither_order_nor_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour back, an hour ahead: facts are ordered by number, and a lease asks no clock."""
    registry, place = Registry([Text]), tmp_path / "desk.db"
    real = time.time
    async with DatabaseLog(place) as log:
        begun = RunStarted("r", 1, real(), "f", Text(text="x"), definition=digest_of({}))
        lease = await log.begin([begun], registry, {})
        for number, jump in enumerate((-3600, 3600, -1, 0)):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            at = time.time()
            started = TaskStarted("r", 2 * number + 2, at, "t", "t", number + 1, [Text(text="x")], {})
            await log.commit(lease, [started, TaskFinished("r", 2 * number + 3, at, "t", "t", None)])
        async with DatabaseLog(place) as other:
            with pytest.raises(RunHeldElsewhere):
                await other.claim("r", registry)
    async with DatabaseLog(place) as other:
        assert [fact.seq for fact in await other.read("r", registry)] == list(range(1, 10))
        await other.claim("r", registry)
