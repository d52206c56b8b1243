"""How a command ends: its exit code, and one clear sentence where it failed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from ..agents.errors import CoterieError
from .text import safe


class Exit(IntEnum):
    """Exit codes of every command; they do not change between versions."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    BAD_INPUT = 3
    WAITING = 4  # for a person
    INTERRUPTED = 130


EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad input, 4 waits for a person, 130 interrupted."


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turns what Coterie raises on purpose into a sentence on standard error and an exit code.

    With COTERIE_TRACEBACK=1 the traceback is shown instead.
    """
    try:
        yield
    except CoterieError as error:
        if os.environ.get("COTERIE_TRACEBACK") == "1":
            raise
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", Exit.INTERRUPTED)


def fail(sentence: str, code: Exit = Exit.FAILED) -> NoReturn:
    """Say why and end the command with `code`."""
    console = Console(stderr=True)
    for line in sentence.splitlines() or [""]:
        console.print(Text(safe(line), style="red"), soft_wrap=True)
    raise typer.Exit(code)


def leave(code: Exit) -> NoReturn:
    """End the program now, even if native code still runs in another thread; what was printed is kept.

    A model's thread cannot be stopped inside a matrix product, and an interpreter that waits for it would not end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
