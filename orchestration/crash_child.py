"""The process that `crash_points` kills: performs a program, and journals outside the log what it does and is told.

A killed process loses nothing that it has written to a file, so the journal is not flushed to the disk. This file
knows nothing of what the journal is compared with.
"""

import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import anyio
from pydantic_core import from_json, to_json

from ..agents.messages import Message
from . import fault_points
from .attempt import INTENDED
from .events import NAMES
from .fault_points import Point
from .runtime import Runtime
from .state import Task

Program: TypeAlias = Callable[[Runtime], Awaitable[Message]]
"""What is tried: a function at the top level of a module. Performed again, it must go on with what it began."""

Backend: TypeAlias = Literal["asyncio", "trio"]
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows, either ends the process at once


class Kill(NamedTuple):
    """Where a process is killed."""

    point: Point
    occurrence: int  # from 1

    def __str__(self) -> str:
        return f"{self.point} {self.occurrence}"


class Begun(NamedTuple):
    """An attempt of a task began."""

    run: str
    task: str


class Acted(NamedTuple):
    """A node that declares an effect was called."""

    run: str
    task: str
    effect: str


class Told(NamedTuple):
    """Whoever waits for it could know of a fact."""

    run: str
    seq: int
    kind: str


class Returned(NamedTuple):
    """The program came to its end."""

    kind: str
    message: str  # as JSON


Entry: TypeAlias = Begun | Acted | Told | Returned
ENTRIES: dict[str, type[Any]] = {kind.__name__: kind for kind in (Begun, Acted, Told, Returned)}


def perform(program: Program, log: str, folder: str, journal: str, kill: Kill | None, backend: Backend) -> None:
    """Perform `program` in this process, in `folder`, and end the process at `kill`."""
    os.chdir(folder)
    handle = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    watcher = _Watcher(handle, kill)
    fault_points.watch(watcher)
    anyio.run(_perform, program, log, watcher, backend=backend)


def entries(journal: Path) -> Sequence[Entry]:
    """What a process has journaled."""
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    return [ENTRIES[kind](*fields) for kind, *fields in map(from_json, lines)]


async def _perform(program: Program, log: str, watcher: "_Watcher") -> None:
    async with Runtime(log=log) as runtime:
        message = await program(runtime)
        watcher.write(Returned(type(message).__name__, message.model_dump_json()))


class _Watcher:
    """Journals what is reached, and ends the process where it is told to."""

    def __init__(self, handle: int, kill: Kill | None) -> None:
        self._handle = handle
        self._kill = kill
        self._reached: Counter[Point] = Counter()
        self._run_of: dict[Task, str] = {}

    def __call__(self, point: Point, about: tuple[Any, ...]) -> None:
        match point, about:
            case "attempt-begins", (run, task):
                self._run_of[task] = run
                self.write(Begun(run, task.id))
            case "node-called", (task,) if (effect := task.flow.policies[task.node].effect) in INTENDED:
                self.write(Acted(self._run_of[task], task.id, effect))
            case "told", (facts,):
                for fact in facts:
                    self.write(Told(fact.run, fact.seq, NAMES[type(fact)]))
            case _:
                pass
        self._reached[point] += 1
        if self._kill == (point, self._reached[point]):
            os.kill(os.getpid(), KILL)

    def write(self, entry: Entry) -> None:
        os.write(self._handle, to_json((type(entry).__name__, *entry)) + b"\n")
