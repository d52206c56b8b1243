"""The finance desk: what it reads, what it checks, and real questions answered by real models."""

import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from coterie.agents import Passage
from coterie.agents.checkpoints import home
from coterie.agents.errors import CorpusError
from coterie.orchestration import Approve
from coterie.orchestration.review_desk import ReviewDesk

ROOT = Path(__file__).parents[2]
HOME = home()  # the user's own: while tests run, COTERIE_HOME is another folder
SHIPPED = ROOT / "examples" / "data" / "finance"

sys.path.insert(0, str(ROOT / "examples"))
from finance_flow import grounds  # noqa: E402 - an example is found beside its program
from finance_sources import News, PriceRow, Prices, QuestionRow, Rows  # noqa: E402

needs_models = pytest.mark.skipif(
    not all((HOME / "bases" / name).exists() for name in ("minilm-l6", "smollm2-135m")),
    reason="needs `coterie models fetch`",
)


def ask(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program as a user calls it, off a terminal."""
    command = [sys.executable, str(ROOT / "examples" / "finance_desk.py"), *arguments]
    environment = os.environ | {"COTERIE_HOME": str(HOME), "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_shipped_data_is_whole() -> None:
    """Every row can be read, every relevant passage exists, movements and closes agree."""
    reports = [json.loads(line) for line in (SHIPPED / "reports.jsonl").read_text().splitlines()]
    ids = {report["id"] for report in reports}
    assert len(ids) == len(reports) >= 30
    questions = [json.loads(line) for line in (SHIPPED / "questions.jsonl").read_text().splitlines()]
    assert all(set(question["relevant"]) <= ids for question in questions)
    prices = Prices(SHIPPED / "prices")
    rows = list(prices.rows.of(PriceRow))
    assert len({row.symbol for row in rows}) >= 3
    assert len(rows) >= 250 * len({row.symbol for row in rows})
    assert len((SHIPPED / "news.jsonl").read_text().splitlines()) >= 60
    assert prices.rows.bad_lines == []


def test_prices_that_are_no_numbers_are_bad_lines(tmp_path: Path) -> None:
    """NaN, infinity, words and a fall of more than everything."""
    path = written(
        tmp_path / "p.jsonl",
        *(
            f'{{"date": "2025-01-0{day}", "symbol": "X", "movement": {movement}}}'
            for day, movement in enumerate(["0.1", "NaN", "Infinity", '"up"', "-1.5", "-0.5"], start=1)
        ),
    )
    prices = Prices(path)
    moved = prices.of("x")
    assert moved is not None
    assert (moved.day, moved.week) == (-0.5, round(1.1 * 0.5 - 1, 4))
    assert math.isfinite(moved.volatility)
    assert [line.line for line in prices.rows.bad_lines] == [2, 3, 4, 5]


def test_an_unknown_company_has_neither_news_nor_prices() -> None:
    """It is no error to ask."""
    assert News(SHIPPED / "news.jsonl").about("Nobody Inc", 5) == []
    assert Prices(SHIPPED / "prices").of("Nobody Inc") is None


def test_the_latest_news_of_a_company_are_taken() -> None:
    """In order, and no more than asked for."""
    lines = News(SHIPPED / "news.jsonl").about("norrfell", 3)
    assert len(lines) == 3


def test_a_question_that_is_too_long_is_a_bad_line(tmp_path: Path) -> None:
    """The others are kept."""
    rows = Rows(written(tmp_path / "q.jsonl", json.dumps({"text": "x" * 2_000_000}), '{"text": "why?"}'), QuestionRow)
    assert [row.text for row in rows.of(QuestionRow)] == ["why?"]
    assert "at most 8000 characters" in rows.bad_lines[0].reason


def test_a_folder_without_rows_is_told(tmp_path: Path) -> None:
    """With what was looked for."""
    with pytest.raises(CorpusError, match=r"the folder holds no \.jsonl file"):
        Prices(tmp_path).of("x")


def test_a_note_is_grounded_in_the_passages_that_say_it() -> None:
    """It cites the one with most of its words and those with figures that one lacks; a missing figure is named."""
    passages = [
        Passage(id="a", text="Revenue was 412.6 million crowns in 2025."),
        Passage(id="b", text="Revenue of 2024 was 389.2 million crowns."),
        Passage(id="c", text="The board met."),
    ]
    assert grounds("Revenue was 412.6 million crowns in 2025.", passages) == (["a"], [])
    assert grounds("Revenue was 412.6 million crowns in 2025 after 389.2 million.", passages) == (["a", "b"], [])
    assert grounds("Revenue was 500 million crowns in 2025.", passages) == (["a"], ["500"])
    assert grounds("Cats purr loudly everywhere.", passages) == ([], [])
    assert grounds("anything", []) == ([], [])


def test_wrong_usage_and_missing_files_are_told(tmp_path: Path) -> None:
    """Before any model is loaded."""
    both = ask("--ask", "x", "--questions", "y", folder=tmp_path)
    assert (both.returncode, "give --ask or --questions, not both" in both.stderr) == (2, True)
    missing = ask("--questions", "nope.jsonl", folder=tmp_path)
    assert (missing.returncode, "there is no such file" in missing.stdout) == (1, True)
    empty = ask("--questions", str(written(tmp_path / "empty.jsonl")), folder=tmp_path)
    assert (empty.returncode, "holds no questions" in empty.stdout) == (1, True)


@needs_models
@pytest.mark.timeout(180)
def test_real_questions_get_notes_whose_citations_exist(tmp_path: Path) -> None:
    """Bad lines are named and counted, the rest is answered, and the same seed gives the same notes."""
    questions = written(
        tmp_path / "q.jsonl",
        '{"text": "Who is the largest customer?", "company": "Wardlight Systems"}',
        "not json",
        '{"text": "\U0001f600\\u0000\\u202e [red]", "company": "Nobody Inc"}',
    )
    rows = []
    for name in ("one.jsonl", "two.jsonl"):
        done = ask("--questions", str(questions), "--auto", "--out", name, folder=tmp_path)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "q.jsonl, line 2: this is no JSON" in done.stdout
        assert "1 bad line was left out" in done.stdout
        rows.append(sorted((tmp_path / name).read_text(encoding="utf-8").splitlines()))
    assert rows[0] == rows[1]
    notes = [json.loads(line) for line in rows[0]]
    known = {json.loads(line)["id"] for line in (SHIPPED / "reports.jsonl").read_text().splitlines()}
    assert [note["status"] in ("published", "waiting") for note in notes] == [True, True]
    assert all(note["citations"] and set(note["citations"]) <= known for note in notes)
    assert "Greater Mersholm" in notes[0]["text"]


def test_resuming_needs_a_log(tmp_path: Path) -> None:
    """There is nothing else to go on from."""
    refused = ask("--resume", folder=tmp_path)
    assert refused.returncode == 2
    assert "--resume needs the --log" in refused.stderr


@needs_models
@pytest.mark.timeout(300)
def test_a_killed_desk_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed with -9 in mid-flight; what was done is not done again, and the program says so."""
    options = ["--questions", str(SHIPPED / "questions.jsonl"), "--limit", "4", "--auto", "--log", "desk.db"]
    command = [sys.executable, str(ROOT / "examples" / "finance_desk.py"), *options]
    environment = os.environ | {"COTERIE_HOME": str(HOME)}
    desk = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    while desk.poll() is None and answered(tmp_path / "desk.db") < 10:
        time.sleep(0.05)
    desk.kill()
    desk.wait()
    before = answered(tmp_path / "desk.db")
    again = ask(*options, folder=tmp_path)
    assert again.returncode == 1
    assert "go on with them by --resume" in again.stdout
    resumed = ask(*options, "--resume", "--out", "notes.jsonl", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"no model was called for the {before} tasks that had finished" in resumed.stdout
    assert len((tmp_path / "notes.jsonl").read_text().splitlines()) == 4
    with closing(sqlite3.connect(tmp_path / "desk.db")) as log:
        twice = "SELECT run, task FROM facts WHERE kind = 'task-finished' GROUP BY run, task HAVING count(*) > 1"
        assert log.execute(twice).fetchall() == []


def answered(log: Path) -> int:
    """How many tasks the log knows to have finished."""
    if not log.exists():
        return 0
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        try:
            found: int = connection.execute("SELECT count(*) FROM facts WHERE kind = 'task-finished'").fetchone()[0]
        except sqlite3.OperationalError:  # its tables are being made
            return 0
    return found


@needs_models
@pytest.mark.timeout(400)
def test_waiting_runs_finish_as_people_decide_at_their_desks(tmp_path: Path) -> None:
    """The program stays, decisions come from another process, and every question ends with a note."""
    options = ["--questions", str(SHIPPED / "questions.jsonl"), "--limit", "4", "--auto", "--log", "desk.db"]
    command = [sys.executable, str(ROOT / "examples" / "finance_desk.py"), *options, "--wait", "--out", "notes.jsonl"]
    environment = os.environ | {"COTERIE_HOME": str(HOME)}
    decided = 0
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as desk:
        while desk.poll() is None:
            decided += approve_all(tmp_path / "desk.db")
            time.sleep(0.5)
        assert desk.stdout is not None
        told = desk.stdout.read()
    assert desk.returncode == 0, told
    assert "4 published, 0 wait for a person, 0 failed" in told
    assert decided > 0
    notes = [json.loads(line) for line in (tmp_path / "notes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [note["status"] for note in notes] == ["published"] * 4


def approve_all(log: Path) -> int:
    """Approve what waits in the log of another process."""
    if answered(log) == 0:
        return 0
    with ReviewDesk(log, "anna") as desk:
        waiting = desk.items()
        for item in waiting:
            desk.answer(item, Approve(by="anna"))
    return len(waiting)
