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
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sqlalchemy import Connection

from ..agents.errors import CoterieError
from . import queries
from .crash_child import Acted, Backend, Begun, Entry, Kill, Program, Returned, Told, entries, perform
from .database import Database, url_of
from .fault_points import POINTS, Point
from .queries import RunFilter, RunSummary, ShownFact

PRELOADED = ("__main__", "coterie.orchestration.crash_child", "coterie.orchestration.database_log")
ALLOWS_ANOTHER = ("task-failed", "effect-settled")  # facts after which a node with an effect may be called again


class CrashTrialError(CoterieError):
    """A program cannot be tried, because it does not come to its end even where nothing kills it."""


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """What became of a program that was killed at one place and then performed again. Each text is for people."""

    point: Point
    occurrence: int  # from 1
    lost: tuple[str, ...] = ()  # facts that somebody had been told, and that the log did not keep
    halves: tuple[str, ...] = ()  # rows that do not fit each other, as `coterie verify` words it
    again: tuple[str, ...] = ()  # finished tasks that ran again
    repeated: tuple[str, ...] = ()  # declared effects that happened again without a word
    left: tuple[str, ...] = ()  # runs that had not ended in the end
    failed: str | None = None  # why the program did not come to its end
    same: bool = True  # whether it returned what it returns where nothing kills it

    @property
    def sound(self) -> bool:
        return self.same and not any((self.lost, self.halves, self.again, self.repeated, self.left, self.failed))

    def __str__(self) -> str:
        told = [f"{name} {texts}" for name in ("lost", "halves", "again", "repeated", "left") if (texts := getattr(self, name))]
        told += [self.failed] if self.failed else []
        told += [] if self.same else ["another result"]
        return f"{self.point} {self.occurrence}: {'; '.join(told) or 'sound'}"


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
    log: Callable[[Path], str] = in_a_file,
    backend: Backend = "asyncio",
    patience: float = 60.0,
) -> CrashReport:
    """Kill `program` at every occurrence of `points`, perform it again, and say what that did.

    Args:
        program: a function at the top level of a module; it starts its runs with `key=`, so that they go on when it is
            performed again, and answers what they ask people. It is performed in a folder of its own.
        folder: where those folders are made.
        log: gives the log for each of them, an empty one.
        patience: seconds that one process may take.

    Raises:
        CrashTrialError: the program does not come to its end where nothing kills it.
    """
    trial = _Trial(program, folder, log, backend, patience)
    expected = trial.uninterrupted()
    return CrashReport(tuple(found for point in points for found in trial.killed_at(point, expected)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A log as it stands."""

    faults: Sequence[str]
    runs: Sequence[RunSummary]
    facts: Mapping[str, Sequence[ShownFact]]


@dataclass(frozen=True, slots=True)
class _Performed:
    """One process, from its begin to its end, and the log as it left it."""

    exit_code: int | None  # None: it took too long
    journal: Sequence[Entry]
    log: _Seen

    @property
    def returned(self) -> Returned | None:
        return next((entry for entry in self.journal if isinstance(entry, Returned)), None)

    @property
    def failure(self) -> str | None:
        if self.exit_code == 0 and self.returned is not None:
            return None
        how = "took too long" if self.exit_code is None else f"ended with exit code {self.exit_code}"
        return f"the process {how}; what it printed says more"


@dataclass(frozen=True, slots=True)
class _Trial:
    program: Program
    folder: Path
    log: Callable[[Path], str]
    backend: Backend
    patience: float

    def uninterrupted(self) -> Returned:
        """What the program returns where nothing kills it."""
        performed = self._perform(*self._place("uninterrupted"), "journal", None)
        if performed.returned is None or performed.failure is not None:
            raise CrashTrialError(f"{self.program.__qualname__!r} cannot be tried: {performed.failure}")
        return performed.returned

    def killed_at(self, point: Point, expected: Returned) -> Iterator[CrashPoint]:
        """Kills at the first occurrence of `point`, the second, and so on, until there is none."""
        for occurrence in count(1):
            folder, log = self._place(f"{point}-{occurrence}")
            killed = self._perform(folder, log, "killed", Kill(point, occurrence))
            if killed.exit_code == 0:
                return
            yield _judged(point, occurrence, killed, self._perform(folder, log, "resumed", None), expected)

    def _place(self, name: str) -> tuple[Path, str]:
        folder = (self.folder / name).resolve()
        folder.mkdir(parents=True)
        return folder, self.log(folder)

    def _perform(self, folder: Path, log: str, name: str, kill: Kill | None) -> _Performed:
        journal = folder / f"{name}.journal"
        process = _fresh_processes(self.program).Process(
            target=perform, args=(self.program, log, str(folder), str(journal), kill, self.backend)
        )
        process.start()
        process.join(self.patience)
        exit_code = process.exitcode
        if exit_code is None:
            process.kill()
            process.join()
        process.close()
        return _Performed(exit_code, entries(journal), _seen(log, folder / f"{name}.seen"))


def _fresh_processes(program: Program) -> multiprocessing.context.BaseContext:
    """Makes processes that inherit nothing; where the system can, from one that has imported already what they need."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, program.__module__])
    return context


def _seen(log: str, copied: Path) -> _Seen:
    """Reads a log; of a file, a copy, so that the next process finds it as the last one left it."""
    url = url_of(log)
    if url.get_backend_name() == "sqlite":
        original = Path(str(url.database))
        copied.mkdir()
        for file in (original, original.with_name(f"{original.name}-wal")):
            if file.exists():
                shutil.copy(file, copied)
        log = str(copied / original.name)
    database = Database(log)
    try:
        return database.read(_read)
    finally:
        database.close()
        shutil.rmtree(copied, ignore_errors=True)


def _read(connection: Connection) -> _Seen:
    faults = queries.verify(connection).faults
    runs = queries.list_runs(connection, RunFilter())
    return _Seen(faults, runs, {} if faults else {run.id: queries.show(connection, run.id) for run in runs})


def _judged(point: Point, occurrence: int, killed: _Performed, resumed: _Performed, expected: Returned) -> CrashPoint:
    return CrashPoint(
        point,
        occurrence,
        lost=tuple(_lost(killed.journal, killed.log, resumed.log)) + tuple(_lost(resumed.journal, resumed.log, resumed.log)),
        halves=tuple(dict.fromkeys((*killed.log.faults, *resumed.log.faults))),
        again=tuple(_again(killed, resumed)),
        repeated=tuple(_repeated((*killed.journal, *resumed.journal), resumed.log)),
        left=tuple(run.id for run in resumed.log.runs if run.state in ("running", "waiting")),
        failed=resumed.failure,
        same=resumed.returned == expected,
    )


def _lost(journal: Sequence[Entry], before: _Seen, after: _Seen) -> Iterator[str]:
    """Facts that were told and are not in the log `before`, or not any more `after`."""
    for entry in journal:
        if isinstance(entry, Told):
            kept = [_fact(seen, entry.run, entry.seq) for seen in (before, after)]
            if kept[0] is None or kept[0].kind != entry.kind or kept[0] != kept[1]:
                yield f"run {entry.run!r}, fact {entry.seq}, {entry.kind}"


def _fact(seen: _Seen, run: str, seq: int) -> ShownFact | None:
    facts = seen.facts.get(run, ())
    return facts[seq - 1] if seq <= len(facts) else None


def _again(killed: _Performed, resumed: _Performed) -> Iterator[str]:
    finished = {
        (run, fact.task) for run, facts in killed.log.facts.items() for fact in facts if fact.kind == "task-finished"
    }
    for entry in resumed.journal:
        if isinstance(entry, Begun) and (entry.run, entry.task) in finished:
            yield f"run {entry.run!r}, {entry.task}"


def _repeated(journal: Sequence[Entry], log: _Seen) -> Iterator[str]:
    """Effects that happened more often than the log has intents, or again without anybody having allowed it."""
    called = Counter((entry.run, entry.task) for entry in journal if isinstance(entry, Acted))
    for (run, task), times in called.items():
        facts = [fact for fact in log.facts.get(run, ()) if fact.task == task]
        intents = [fact.fields["key"] for fact in facts if fact.kind == "effect-intended"]
        asked = any(fact.kind == "effect-unknown" for fact in facts)
        allowed = 1 + sum(fact.kind in ALLOWS_ANOTHER and not fact.fields.get("happened") for fact in facts)
        if times > len(intents) or len(set(intents)) > 1 or (asked and times > allowed):
            yield f"run {run!r}, {task}, {times} times"
