"""The commands: what they print, and how they end."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from coterie.cli.review import app, applying, waiting
from coterie.orchestration.review_items import Item
from tests.cli.review.fake_desk import FakeDesk, an_item


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> FakeDesk:
    """A desk in memory with three items, which the commands open."""
    found = FakeDesk([an_item(number) for number in (1, 2, 3)])
    for command in (app, applying, waiting):
        monkeypatch.setattr(command, "open_desk", lambda place, by, flow: found)
    return found


def told(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app.review, arguments, input=text)


def lines(items: Sequence[Item], act: str = "approve") -> str:
    return "".join(json.dumps({"run": item.run, "task": item.task, "act": act}) + "\n" for item in items)


def test_list_prints_a_line_of_json_for_each_item(desk: FakeDesk) -> None:
    """In the order of the queue; nothing is claimed."""
    shown = told("list", "--json", "--limit", "2")
    assert shown.exit_code == 0
    assert [json.loads(line)["run"] for line in shown.stdout.splitlines()] == ["run0001", "run0002"]
    assert desk.claimed == set()


def test_apply_ends_with_0_where_nothing_is_left(desk: FakeDesk) -> None:
    """And says what became of each decision."""
    shown = told("apply", "-", text=lines([an_item(number) for number in (1, 2, 3)]))
    assert shown.exit_code == 0
    assert [json.loads(line)["outcome"] for line in shown.stdout.splitlines()] == ["stored"] * 3
    assert shown.stderr == "3 stored, 0 refused, 0 in conflict, 0 left\n"


def test_apply_ends_with_3_where_items_are_left(desk: FakeDesk, tmp_path: Path) -> None:
    """From a file, too."""
    source = tmp_path / "decisions.jsonl"
    source.write_text(lines([an_item(1)]))
    assert told("apply", str(source)).exit_code == 3


def test_apply_ends_with_4_at_a_conflict(desk: FakeDesk) -> None:
    """What is in no conflict is stored all the same."""
    assert told("apply", "-", text=lines([an_item(9), an_item(1)])).exit_code == 4
    assert [one.act for one in desk.stored] == ["approve"]


def test_apply_stores_nothing_where_a_line_is_no_decision(desk: FakeDesk) -> None:
    """It names the line."""
    shown = told("apply", "-", text=lines([an_item(1)]) + "no\n")
    assert (shown.exit_code, desk.stored) == (1, [])
    assert "line 2: Invalid JSON" in shown.stderr


def test_without_a_terminal_nothing_is_asked(desk: FakeDesk) -> None:
    """It says what to use instead."""
    shown = told()
    assert shown.exit_code == 2
    assert "coterie review list --json" in shown.stderr


def test_a_filter_before_a_subcommand_is_refused(desk: FakeDesk) -> None:
    """It would say nothing to it."""
    assert told("--flow", "a", "list").exit_code == 2
