"""`crash_points`: what a program loses, repeats or leaves half done if its process is killed at each of its writes.

The program is performed in a process of its own, which is killed with SIGKILL at a place that fault_points.py names: at
its first occurrence, then at its second, and so on until it lives to its end. After each kill the program is performed
again by a new process, which has to go on where the other one was.

    async def desk(runtime: Runtime) -> Message:  # at the top level of a module
        run = await runtime.start(flow, Question(text="…"), key="trial")
        return await run.result()

    report = crash_points(desk, folder)
    assert report.sound, str(report)

After all-pairs crash testing as in T. S. Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, with named
places instead of system calls.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import get_args

from ..agents.errors import CoterieError
from .crash_child import Backend, Kill, Program, Returned, entries, perform
from .crash_verdict import CrashPoint, Performed, judged, seen
from .fault_points import POINTS, Point

PRELOADED = ("__main__", "coterie.orchestration.crash_child", "coterie.orchestration.database_log")
AT_ONCE = 4  # processes at the same time


class CrashTrialError(CoterieError):
    """A program cannot be tried, because it does not come to its end even where nothing kills it."""


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What became of a program at every place at which it was killed."""

    points: tuple[CrashPoint, ...]

    @property
    def sound(self) -> bool:
        return all(point.sound for point in self.points)

    def __str__(self) -> str:
        unsound = [str(point) for point in self.points if not point.sound]
        return "\n".join([f"{len(self.points)} kills, {len(unsound)} with consequences", *unsound])


def in_a_file(folder: Path) -> str:
    """A log in SQLite, in `folder`."""
    return str(folder / "log.db")


def crash_points(
    program: Program,
    folder: Path,
    *,
    points: Sequence[Point] = POINTS,
    after: Sequence[Kill] = (),
    log: Callable[[Path], str] = in_a_file,
    backend: Backend = "asyncio",
    patience: float = 60.0,
) -> CrashReport:
    """Kill `program` at every occurrence of `points`, perform it again, and say what that did.

    Args:
        program: a function at the top level of a module; it starts its runs with `key=`, so that they go on when it is
            performed again, and answers what they ask people. It is performed in a folder of its own.
        folder: where those folders are made.
        after: kills that come first, one for each process; what goes on after them is killed at `points`.
        log: gives the log for each of them, an empty one.
        patience: seconds that one process may take.

    Raises:
        CrashTrialError: the program does not come to its end where nothing kills it.
    """
    trial = _Trial(program, folder, log, backend, patience)
    expected = trial.uninterrupted()
    return CrashReport(tuple(found for point in points for found in trial.killed_at(tuple(after), point, expected)))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one trial takes place."""

    folder: Path
    log: str


@dataclass(frozen=True, slots=True)
class _Trial:
    program: Program
    folder: Path
    log: Callable[[Path], str]
    backend: Backend
    patience: float

    def uninterrupted(self) -> Returned:
        """What the program returns where nothing kills it."""
        (place,) = self._places(["uninterrupted"])
        (performed,) = self._perform([place], "journal", [None])
        if performed.returned is None or performed.failure is not None:
            raise CrashTrialError(f"{self.program.__qualname__!r} cannot be tried: {performed.failure}")
        return performed.returned

    def killed_at(self, after: tuple[Kill, ...], point: Point, expected: Returned) -> Iterator[CrashPoint]:
        """Kills at the first occurrence of `point`, the second, and so on, until there is none."""
        for first in count(1, AT_ONCE):
            trials = [(*after, Kill(point, first + more)) for more in range(AT_ONCE)]
            places = self._places(["-then-".join(map(str, kills)).replace(" ", "-") for kills in trials])
            lives = [
                self._perform(places, f"life-{number}", kills) for number, kills in enumerate(zip(*trials, strict=True))
            ]
            lives.append(self._perform(places, "last-life", [None] * AT_ONCE))
            for kills, performed in zip(trials, zip(*lives, strict=True), strict=True):
                if performed[len(after)].exit_code == 0:
                    return
                yield judged(kills, performed, expected)

    def _places(self, names: Sequence[str]) -> list[_Place]:
        folders = [(self.folder / name).resolve() for name in names]
        for folder in folders:
            folder.mkdir(parents=True)
        return [_Place(folder, self.log(folder)) for folder in folders]

    def _perform(self, places: Sequence[_Place], name: str, kills: Sequence[Kill | None]) -> list[Performed]:
        """Performs the program in each of `places` at the same time."""
        processes = [self._process(place, name, kill) for place, kill in zip(places, kills, strict=True)]
        for process in processes:
            process.start()
        return [
            Performed(
                _exit_code(process, self.patience),
                entries(place.folder / f"{name}.journal"),
                seen(place.log, place.folder / f"{name}.seen"),
            )
            for process, place in zip(processes, places, strict=True)
        ]

    def _process(self, place: _Place, name: str, kill: Kill | None) -> BaseProcess:
        journal = str(place.folder / f"{name}.journal")
        arguments = (self.program, place.log, str(place.folder), journal, kill, self.backend)
        return process_maker(self.program.__module__)(target=perform, args=arguments)


def _exit_code(process: BaseProcess, patience: float) -> int | None:
    """How the process ends; None: it had to be ended, after `patience` seconds."""
    process.join(patience)
    exit_code = process.exitcode
    if exit_code is None:
        process.kill()
        process.join()
    process.close()
    return exit_code


def process_maker(module: str) -> Callable[..., BaseProcess]:
    """Makes processes that inherit nothing; where the system can, from one that has imported already what they need.

    Args:
        module: what they need besides Coterie.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn").Process
    context = multiprocessing.get_context("forkserver")
    backends = (f"anyio._backends._{name}" for name in get_args(Backend))
    context.set_forkserver_preload([*PRELOADED, *backends, module])
    return context.Process
