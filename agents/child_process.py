"""Running a program and watching it, so that whatever ends the caller ends the program too.

This file knows nothing of what is run.
"""

import atexit
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .errors import CheckpointError

TICK = 0.1  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    code: int
    said: str  # what it wrote, errors included

    @property
    def last_line(self) -> str:
        """The last thing that it said."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return lines[-1] if lines else f"nothing, but ended with code {self.code}"


def run_watched(command: Sequence[str], environment: Mapping[str, str], tick: Callable[[], None]) -> Ended:
    """Runs `command` to its end and calls `tick` ten times a second. An exception, Ctrl-C too, kills it. Blocks."""
    with subprocess.Popen(  # noqa: S603 -- callers write the command themselves
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        atexit.register(process.kill)  # a daemon thread, such as trio's, is not told that the program ends
        try:
            while True:
                try:
                    said, _ = process.communicate(timeout=TICK)
                    return Ended(process.returncode, said)
                except subprocess.TimeoutExpired:
                    check_still_wanted()
                    tick()
        except BaseException:
            process.kill()
            raise
        finally:
            atexit.unregister(process.kill)


def check_still_wanted() -> None:
    """Raises CheckpointError in a worker thread that outlives the main one: an ending program must not wait for it."""
    if not threading.main_thread().is_alive():
        raise CheckpointError("the program is ending, so nothing more is fetched")
