"""Processes that are killed with -9 at each of their writes: nothing that was acknowledged is lost or done again."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import count, takewhile
from pathlib import Path

import pytest

from coterie.orchestration import Context, RunError, Runtime, Workflow, node
from coterie.orchestration.crash_child import Kill, Returned, entries, perform
from coterie.orchestration.crash_points import CrashTrialError, crash_points, process_maker
from coterie.orchestration.crash_verdict import CrashPoint, Performed, judged, seen
from coterie.orchestration.database import Database
from coterie.orchestration.fault_points import POINTS, Point
from tests.orchestration.crashes import broken, desk
from tests.orchestration.postgresql import Server, served

IN_THE_MIDDLE = Kill("node-answered", 9)
ROOT = Path(__file__).parents[2]
WRITES = "pwrite64,write,fdatasync,fsync,ftruncate,unlink"


@pytest.mark.timeout(300)
def test_a_kill_at_any_write_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Each named place, each time it is reached: all that was told is kept, nothing is half done, finished or declared
    work is not repeated, what is done in the log's database is done once, and the result is the same."""
    report = crash_points(desk.program, tmp_path)
    assert report.sound, str(report)
    assert len(report.points) >= 200
    assert {point.kills[-1].point for point in report.points} == set(POINTS) - {"claimed", "reviews-written"}


@pytest.mark.timeout(300)
def test_a_kill_while_a_killed_run_goes_on_changes_nothing(tmp_path: Path) -> None:
    """The process that takes the run up is killed too, at each of its own writes."""
    places = ("claimed", "head-moved", "commit-due", "committed", "told", "node-called", "actions-done")
    report = crash_points(desk.program, tmp_path, points=places, after=[IN_THE_MIDDLE])
    assert report.sound, str(report)
    assert {point.kills[-1].point for point in report.points} == set(places)
    assert all(point.kills[0] == IN_THE_MIDDLE for point in report.points)


def test_a_kill_loses_nothing_on_trio(tmp_path: Path) -> None:
    """The same on the other event loop."""
    report = crash_points(desk.program, tmp_path, points=("commit-due", "told"), backend="trio")
    assert report.sound, str(report)
    assert len(report.points) > 20


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("points", "least"),
    [(("facts-inserted", "committed", "actions-done"), 30), pytest.param(POINTS, 200, marks=pytest.mark.nightly)],
    ids=["some", "all"],
)
def test_a_kill_loses_nothing_on_postgresql(
    points: tuple[Point, ...], least: int, tmp_path: Path, postgresql: Server
) -> None:
    """The same with the log on a server."""
    report = crash_points(desk.program, tmp_path, points=points, log=lambda folder: postgresql.database())
    assert report.sound, str(report)
    assert len(report.points) >= least


@pytest.fixture
def mortal() -> Iterator[Server]:
    """A PostgreSQL server that a test may kill."""
    yield from served()


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["before its outcome", "in a transaction"])
async def test_a_run_goes_on_after_its_server_was_killed(when: str, mortal: Server) -> None:
    """What was told before is kept, the run says what broke it, and nothing that had finished runs again."""
    calls: list[str] = []

    @node
    async def first(question: desk.Text) -> desk.Text:
        calls.append("first")
        return question

    @node
    async def second(question: desk.Text, *, ctx: Context) -> desk.Text:
        calls.append("second")
        if calls.count("second") == 1:
            ctx.transaction(lambda connection: mortal.kill()) if when == "in a transaction" else mortal.kill()
        return desk.Text(text="done")

    workflow: Workflow[desk.Text, desk.Text] = Workflow("server", desk.Text, desk.Text)
    workflow.start(first)
    workflow.edge(first, second)
    workflow.end(second)
    flow, log = workflow.build(), mortal.database()
    async with Runtime(log=log) as runtime:
        run = await runtime.start(flow, desk.Text(text="a"))
        with pytest.raises(RunError, match="cannot be used"):
            await run.result()
        told = list(run.facts())
    mortal.start()
    async with Runtime(log=log) as runtime:
        (again,) = (await runtime.resume(flow)).runs
        assert await again.result() == desk.Text(text="done")
        assert list(again.facts())[: len(told)] == told
    assert calls == ["first", "second", "second"]


def test_a_sound_program_gives_a_sound_report(tmp_path: Path) -> None:
    """The report says how often it killed."""
    report = crash_points(broken.sound, tmp_path, points=("committed",))
    assert report.sound
    assert str(report) == f"{len(report.points)} kills, 0 with consequences"


@pytest.mark.parametrize(
    ("program", "point", "fault"),
    [
        (broken.forgetful, "told", "left"),
        (broken.boastful, "write-due", "lost"),
        (broken.loose, "head-moved", "halves"),
        (broken.tireless, "node-answered", "again"),
        (broken.careless, "node-answered", "repeated"),
    ],
)
def test_a_broken_promise_is_reported(program: object, point: object, fault: str, tmp_path: Path) -> None:
    """Each kind of fault is found in a program that has it, and named."""
    report = crash_points(program, tmp_path, points=(point,))
    assert not report.sound
    assert any(getattr(found, fault) for found in report.points), str(report)
    assert fault in str(report)


def test_another_result_is_reported(tmp_path: Path) -> None:
    """A program that returns something else after a kill is not sound."""
    report = crash_points(broken.fickle, tmp_path, points=("told",))
    assert Counter(point.same for point in report.points).keys() == {False}
    assert "another result" in str(report)


def test_a_program_that_never_ends_cannot_be_tried(tmp_path: Path) -> None:
    """It is performed once without a kill first, so that its own faults are not taken for those of a crash."""
    with pytest.raises(CrashTrialError, match="'failing' cannot be tried: the process ended with exit code 1"):
        crash_points(broken.failing, tmp_path)


