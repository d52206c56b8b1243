"""The screen in a real terminal, over a real log: every view in every mode, hostile text, kills at any moment."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from coterie.orchestration.review_desk import ReviewDesk
from tests.cli.review.panes import Pane, Server
from tests.cli.review.real_log import SAME, acts, make_hostile_log, make_log

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, which is not installed"),
    pytest.mark.timeout(180),
]
CHROME = {"KEYS", "NOTICE"}  # words that only lines need
ITEM = "q save and quit"
SAME_LINE = SAME[:40]
VIEWS = (  # keys that lead to a view, and what its footer says
    ("item", (), "1-3 other label"),
    ("lineage", ("l",), "e amend"),
    ("passage", ("j", "j", "j"), "+ right"),
    ("proof", ("p",), "+ right"),
    ("why", ("w",), "esc back"),
    ("history", ("h",), "esc back"),
    ("keys", ("?",), "esc back"),
    ("back", ("Escape",), "1-3 other label"),
    ("reject", ("x",), "t in your own words"),
    ("back", ("Escape",), "1-3 other label"),
    ("form", ("e",), "y check and compare"),
    ("diff", ("3", "y"), "y send it on"),
    ("form", ("Escape",), "y check and compare"),
    ("back", ("Escape",), "1-3 other label"),
    ("approved", ("a",), "u undo (1)"),
    ("batch", ("b",), "y approve all 2"),
    ("approved", ("y",), "u undo (2)"),
    ("skipped", ("s",), "u undo (3)"),
    ("done", ("3",), "r look again"),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which five reviews wait; each test copies it."""
    return make_log(tmp_path_factory.mktemp("log") / "desk.db")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path)
    yield found
    found.close()


@pytest.fixture
def copy(log: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(log, tmp_path / "desk.db"))


def words(shown: str) -> set[str]:
    """Without what the clock says, and how far it can be scrolled."""
    return set(re.findall(r"\w+", re.sub(r"(asked|about) \d+ \w+|\d\d-\d\d \d\d:\d\d:\d\d|───.*", "", shown)))


def scrolled_through(pane: Pane, footer: str) -> set[str]:
    """The words of all that can be scrolled to, from the top on."""
    shown = pane.see(footer)
    found = words(shown)
    for key, more in (("PageUp", "above ("), ("Space", "more below (")):
        while more in shown:
            before = shown
            pane.press(key)
            shown = pane.wait(lambda now, before=before: now != before and now.count("\n───") == 2)
            found |= words(shown)
    return found


def painted(pane: Pane) -> list[set[str]]:
    pane.see(ITEM)
    found = []
    for _, keys, footer in VIEWS:
        before = pane.shown()
        for key in keys:
            pane.press(key)
            before = pane.wait(lambda now, before=before: now != before)
        found.append(scrolled_through(pane, footer))
    return found


def told(pane: Pane) -> list[set[str]]:
    """The words of each view in lines that are added."""
    found, old = [], 0
    for _, keys, footer in VIEWS:
        for key in keys:
            old = len(pane.shown(history=True).rstrip().splitlines())
            pane.press(key)
            pane.wait(lambda now, old=old: len(now.rstrip().splitlines()) > old, history=True)
        new = pane.wait(lambda now, old=old, footer=footer: footer in _after(now, old), footer, history=True)
        found.append(words(_after(new, old)))
    return found


def _after(shown: str, lines: int) -> str:
    return "\n".join(shown.splitlines()[lines:])


def test_every_view_says_the_same_words_in_every_mode(server: Server, copy: Path, tmp_path: Path) -> None:
    """80 x 24, 120 x 40, 60 columns, without colours, in ASCII only, as lines."""
    modes = {
        "80": server.open(shutil.copy(copy, tmp_path / "80.db"), 80, 24),
        "120": server.open(shutil.copy(copy, tmp_path / "120.db"), 120, 40),
        "60": server.open(shutil.copy(copy, tmp_path / "60.db"), 60, 24),
        "none": server.open(shutil.copy(copy, tmp_path / "n.db"), 80, 24, NO_COLOR="1"),
    }
    lines = {
        "plain": server.open(shutil.copy(copy, tmp_path / "p.db"), 80, 24, "--plain"),
        "dumb": server.open(shutil.copy(copy, tmp_path / "d.db"), 80, 24, TERM="dumb"),
    }
    seen = {name: painted(pane) for name, pane in modes.items()} | {name: told(pane) for name, pane in lines.items()}
    for number, (view, _, _) in enumerate(VIEWS):
        for name, found in seen.items():
            differ = (found[number] ^ seen["120"][number]) - CHROME
            assert not differ, f"{view} in {name}: {differ}"
    drawn = server.tell("capture-pane", "-p", "-e", "-t", modes["none"].name)
    assert not re.search(r"\x1b\[(\d*;)*[349][0-7]m", drawn)  # any colour but the terminal's own
    assert [acts(tmp_path / f"{name}.db") for name in ("80", "120", "60", "n", "p", "d")] == [
        ["approve", "approve", "approve", "skip", "choose"]
    ] * 6


