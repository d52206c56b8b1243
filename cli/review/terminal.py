"""A sitting at a terminal: shows each state, reads a key, and goes on until the reviewer leaves or the terminal goes.

What is stored, and when, is the session's business.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Protocol

from rich.console import Console, Group

from ..text import safe
from . import plain
from .keys import EditorFailed, Keyboard, edited, typed_line
from .page import Page
from .screen import Screen
from .session import Session
from .state import Question, State
from .views import page_of

IDLE = 0.25  # seconds after which the size of the terminal is looked at again
ROWS = 4  # for a line that is typed


class Face(Protocol):
    """A way to show a state and to ask for text."""

    def show(self, state: State) -> State:
        """Draw it, and return it as it is shown: scrolled no further than there is text."""
        ...

    def ask(self, question: Question) -> str | None: ...

    @property
    def resized(self) -> bool: ...


class Painted:
    """The whole screen, painted anew after each key."""

    def __init__(self, console: Console, keyboard: Keyboard, *, ascii_only: bool) -> None:
        self._console, self._keyboard, self._ascii = console, keyboard, ascii_only
        self._size = console.size

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The other screen of the terminal, which leaves what was there as it was."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def show(self, state: State) -> State:
        self._size = self._console.size
        screen = Screen(self._console, self._size.width, self._size.height, self._ascii)
        rows, scroll = screen.rows(page_of(state, time.time()), state.scroll)
        with self._console.capture() as captured:
            self._console.print(Group(*rows), end="", no_wrap=True, overflow="crop", crop=True)
        painted = captured.get().removesuffix("\n").split("\n")
        self._write("\x1b[H" + "\r\n".join(f"\x1b[2K{row}" for row in painted))
        return replace(state, scroll=scroll)

    def ask(self, question: Question) -> str | None:
        if question.name == "editor":
            self._leave()
            try:
                with self._keyboard.cooked():
                    return edited(question.text)
            finally:
                self._enter()
        self._write(
            f"\x1b[{max(1, self._size.height - ROWS + 1)};1H\x1b[JEnter keeps what you typed, esc gives it up.\r\n"
        )
        self._write("\x1b[?25h")
        try:
            return typed_line(question.prompt, question.text)
        finally:
            self._write("\x1b[?25l\x1b[?2004h")

    @property
    def resized(self) -> bool:
        return self._console.size != self._size

    def _enter(self) -> None:
        self._write("\x1b[?1049h\x1b[?25l\x1b[?2004h")  # other screen, no cursor, a paste comes as one key

    def _leave(self) -> None:
        self._write("\x1b[?2004l\x1b[?25h\x1b[?1049l")

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


class Told:
    """Lines that are added and never change."""

    def __init__(self, console: Console, keyboard: Keyboard) -> None:
        self._console, self._keyboard = console, keyboard
        self._before: Page | None = None

    def show(self, state: State) -> State:
        page = page_of(state, time.time())
        for row in plain.told(page, self._before):
            self._write(f"{row}\n")
        self._before = page
        return replace(state, scroll=0)

    def ask(self, question: Question) -> str | None:
        with self._keyboard.cooked():
            if question.name == "editor":
                return edited(question.text)
            if question.name == "filter":
                self._write("A space shows all items.\n")
            if question.text:
                self._write(f"NOW: {safe(question.text, len(question.text))}\nAn empty line keeps it.\n")
            try:
                return input(f"{question.prompt} > ") or question.text
            except (EOFError, KeyboardInterrupt):
                return None

    @property
    def resized(self) -> bool:
        return False

    def _write(self, text: str) -> None:
        encoding = getattr(self._console.file, "encoding", None) or "utf-8"
        self._console.file.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._console.file.flush()


def sit(session: Session, state: State, face: Face, keyboard: Keyboard) -> tuple[State, bool]:
    """Until the reviewer leaves; whether by Ctrl-C, or because the terminal has gone."""
    key: str | None = ""
    with keyboard.raw(), _ends_cleanly():
        while not state.ended:
            state = face.show(state)
            if state.question is not None:
                state = _asked(session, state, face, state.question)
                continue
            if not keyboard.pressed:
                state = session.prepare(state)
            key = _key(keyboard, face)
            if key is None:
                return state, True
            if key:
                before = state.item
                state = session.press(state, key)
                if state.item is not before and (
                    before is None or state.item is None or state.item.place != before.place
                ):
                    keyboard.forget()
    return state, key == "c-c"


def _key(keyboard: Keyboard, face: Face) -> str | None:
    """The next key; "" where the terminal has another size now."""
    while not face.resized:
        key = keyboard.read(IDLE)
        if key != "":
            return key
    return ""


def _asked(session: Session, state: State, face: Face, question: Question) -> State:
    try:
        return session.told(state, face.ask(question))
    except EditorFailed as error:
        return replace(state, question=None).says(str(error), "bad")


@contextmanager
def _ends_cleanly() -> Iterator[None]:
    """A closed terminal or a polite kill ends the program as if it returned, so that the terminal is put right."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wants_plain(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal, or its user, asks for lines instead of a screen."""
    dumb = environment.get("TERM", "dumb") in ("dumb", "unknown", "")
    return dumb or environment.get("ACCESSIBLE", "0") not in ("", "0") or not sys.stdout.isatty()


def ascii_only(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the locale has no other characters; where it is C, Python sets LC_CTYPE itself, so that says little."""
    told = environment.get("LC_ALL") or environment.get("LANG") or ""
    if not told and environment.get("LC_CTYPE") != "C.UTF-8":
        told = environment.get("LC_CTYPE", "")
    return "utf" not in told.lower()
