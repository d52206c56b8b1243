"""Processes that are killed with -9 at each of their writes: nothing that was acknowledged is lost or done again."""

from collections import Counter
from pathlib import Path

import pytest

from coterie.orchestration.crash_child import Kill
from coterie.orchestration.crash_points import CrashTrialError, crash_points
from coterie.orchestration.fault_points import POINTS
from tests.orchestration.crashes import broken, desk

IN_THE_MIDDLE = Kill("node-answered", 9)


@pytest.mark.timeout(300)
def test_a_kill_at_any_write_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Each named place, each time it is reached: all that was told is kept, nothing is half done, finished or declared
    work is not repeated, what is done in the log's database is done once, and the result is the same."""
    report = crash_points(desk.program, tmp_path)
    assert report.sound, str(report)
    assert len(report.points) >= 200
    assert {point.kills[-1].point for point in report.points} == set(POINTS) - {"claimed"}


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
