"""A tmux server of its own for a test, and what its panes show."""

import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LONGEST = 40.0  # seconds until text that should be shown is given up
SETTINGS = "set -g remain-on-exit on\nset -g default-terminal screen-256color\nset -sg escape-time 0\n\
set -g history-limit 20000\nset -g status off\n\
set -g exit-empty off\n"


class Server:
    """`tmux -L <name>`: ended by `close`, with all that runs in it."""

    def __init__(self, folder: Path) -> None:
        self._name = f"coterie-{uuid.uuid4().hex[:12]}"
        self._folder = folder
        self._settings = folder / f"{self._name}.conf"
        self._settings.write_text(SETTINGS)

    def open(self, log: Path, width: int, height: int, *options: str, **environment: str) -> "Pane":
        """A pane in which a reviewer sits down."""
        told = [f"{name}={value}" for name, value in {"LC_ALL": "C.UTF-8", **environment}.items()]
        review = [sys.executable, "-m", "coterie.cli", "review", "--log", str(log), "--by", "anna", *options]
        command = shlex.join(["exec", "env", *told, *review])
        name = uuid.uuid4().hex[:8]
        self.tell("new-session", "-d", "-s", name, "-x", str(width), "-y", str(height), command)
        return Pane(self, name, command)

    def tell(self, *words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR", "COLUMNS")}
        started = ["tmux", "-u", "-L", self._name, "-f", str(self._settings), *words]
        done = subprocess.run(started, capture_output=True, check=False, env=environment, timeout=30)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False, timeout=30)


@dataclass
class Pane:
    """One terminal."""

    server: Server
    name: str
    command: str

    def press(self, *keys: str) -> None:
        """Keys by their names in tmux; a text of more letters is typed."""
        for key in keys:
            named = key in ("Enter", "Escape", "Space", "BSpace", "PageUp") or key.startswith("C-")
            self.server.tell("send-keys", "-t", self.name, *([] if named else ["-l"]), key)

    def shown(self, *, history: bool = False) -> str:
        """The rows of the screen; with `history` all that ever was on it, in unbroken lines."""
        more = ["-J", "-S", "-"] if history else []
        return self.server.tell("capture-pane", "-p", "-t", self.name, *more)

    def see(self, *texts: str, history: bool = False) -> str:
        """The screen as soon as all of `texts` are on it."""
        return self.wait(lambda shown: all(text in shown for text in texts), f"{texts}", history=history)

    def wait(self, fits: Callable[[str], bool], what: str = "", *, history: bool = False) -> str:
        end = time.monotonic() + LONGEST
        while not fits(shown := self.shown(history=history)):
            assert time.monotonic() < end, f"{what} is not shown:\n{shown[-6000:]}"
            time.sleep(0.03)
        return shown

    def asked(self, wanted: str) -> str:
        """One of tmux's variables for the pane."""
        return self.server.tell("display-message", "-p", "-t", self.name, f"#{{{wanted}}}").strip()

    def again(self) -> None:
        """The same command in the same pane, whatever became of the last."""
        self.server.tell("respawn-pane", "-k", "-t", self.name, self.command)