HOSTILE = (
    "\x1b[31mred\x1b]0;owned\x07 \x1b[2J\x1b[1;1H \u202eesrever\u202c \u2066x\u2069 zero\u200bwidth [red]x[/] "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \x9b31m \u05d0\u05d1 "
)


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_hostile_text_is_only_text(server: Server, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Escape codes, changes of direction, markup, and a line of a megabyte: nothing of it moves or colours anything."""
    log = make_hostile_log(tmp_path / "wild.db", HOSTILE + "long " * 200_000)
    pane = server.open(log, 80, 24, *options)
    title = pane.asked("pane_title")
    for key, seen in (("", ITEM), ("l", "what the run began with"), ("p", "from "), ("w", "WHERE"), ("h", "DECISIONS")):
        pane.press(*key)
        shown = pane.see(*([] if key == "w" else [seen]), history=bool(options))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", shown)
        if not options:
            assert shown.splitlines()[0].startswith("review wild/desk")
            assert sum(row.startswith("───") for row in shown.splitlines()) == 2
    assert "[red]x[/]" in pane.shown(history=True) or not options
    assert pane.asked("pane_title") == title


def test_a_closed_terminal_loses_nothing(server: Server, copy: Path) -> None:
    """What was decided is stored, and whoever comes back finds the item that they had before them."""
    pane = server.open(copy, 80, 24)
    pane.see("item 1", "Raute won an order")
    pane.press("3")
    pane.see("item 2", SAME_LINE, "u undo (1)")
    server.tell("kill-session", "-t", pane.name)
    again = server.open(copy, 80, 24)
    again.see("item 1", SAME_LINE, "u undo (1)")
    assert acts(copy) == ["choose"]
    again.press("u")
    again.see("taken back: ", "Raute won an order")


KILLED = (  # keys, the act that they store, and what is shown when it is stored
    ("a", "approve", "approved desk"),
    ("3", "choose", "relabelled desk"),
    ("xf", "reject", "rejected desk"),
    ("s", "skip", "skipped desk"),
    ("u", "undo", "taken back: "),
)


@pytest.mark.parametrize("waits", [True, False])
def test_a_kill_after_any_key_loses_nothing_that_was_seen(server: Server, copy: Path, waits: bool) -> None:
    """Stored is exactly what was seen to be stored; or one more, where the kill comes before it is seen."""
    pane = server.open(copy, 80, 24)
    stored: list[str] = []
    for keys, act, seen in KILLED if waits else KILLED[1:4]:
        pane.see(ITEM)
        for key in keys[:-1]:
            pane.press(key)
            pane.see("t in your own words")
        pane.press(keys[-1])
        if waits:
            pane.see(seen)
        os.kill(int(pane.asked("pane_pid")), signal.SIGKILL)
        pane.wait(lambda _: pane.asked("pane_dead") == "1", "its end")
        found = acts(copy)
        assert found == [*stored, act] or (not waits and found == stored)
        stored = found
        pane.again()
    assert not waits or stored == [act for _, act, _ in KILLED]


def test_an_edit_in_the_pane_and_in_an_editor(server: Server, copy: Path, tmp_path: Path) -> None:
    """What does not fit is refused with its field and the reason, and nothing of it is stored."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/negative/neutral/ "$1"\n')
    editor.chmod(0o755)
    pane = server.open(copy, 120, 40, EDITOR=str(editor), VISUAL="")
    pane.see(ITEM)
    pane.press("e")
    pane.see("> label")
    pane.press("k")
    pane.see("> confidence")
    pane.press("Enter")
    pane.see("Enter keeps what you typed")
    pane.press("C-u", "7", "Enter")
    pane.see("confidence is set")
    pane.press("y")
    pane.see("REFUSED     confidence is 7, but must be at most 1", "refused because of confidence; nothing was stored")
    assert acts(copy) == []
    pane.press("Enter")
    pane.see("Enter keeps what you typed")
    pane.press("C-u", "0.9", "Enter")
    pane.see("confidence is set")
    pane.press("y")
    pane.see("{+0.9+}")
    pane.press("y")
    pane.see("edited desk", "item 2")
    pane.press("/")
    pane.see("only (words")
    pane.press("a third", "Enter")
    pane.see("items that fit: 1", "Net sales")
    pane.press("E")
    pane.see("[-negative-]", "{+neutral+}")
    pane.press("y")
    pane.see("edited desk")
    with ReviewDesk(copy, "anna") as desk:
        said = [one.body["fields"] for one in desk.decisions() if one.act == "edit"]
    assert [(one["label"], one["confidence"]) for one in said] == [("neutral", 0.7375), ("positive", 0.9)]


def test_an_amendment_upstream(server: Server, copy: Path) -> None:
    """It needs a reason, is shown with before and after, and says whose message it corrects."""
    pane = server.open(copy, 120, 40)
    pane.see(ITEM)
    pane.press("l")
    pane.see("> 1 of 6")
    pane.press("j")
    pane.see("> 2 of 6")
    pane.press("e")
    pane.see("EDIT", "SecondMood")
    pane.press("1")
    pane.see("label is set")
    pane.press("y")
    pane.see("[-neutral-]", "{+positive+}")
    pane.press("y")
    pane.see("amended, because >")
    pane.press("an order is good news", "Enter")
    pane.see("y stores it")
    assert acts(copy) == []
    pane.press("y")
    pane.see("amended SecondMood", "an order is good news")
    with ReviewDesk(copy, "anna") as desk:
        (made,) = desk.decisions()
    assert (made.act, made.by, made.body["role"], made.body["why"]) == (
        "amend", "anna", "finance/second", "an order is good news",
    )  # fmt: skip
    assert (made.body["before"], made.body["after"]) == ({"label": "neutral"}, {"label": "positive"})


def test_marks_filter_batch_and_the_other_keys(server: Server, copy: Path) -> None:
    """Enter alone stores nothing; a passage is marked; one undo takes a whole batch back."""
    pane = server.open(copy, 120, 40)
    pane.see(ITEM)
    pane.press("Enter")
    pane.see("Enter does nothing here")
    assert acts(copy) == []
    pane.press("p")
    pane.see("> 1 of 2")
    pane.press("+")
    pane.see("marked report-4 right")
    pane.press("j")
    pane.see("> 2 of 2")
    pane.press("-")
    pane.see("marked press-88 wrong")
    pane.press("BSpace")
    pane.see("1-3 other label")
    pane.press("/")
    pane.see("only (words, flow: node: role: thread:)")
    pane.press("corresponding period", "Enter")
    pane.see("items that fit: 2", "only text 'corresponding period'")
    pane.press("m")
    pane.see("marked desk", "1 marked")
    pane.press("b")
    pane.see("y approve all 2")
    pane.press("y")
    pane.see("approved: 2 at once", "look again")
    assert acts(copy) == ["mark", "mark", "approve", "approve"]
    pane.press("u")
    pane.see("taken back: approve desk", "and 1 more")
    assert acts(copy)[4:] == ["undo", "undo"]
    pane.press("C-c")
    pane.wait(lambda _: pane.asked("pane_dead") == "1", "its end")
    assert pane.asked("pane_dead_status") in ("130", "")  # a busy tmux may see the terminal close first, and lose it


def test_parts_of_a_long_text_and_keys_of_the_form(server: Server, copy: Path, tmp_path: Path) -> None:
    """`>` and `<` turn the parts; `d` leaves a field out; `t` and `r` say what they can do."""
    long = server.open(make_hostile_log(tmp_path / "long.db", "a long text " * 800), 80, 24)
    long.see(ITEM)
    long.press("l")
    long.see("part 1 of 3")
    long.press(">")
    long.see("part 2 of 3")
    long.press("<")
    long.see("part 1 of 3")
    long.press("Escape", "a")
    long.see("r look again")
    long.press("r")
    long.see("looked again")
    form = server.open(copy, 80, 24)
    form.see(ITEM)
    form.press("e")
    form.see("y check and compare")
    form.press("d")
    form.see("label is left out")
    form.press("t")
    form.see("t: not now, there is one type only")
    form.press("y")
    form.see("refused because of label; nothing was stored")
    form.press("Escape")
    form.see("the edit is given up; nothing was stored")
    assert acts(copy) == []
