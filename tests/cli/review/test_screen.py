"""What is drawn: the same words in both modes, whatever the size, and nothing that a terminal would obey."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from coterie.cli.review.page import Page
from coterie.cli.review.plain import told
from coterie.cli.review.screen import Screen
from coterie.cli.review.session import Session
from coterie.cli.review.state import State
from coterie.cli.review.terminal import ascii_only, wants_plain
from coterie.cli.review.views import page_of
from coterie.orchestration.review_items import QueueFilter, ShownMessage
from tests.cli.review.fake_desk import FakeDesk, an_item

NOW = 5000.0
KEYS = {
    "item": "", "lineage": "l", "amend": "le", "proof": "pj", "why": "w", "history": "ah", "keys": "?", "reject": "x",
    "batch": "b", "form": "ej", "diff": "e3y", "done": "byu" "by", "wrong key": "z", "marked": "ms",
}  # fmt: skip


def reached(keys: str, **changes: object) -> State:
    desk = FakeDesk([an_item(number, **changes) for number in range(1, 4)])
    session = Session(desk, "anna", lambda: NOW)
    state = session.open(QueueFilter())
    for key in keys:
        state = session.press(state, key)
    return state


def rows(page: Page, width: int, height: int, scroll: int = 0, *, only_ascii: bool = False) -> tuple[list[str], int]:
    console = Console(file=io.StringIO(), width=width)
    drawn, scrolled = Screen(console, width, height, only_ascii).rows(page, scroll)
    return [row.plain for row in drawn], scrolled


def scrolled_through(page: Page, width: int, height: int) -> Iterator[str]:
    """Every row that can be scrolled to."""
    scroll = rows(page, width, height, -1000)[1]
    while True:
        shown, now = rows(page, width, height, scroll)
        yield from shown
        if now < scroll:
            return
        scroll = now + 1


def words(shown: list[str]) -> set[str]:
    return set(re.findall(r"\w+", " ".join(shown)))


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("view", KEYS)
def test_both_modes_say_the_same_words(view: str, blind: bool) -> None:
    """In every view, to the word."""
    page = page_of(reached(KEYS[view], blind=blind), NOW)
    plain = words(list(told(page)))
    assert plain - words(rows(page, 200, 400)[0]) == {"KEYS", "NOTICE"} & plain
    assert words(rows(page, 200, 400)[0]) - plain == set()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 24)])
@pytest.mark.parametrize("view", KEYS)
def test_every_size_says_everything(view: str, width: int, height: int) -> None:
    """What does not fit can be scrolled to; no row is longer than the screen and there are no more than it has."""
    page = page_of(reached(KEYS[view]), NOW)
    shown, _ = rows(page, width, height)
    assert len(shown) == height
    assert max(map(len, shown)) <= width
    missing = words(list(told(page))) - words(list(scrolled_through(page, width, height)))
    assert missing <= {"KEYS", "NOTICE"}


@pytest.mark.parametrize("view", KEYS)
def test_a_terminal_with_ascii_only_gets_ascii_only(view: str) -> None:
    """No box, no sign; other letters are escapes."""
    proposal = ShownMessage("Draft", 1, "d", {"label": "positive", "text": "caf\u00e9 \u20ac \U0001f600"}, None)
    shown, _ = rows(page_of(reached(KEYS[view], proposal=proposal), NOW), 80, 60, only_ascii=True)
    assert "".join(shown).isascii()


HOSTILE = (
    "\x1b[2J\x1b]0;x\x07 \u202eabc\u2066 \u200b [red]red[/red] \U0001f468\u200d\U0001f469 \u05d0\u05d1 \x9b31m\r\n\x00"
)


@pytest.mark.parametrize("view", KEYS)
def test_hostile_text_is_only_text(view: str) -> None:
    """No escape code, no change of direction, no markup, wherever a message is shown."""
    fields = {"label": HOSTILE, "text": HOSTILE * 3, HOSTILE: 1}
    proposal = ShownMessage(HOSTILE, 1, "d", fields, {"role": HOSTILE, "alternatives": [[HOSTILE, 0.5]]})
    state = reached(KEYS[view], proposal=proposal, why=(HOSTILE,), notes=(HOSTILE,), thread=HOSTILE)
    page = page_of(state, NOW)
    for text in ["\n".join(rows(page, 80, 200)[0]), "\n".join(told(page))]:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text)


def test_markup_is_shown_as_it_is_written() -> None:
    """A bracket is a bracket."""
    proposal = ShownMessage("Draft", 1, "d", {"text": "[red]red[/red] [link=x]"}, None)
    assert any(
        "[red]red[/red] [link=x]" in row for row in rows(page_of(reached("", proposal=proposal), NOW), 80, 40)[0]
    )


def test_a_megabyte_is_cut_and_can_be_read_in_parts() -> None:
    """The item's page says how much is left out and where it is."""
    proposal = ShownMessage("Draft", 1, "d", {"label": "positive", "text": "long words " * 100_000}, None)
    state = reached("", proposal=proposal)
    shown = " ".join(rows(page_of(state, NOW), 80, 100)[0])
    assert "more characters, see" in shown
    assert len(shown) < 20_000


