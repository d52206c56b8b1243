"""Processes that are killed with -9 while people decide: one decision, nothing runs again, nothing told is lost."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import anyio
import pytest

from coterie.orchestration import Runtime
from coterie.orchestration.crash_points import crash_points, process_maker
from coterie.orchestration.fault_points import POINTS, Point
from coterie.orchestration.queries import verify
from tests.orchestration.crashes import reviewed
from tests.orchestration.crashes.desk import lines
from tests.orchestration.desks import Headline, acts, left, opened, stored_rows
from tests.orchestration.postgresql import Server

SOME: tuple[Point, ...] = ("head-moved", "reviews-written", "actions-done", "commit-due", "committed", "told")
KILLED = -9


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("points", "least"),
    [(SOME, 40), pytest.param(POINTS, 80, marks=pytest.mark.nightly)],
    ids=["some", "all"],
)
def test_a_kill_between_an_answer_and_the_end_of_its_run_loses_nothing(
    points: tuple[Point, ...], least: int, tmp_path: Path
) -> None:
    """At each named place, of the run's writes and of the desk's: the same decisions, result and facts."""
    report = crash_points(reviewed.program, tmp_path, points=points)
    assert report.sound, str(report)
    assert {point.kills[-1].point for point in report.points} >= set(SOME)
    assert len(report.points) >= least


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("points", "least"),
    [(("reviews-written", "actions-done"), 6), pytest.param(POINTS, 80, marks=pytest.mark.nightly)],
    ids=["some", "all"],
)
def test_a_kill_while_people_decide_loses_nothing_on_postgresql(
    points: tuple[Point, ...], least: int, tmp_path: Path, postgresql: Server
) -> None:
    """The same with the log on a server."""
    report = crash_points(reviewed.program, tmp_path, points=points, log=lambda folder: postgresql.database())
    assert report.sound, str(report)
    assert len(report.points) >= least


def exit_code(target: Callable[..., None], *arguments: object) -> int | None:
    process = process_maker(reviewed.__name__)(target=target, args=arguments)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.timeout(300)
def test_a_desk_that_is_killed_at_any_of_its_writes_loses_nothing_that_it_told(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had told is in the log, half of nothing is, and whoever comes next finds the question or its answer."""
    monkeypatch.chdir(tmp_path)  # where the flow leaves its traces
    kills = 0
    for point in ("commit-due", "committed"):
        for number in count(1):
            (run,) = anyio.run(left, database, reviewed.flow, Headline(text=f"{point} {number}"))
            told = tmp_path / f"{point}-{number}"
            before = len(acts(database))
            code = exit_code(reviewed.sit, database, run, str(told), (point, number))
            done = [act for _, act in acts(database)[before:]]
            known = lines(told)
            assert done[: len(known)] == known
            assert len(done) - len(known) <= 1
            (row,) = [row for row in stored_rows(database) if row.run == run]
            assert row.state == ("answered" if done and done[-1] in ("choose", "approve") else "open")
            with opened(database) as log:
                assert log.read(verify).faults == []
            anyio.run(finished, database, run)
            if code == 0:
                break
            assert code == KILLED
            kills += 1
    assert kills >= 8


async def finished(database: str, run: str) -> None:
    """Brings the run to its end, with whatever answer stands, or an approval."""
    async with Runtime(log=database) as runtime:
        again = await runtime.resume_run(reviewed.flow, run)
        while not again.ended:
            await again.wait_settled()
            for request in again.pending:
                await again.answer(request.task, reviewed.Approve(by="anna"))
        await again.result()
