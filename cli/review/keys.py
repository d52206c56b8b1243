"""Single keys from a terminal, and text: a line that is typed, or a file in an editor. Knows nothing of reviews."""

import os
import select
import shlex
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from ...agents.errors import CoterieError
from ..text import safe

ESCAPE = 0.05  # seconds after which an escape is the key, not the beginning of another one
EDITORS = ("nano", "vi")


class EditorFailed(CoterieError, RuntimeError):
    """The editor could not be run, so nothing was changed."""


class Keyboard:
    """The keys of the terminal that is the process's input."""

    def __init__(self, source: Input | None = None) -> None:
        self._input = source if source is not None else create_input()
        self._waiting: deque[str] = deque()

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Keys come one by one and are not echoed, and Ctrl-C is one of them."""
        with self._input.raw_mode():
            yield

    @contextmanager
    def cooked(self) -> Iterator[None]:
        """The terminal as other programs want it."""
        with self._input.cooked_mode():
            yield

    def read(self, seconds: float) -> str | None:
        """The next key; "" where none is pressed within `seconds`; None where the terminal is gone."""
        if not self._waiting and self._ready(seconds):
            self._take()
            if not self._waiting and self._input.closed:
                return None
        return self._waiting.popleft() if self._waiting else ""

    @property
    def pressed(self) -> bool:
        """Whether a key waits to be read."""
        return bool(self._waiting) or self._ready(0)

    def forget(self) -> None:
        """Drop the keys that were pressed already: what they were meant for is no longer shown."""
        if self._ready(0):
            self._take()
        self._waiting.clear()

    def _take(self) -> None:
        found = self._input.read_keys()
        if not found and not self._input.closed and not self._ready(ESCAPE):
            found = self._input.flush_keys()
        self._waiting.extend(one.key.value if isinstance(one.key, Keys) else one.key for one in found)

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._input.fileno()], [], [], seconds)[0])


def typed_line(prompt: str, text: str) -> str | None:
    """A line that is typed, from `text` on; None: given up."""
    bindings = KeyBindings()
    bindings.add("escape")(_give_up)
    session: PromptSession[str | None] = PromptSession(key_bindings=bindings)
    session.app.timeoutlen = session.app.ttimeoutlen = ESCAPE
    try:
        return session.prompt(f"{safe(prompt, 200)} > ", default=text)
    except (EOFError, KeyboardInterrupt):
        return None


def _give_up(event: KeyPressEvent) -> None:
    event.app.exit(result=None)


def edited(text: str) -> str | None:
    """`text` as it is when the editor ends; None: unchanged.

    Raises:
        EditorFailed: there is no editor, or it ends with an error.
    """
    found = os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, EDITORS), None)
    if found is None:
        raise EditorFailed("no editor was found; set EDITOR, or edit field by field (e)")
    with tempfile.TemporaryDirectory(prefix="coterie-") as folder:
        path = Path(folder, "message.json")
        path.write_text(text, encoding="utf-8")
        try:
            ended = subprocess.run([*shlex.split(found), str(path)], check=False)  # noqa: S603 the user's own editor
        except (OSError, ValueError) as error:
            raise EditorFailed(f"the editor {found!r} cannot be run ({error}); set EDITOR to one that can") from error
        if ended.returncode != 0:
            raise EditorFailed(f"the editor {found!r} ended with code {ended.returncode}, so its text is not taken")
        changed = path.read_text(encoding="utf-8", errors="replace")
    return None if changed == text else changed