@settings(max_examples=60)
@given(st.text(max_size=200), st.integers(20, 200), st.integers(8, 60), st.integers(-50, 50))
def test_any_text_fits_any_screen(text: str, width: int, height: int, scroll: int) -> None:
    """Never wider or higher than it."""
    proposal = ShownMessage("Draft", 1, "d", {"label": text, "text": text}, None)
    state = reached("", proposal=proposal, why=(text,))
    console = Console(file=io.StringIO(), width=width)
    drawn, _ = Screen(console, width, height, ascii=False).rows(page_of(state, NOW), scroll)
    assert len(drawn) <= height
    assert all(row.cell_len <= width for row in drawn)


def test_a_blind_item_gives_nothing_away() -> None:
    """Neither what is proposed nor what would: rules, similar decisions, citations, upstream answers."""
    for keys in ("", "l", "p", "h", "?"):
        said = "\n".join(told(page_of(reached(keys, blind=True), NOW)))
        assert not re.search("62%|31%|doubt|risk|objects|agrees|decided before|overlap|cited|in 20|less sure", said)
    assert "PROPOSED: hidden - choose first" in "\n".join(told(page_of(reached("", blind=True), NOW)))


def test_a_blind_item_that_the_run_began_with_gives_nothing_away() -> None:
    """Its label is kept back among the fields of the case, too, and so is the message itself."""
    item = an_item(1, blind=True)
    state = reached("", blind=True)
    assert state.case is not None
    start = replace(state.case.lineage[-1], message=item.proposal)
    begun = replace(state, case=replace(state.case, lineage=(start,)))
    assert "positive" not in "\n".join(told(page_of(begun, NOW))).replace("1 positive", "")
    assert "Profit rose" in "\n".join(told(page_of(begun, NOW)))
    assert "label:" not in "\n".join(told(page_of(begun.at("lineage"), NOW)))
    shown = "\n".join(told(page_of(replace(begun, first="neutral"), NOW)))
    assert "CASE: the run began with the proposal itself" in shown


def test_plain_lines_say_only_what_is_new() -> None:
    """A wrong key adds one line."""
    first, second = page_of(reached(""), NOW), page_of(reached("z"), NOW)
    assert [line.split(":")[0] for line in told(second, first)] == ["NOTICE"]


def test_which_terminals_get_lines() -> None:
    """Dumb ones, and those of people who ask for it."""
    assert wants_plain({"TERM": "dumb"})
    assert wants_plain({"TERM": "xterm", "ACCESSIBLE": "1"})


def test_which_terminals_have_ascii_only() -> None:
    """By the locale; what Python makes of LANG=C does not count."""
    assert ascii_only({"LANG": "C", "LC_CTYPE": "C.UTF-8"})
    assert ascii_only({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"})
    assert not ascii_only({"LANG": "de_DE.UTF-8"})
    assert not ascii_only({"LC_CTYPE": "en_US.UTF-8"})
