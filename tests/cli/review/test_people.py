"""`coterie review people`, `list` and `apply` over a real log, as processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from coterie.cli.review.app import review
from coterie.orchestration.review_desk import ReviewDesk
from tests.cli.review.real_log import LINES, make_log

ACT = """
import json, sys
for line in sys.stdin:
    item = json.loads(line)
    act = {{"act": "choose", "label": "neutral"}} if "third" in item["about"] else {{"act": "approve"}}
    print(json.dumps({{"run": item["run"], "task": item["task"], "digest": item["digest"], **act}}))
    {more}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("log") / "desk.db")


@pytest.fixture
def log(made: Path, tmp_path: Path) -> Path:
    place = tmp_path / "desk.db"
    place.write_bytes(made.read_bytes())
    return place


def told(*words: str, width: int = 100) -> Result:
    return CliRunner().invoke(review, words, env={"COLUMNS": str(width), "COTERIE_BY": "otto"})


def people(log: Path, *words: str) -> Result:
    return told("people", "--log", str(log), *words)


def process(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)


def decided(log: Path, more: str = "") -> "subprocess.CompletedProcess[str]":
    """What waits, with an act added by a program, applied."""
    listed = process("-m", "coterie.cli", "review", "list", "--log", str(log), "--by", "anna", "--json")
    acts = process("-c", ACT.format(more=more), given=listed.stdout)
    return process("-m", "coterie.cli", "review", "apply", "-", "--log", str(log), "--by", "anna", given=acts.stdout)


def test_a_program_decides_everything(log: Path) -> None:
    """Exit code 0: nothing is left."""
    done = decided(log)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "5 stored, 0 refused, 0 in conflict, 0 left\n"
    with ReviewDesk(log, "anna") as desk:
        assert sorted(one.act for one in desk.decisions()) == ["approve"] * 4 + ["choose"]


def test_a_program_leaves_some(log: Path) -> None:
    """Exit code 3: items are left."""
    done = decided(log, more="break")
    assert (done.returncode, done.stderr) == (3, "1 stored, 0 refused, 0 in conflict, 4 left\n")


def test_a_program_comes_second(log: Path) -> None:
    """Exit code 4: somebody was first; the rest is stored all the same."""
    with ReviewDesk(log, "berta") as desk:
        item = desk.items()[0]
    twice = "print(json.dumps({'run': item['run'], 'task': item['task'], 'act': 'approve'}))"
    done = decided(log, more=f"{twice} if item['run'] == {item.run!r} else None")
    assert (done.returncode, done.stderr) == (4, "5 stored, 0 refused, 1 in conflict, 0 left\n")
    assert "was answered by anna" in done.stdout


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_is_as_wide_as_the_terminal(log: Path, width: int) -> None:
    """What is proposed, how sure, why, and the case."""
    rows = told("list", "--log", str(log), width=width).stdout.splitlines()
    assert [row.split()[0] for row in rows[:1]] == ["run"]
    assert len(rows) == 1 + len(LINES)
    assert all(len(row) <= width for row in rows)
    assert "positive" in rows[1]
    assert "%" in rows[1]
    assert "Raute won" in rows[1]


def test_nobody_is_named_at_first(log: Path) -> None:
    """And then whoever names the first one is an operator."""
    assert "whoever can open this log may do everything" in people(log).stdout
    shown = people(log, "--grant", "anna:reviewer").stdout
    assert [row.split()[:2] for row in shown.splitlines()[1:]] == [["anna", "reviewer"], ["otto", "operator"]]


def test_what_is_withdrawn_is_gone(log: Path) -> None:
    """Whoever has no role may not even look, and is told who can change that."""
    people(log, "--grant", "anna:reviewer", "--grant", "bo:auditor")
    rows = json.loads(people(log, "--withdraw", "bo:auditor", "--json").stdout)
    assert [(one["name"], one["role"], one["may"]) for one in rows] == [
        ("anna", "reviewer", ["decide", "look"]),
        ("otto", "operator", ["look", "operate", "start"]),
    ]
    refused = told("list", "--log", str(log), "--by", "bo")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("'bo' has no role here and may not look")


def test_only_an_operator_names_people(log: Path) -> None:
    """And the last one stays; of several changes all are made, or none."""
    people(log, "--grant", "anna:reviewer")
    assert "may not operate" in people(log, "--by", "anna", "--grant", "anna:operator").stderr
    failed = people(log, "--grant", "bo:auditor", "--withdraw", "otto:operator")
    assert "the last operator stays one" in failed.stderr
    assert "bo" not in people(log).stdout


@pytest.mark.parametrize("told", ["bo", "bo:boss", ":reviewer", ""])
def test_what_is_no_name_and_role_is_refused(log: Path, told: str) -> None:
    """It names the roles that there are."""
    failed = people(log, "--grant", told)
    assert failed.exit_code == 2
    assert "the roles are author, operator, reviewer, auditor" in failed.stderr