# An unmodified process, killed by the system when it enters one of its writes.


@cache
def may_trace() -> bool:
    """Whether strace is there, and allowed to do what it is for."""
    strace = shutil.which("strace")
    return (
        strace is not None and subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


traced = pytest.mark.skipif(not may_trace(), reason="strace is not installed, or may not trace processes here")


def alone(folder: Path, name: str, *before: str) -> Performed:
    """The desk's program in a process of its own, started by the command `before`; what it says is in a file."""
    journal, log = folder / f"{name}.journal", str(folder / "log.db")
    command = [*before, sys.executable, "-m", "tests.orchestration.crashes.alone", str(folder), log, str(journal)]
    with (folder / f"{name}.told").open("wb") as told:
        exit_code = subprocess.run(command, cwd=ROOT, stdout=told, stderr=told).returncode
    return Performed(exit_code, entries(journal), seen(log, folder / f"{name}.seen"))


def resumed(folder: Path) -> Performed:
    """The program again, where a process was killed."""
    journal, log = folder / "resumed.journal", str(folder / "log.db")
    arguments = (desk.program, log, str(folder), str(journal), None, "asyncio")
    process = process_maker(desk.__name__)(target=perform, args=arguments)
    process.start()
    process.join()
    return Performed(process.exitcode, entries(journal), seen(log, folder / "resumed.seen"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Returned:
    """What the desk's program returns where nothing kills it."""
    returned = resumed(tmp_path_factory.mktemp("uninterrupted")).returned
    assert returned is not None
    return returned


def injected(folder: Path, number: int, fate: str, prepared: bool) -> Performed:
    """What the program does where `fate` befalls a thread's write of this number."""
    folder.mkdir()
    if prepared:
        Database(folder / "log.db").close()
    files = [part for name in ("log.db", "log.db-wal", "log.db-shm") for part in ("-P", str(folder / name))]
    inject = ["-e", f"trace={WRITES}", "-e", f"inject={WRITES}:{fate}:when={number}"]
    return alone(folder, "broken", "strace", "-f", "-qq", "-o", str(folder / "trace"), *files, *inject)


def killed_at_system_call(folder: Path, number: int, prepared: bool, expected: Returned) -> CrashPoint | None:
    """What became of the program that was killed at a thread's write of this number; None: it has fewer."""
    killed = injected(folder, number, "signal=KILL", prepared)
    if killed.exit_code == 0:
        return None
    return judged((Kill("system-call", number),), [killed, resumed(folder)], expected)  # type: ignore[arg-type]


def killed_at(numbers: Iterable[int], folder: Path, prepared: bool, expected: Returned) -> list[CrashPoint]:
    """What became of the program at each of `numbers`, up to the first that it does not reach."""
    points = (killed_at_system_call(folder / str(number), number, prepared, expected) for number in numbers)
    return list(takewhile(lambda point: point is not None, points))  # type: ignore[arg-type]


@traced
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("prepared", "step"), [(False, 23), (True, 13)], ids=["new log", "known log"])
def test_a_kill_at_a_system_call_loses_and_repeats_nothing(
    prepared: bool, step: int, tmp_path: Path, expected: Returned
) -> None:
    """At every so many writes and flushes of the log's files: of its making, and of runs."""
    found = killed_at(count(1, step), tmp_path, prepared, expected)
    assert [str(point) for point in found if not point.sound] == []
    assert len(found) >= 5


@traced
@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("prepared", [False, True], ids=["new log", "known log"])
def test_a_kill_at_any_system_call_loses_and_repeats_nothing(
    prepared: bool, tmp_path: Path, expected: Returned
) -> None:
    """At each of them."""
    found = killed_at(count(1), tmp_path, prepared, expected)
    assert [str(point) for point in found if not point.sound] == []
    assert len(found) > 100


def refused_at(numbers: Iterable[int], folder: Path, error: str, expected: Returned) -> Iterator[CrashPoint]:
    """What became of the program whose write of each number the system refuses, up to the first it does not reach."""
    folder.mkdir()
    for number in numbers:
        place = folder / str(number)
        broken = injected(place, number, f"error={error}", prepared=False)
        if "INJECTED" not in (place / "trace").read_text(encoding="utf-8"):
            return
        last = resumed(place)
        point = judged((Kill("system-call", number),), [broken, last], expected)  # type: ignore[arg-type]
        yield replace(point, failed=complaint(broken, place) or last.failure)


def complaint(broken: Performed, folder: Path) -> str | None:
    """What is wrong with how a program ended that could not write; a check-point may wait, so it may also not end."""
    told = (folder / "broken.told").read_text(encoding="utf-8").splitlines()
    said = broken.exit_code == 1 and any(f"{folder / 'log.db'} cannot be used: " in line for line in told[-1:])
    return None if said or broken.exit_code == 0 else f"exit code {broken.exit_code}, {told[-1:]}"


@traced
@pytest.mark.timeout(300)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_system_call_that_fails_loses_and_repeats_nothing(error: str, tmp_path: Path, expected: Returned) -> None:
    """At every so many writes and flushes of the log's files: the run stops with the cause, and is gone on with."""
    found = list(refused_at(count(2, 29), tmp_path / error, error, expected))
    assert [str(point) for point in found if not point.sound] == []
    assert len(found) >= 3


@traced
@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_any_system_call_that_fails_loses_and_repeats_nothing(error: str, tmp_path: Path, expected: Returned) -> None:
    """At each of them."""
    found = list(refused_at(count(1), tmp_path / error, error, expected))
    assert [str(point) for point in found if not point.sound] == []
    assert len(found) > 80
