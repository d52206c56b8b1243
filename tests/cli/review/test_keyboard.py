"""A sitting at a real terminal device: keys, Ctrl-C, a closed terminal, a kill, an editor."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
PATH = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))


class Terminal:
    """A terminal of 80 columns and 24 rows with a reviewer's process in it."""

    def __init__(self, decisions: Path, environment: dict[str, str]) -> None:
        self.decisions = decisions
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.review.child", str(decisions)],
            stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, cwd=REPOSITORY, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8", "PYTHONPATH": PATH, **environment},
        )  # fmt: skip
        os.set_blocking(self.ours, False)
        self.shown = ""

    def wait(self, for_what: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not for_what():
            self.read()
            assert time.monotonic() < end, self.shown[-3000:]
            time.sleep(0.02)

    def see(self, text: str) -> None:
        self.wait(lambda: text in self.shown)
        self.shown = self.shown[self.shown.rindex(text) + len(text) :]

    def read(self) -> None:
        try:
            self.shown += os.read(self.ours, 100_000).decode(errors="replace")
        except (BlockingIOError, OSError):
            return

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def ended(self) -> int:
        self.wait(lambda: self.process.poll() is not None)
        self.read()
        return int(self.process.returncode)

    @property
    def stored(self) -> list[str]:
        return self.decisions.read_text().split() if self.decisions.exists() else []


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def open_one(**environment: str) -> Terminal:
        terminals.append(Terminal(tmp_path / "decisions", environment))
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        os.close(terminal.ours)
        os.close(terminal.theirs)


def same(before: list[Any], after: list[Any]) -> bool:
    return bool(before[:4] == after[:4])


def test_keys_decide_and_the_terminal_is_left_as_it_was(opened: Callable[..., Terminal]) -> None:
    """What was on the screen comes back, with its cursor and its echo."""
    terminal = opened()
    terminal.see("item 1")
    terminal.press("a")
    terminal.see("item 2")
    assert terminal.stored == ["approve"]
    terminal.press("q")
    assert terminal.ended() == 0
    assert terminal.shown.index("\x1b[?1049l") < terminal.shown.index("goodbye")
    assert same(terminal.before, termios.tcgetattr(terminal.theirs))


@pytest.mark.parametrize(("end", "code"), [("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_every_end_is_clean(opened: Callable[..., Terminal], end: str | signal.Signals, code: int) -> None:
    """Ctrl-C, a polite kill, a terminal that is closed: what was stored stays, the terminal is put right."""
    terminal = opened()
    terminal.see("item 1")
    terminal.press("3")
    terminal.see("item 2")
    if isinstance(end, str):
        terminal.press(end)
    else:
        terminal.process.send_signal(end)
    assert terminal.ended() == code
    assert terminal.stored == ["choose"]
    assert "Traceback" not in terminal.shown
    assert same(terminal.before, termios.tcgetattr(terminal.theirs))


def test_a_held_key_does_not_decide_what_was_not_shown(opened: Callable[..., Terminal]) -> None:
    """Keys that were pressed before an item was there are not for it; a paste is one key that does nothing."""
    terminal = opened()
    terminal.see("item 1")
    terminal.press("\x1b[200~aaaa\x1b[201~")
    terminal.see("does nothing here")
    assert terminal.stored == []
    terminal.press("aaaa")
    terminal.see("item 2")
    terminal.press("q")
    terminal.ended()
    assert terminal.stored == ["approve"]


def test_lines_for_those_who_want_lines(opened: Callable[..., Terminal]) -> None:
    """Nothing moves the cursor; text is typed as anywhere."""
    terminal = opened(ACCESSIBLE="1")
    terminal.see("KEYS:")
    terminal.press("x")
    terminal.see("REJECT:")
    terminal.press("t")
    terminal.see("because > ")
    terminal.press("it is rude\n")
    terminal.see("NOTICE: rejected")
    terminal.press("q")
    assert terminal.ended() == 0
    assert terminal.stored == ["reject"]
    assert "\x1b" not in terminal.shown


def test_an_edit_in_an_editor(opened: Callable[..., Terminal], tmp_path: Path) -> None:
    """The whole message as JSON; its changes are shown before they are stored."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/positive/negative/ "$1"\n')
    editor.chmod(0o755)
    terminal = opened(EDITOR=str(editor), VISUAL="")
    terminal.see("item 1")
    terminal.press("E")
    terminal.see("[-positive-]")
    assert terminal.stored == []
    terminal.press("y")
    terminal.see("item 2")
    assert terminal.stored == ["edit"]


def test_an_editor_that_is_not_there(opened: Callable[..., Terminal]) -> None:
    """It says so, and the sitting goes on."""
    terminal = opened(EDITOR="/nowhere/editor", VISUAL="")
    terminal.see("item 1")
    terminal.press("E")
    terminal.see("cannot be run")
    terminal.press("\x1b")
    terminal.see("nothing was stored")
    assert terminal.stored == []


def test_a_field_is_typed_on_the_screen(opened: Callable[..., Terminal]) -> None:
    """From what it holds; escape gives it up."""
    terminal = opened()
    terminal.see("item 1")
    terminal.press("ej\r")
    terminal.see("text >")
    terminal.press(" and more\r")
    terminal.see("text is set")
    terminal.press("y")
    terminal.see("{+and more+}")
    terminal.press("y")
    terminal.see("item 2")
    assert terminal.stored == ["edit"]
