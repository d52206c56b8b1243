"""`coterie review stats`: the same figures as tables, as lines on a narrow screen, as JSON and as a picture."""

import io
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner, Result

from coterie.agents.loading import load
from coterie.cli.exits import Exit
from coterie.cli.review.stats import stats
from coterie.cli.review.stats_tables import parts
from coterie.orchestration.review_items import Act, Decision
from coterie.orchestration.review_stats import review_stats
from coterie.orchestration.review_tables import ReviewStats

DAY = 86_400.0
HOSTILE = "[bold]eve[/bold]\x1b[31m\u202e$\\frac{a$ \u6570\u636e " + "x" * 200


def history(*, days: int = 3, people: tuple[str, ...] = ("ana", "bo"), role: str = "finance/mood") -> list[Decision]:
    """A few acts of each person on each day: all kinds of them."""
    acts: tuple[Act, ...] = ("approve", "choose", "edit", "reject", "skip", "amend", "mark", "check")
    rows: list[Decision] = []
    for number in range(days * len(people) * len(acts)):
        act, by = acts[number % len(acts)], people[number // len(acts) % len(people)]
        at = 1_790_000_000 + DAY * (number // (len(acts) * len(people))) + number
        body = {
            "flow": "finance-desk", "node": "desk", "role": role, "asked": at - 700, "seconds": 2.5 + number % 7,
            "proposed": "positive", "label": "positive" if act in ("approve", "edit") else "neutral", "field": "label",
            "known": "neutral", "blind": act == "edit", "first": "positive", "right": by == "ana",
            "before": {"text": "a\nb"}, "after": {"text": "c"},
        }  # fmt: skip
        rows.append(Decision(number + 1, at, by, act, "r1", f"desk#{number // len(acts) // 2}", body))
    return [*rows, Decision(len(rows) + 1, at, by, "undo", "r1", rows[-1].task, {"undoes": 1})]


class Desk:
    """As much of `ReviewDesk` as is asked for."""

    def __init__(self, place: str, by: str) -> None:
        assert Path(place).is_file()
        assert by

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def decisions(self) -> Iterator[Decision]:
        yield from history()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log whose desk knows `history()`."""
    module = ModuleType("coterie.orchestration.review_desk")
    module.__dict__["ReviewDesk"] = Desk
    monkeypatch.setitem(sys.modules, module.__name__, module)
    place = tmp_path / "desk.db"
    place.touch()
    return str(place)


def coterie(*arguments: str) -> Result:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(stats)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def printed(found: ReviewStats, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    for part in parts(found, width):
        console.print(part)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue().splitlines()


def test_the_tables_name_people_roles_and_corrections(log: str) -> None:
    """What a lead looks for stands in the tables."""
    result = coterie("--log", log)
    assert result.exit_code == Exit.DONE
    assert "23 decided, 6 skipped, 1 undone, 6 amended, 6 known items; 2026-09-21 to 2026-09-23" in result.output
    assert "finance-desk/desk finance/mood" in result.output
    assert "positive -> neutral 6" in result.output
    ana = next(line.split() for line in result.output.splitlines() if line.startswith("ana"))
    assert ana[1] == "11"
    assert ana[-1] == "1"


def test_json_has_every_figure(log: str) -> None:
    """In the shape of `ReviewStats`, filtered by the options."""
    found = json.loads(coterie("--log", log, "--json", "--by", "bo").output)
    assert (found["done"]["approved"], found["done"]["chosen"], found["undone"]) == (3, 3, 0)
    assert [row["by"] for row in found["reviewers"]] == ["bo"]
    assert found["fields"][0]["labels"] == [{"before": "positive", "after": "neutral", "count": 3}]
    assert json.loads(coterie("--log", log, "--json", "--flow", "other").output)["reviewers"] == []
    assert json.loads(coterie("--log", log, "--json", "--since", "2026-09-30").output)["days"] == []


def test_a_log_without_decisions_says_so() -> None:
    """One line, and no empty tables."""
    assert printed(review_stats([]), 80) == ["nothing was decided"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("name", ["ana", HOSTILE])
def test_every_width_tells_the_same(width: int, name: str) -> None:
    """Nothing is wider than the screen, no control character is printed, and no figure is left out."""
    found = review_stats(history(days=20, people=(name, "bo"), role=name))
    lines = printed(found, width)
    assert max(map(cell_len, lines)) <= width
    assert not any(character in "".join(lines) for character in "\x1b\u202e")
    row = next(row for row in found.reviewers if row.by == name)
    told = " ".join(" ".join(lines).split())
    assert f"{row.caught.hits}/{row.caught.of}" in told
    assert f"{row.decided}" in told
    assert "(the latest 14 of 20; --json has all)" in told


def test_markup_in_names_is_not_read() -> None:
    """A name that looks like a style is a name."""
    assert any(line.startswith("[bold]eve[/bold]") for line in printed(review_stats(history(people=(HOSTILE,))), 120))


@pytest.mark.parametrize("days", [0, 1, 5, 400])
def test_the_picture_is_1200_by_800(days: int, tmp_path: Path) -> None:
    """Whatever there is to draw, nothing at all or names in no font."""
    pytest.importorskip("matplotlib")
    people = ("ana", HOSTILE, *(f"person{number}" for number in range(10)))
    found = review_stats(history(days=days, people=people, role=HOSTILE) if days else [])
    png = tmp_path / "stats.png"
    load("cli.review.stats_plot").draw(found, png)
    content = png.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (1200, 800)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_no_word_of_the_picture_is_cut_off() -> None:
    """Every text stands inside the picture, long names and all."""
    pytest.importorskip("matplotlib")
    long = "a-role/with-a-very-long-name-indeed"
    found = review_stats(history(days=9, people=("ana", long, HOSTILE), role=long))
    figure = load("cli.review.stats_plot").picture(found)
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()  # inches
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= 12
    assert drawn.y1 <= 8


def test_the_command_draws_into_a_file(log: str, tmp_path: Path) -> None:
    """And says so where a program that reads the JSON does not see it; a folder that is not there is an error."""
    pytest.importorskip("matplotlib")
    png = tmp_path / "stats.png"
    result = coterie("--log", log, "--json", "--png", str(png))
    assert (result.exit_code, result.stderr) == (Exit.DONE, f"drawn: {png}\n")
    assert json.loads(result.stdout)["checks"] == 6
    failed = coterie("--log", log, "--png", str(tmp_path / "no" / "stats.png"))
    assert failed.exit_code == Exit.FAILED
    assert "cannot write" in failed.stderr


def test_without_matplotlib_the_command_says_what_to_install(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the log is read, and only where a picture is asked for."""
    for name in ("matplotlib", "matplotlib.axes"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "coterie.cli.review.stats_plot", raising=False)
    result = coterie("--log", "no.db", "--png", "stats.png")
    assert result.exit_code == Exit.USAGE
    assert "pip install 'coterie[plots]'" in result.stderr
    assert coterie("--log", log).exit_code == Exit.DONE


def test_a_log_that_does_not_exist_is_not_made(log: str) -> None:
    """Reading makes no file."""
    result = coterie("--log", "nowhere.db")
    assert result.exit_code == Exit.BAD_INPUT
    assert "there is no log 'nowhere.db'" in result.stderr
    assert not Path("nowhere.db").exists()
