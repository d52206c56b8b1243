"""What became of a program that was killed: what it did and was told, from its journals, compared with its log.

This file knows nothing of how processes are made and killed.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Connection

from . import queries
from .crash_child import KILL, Acted, Begun, Entry, Kill, Returned, Told
from .database import Database, url_of
from .queries import RunFilter, RunSummary, ShownFact

ALLOWS_ANOTHER = ("task-failed", "effect-settled")  # facts after which a node with an effect may be called again


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """What became of a program that was killed and then performed again until its end. Each text is for people."""

    kills: tuple[Kill, ...]  # one for each process that was killed, in order
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
        told = [
            f"{name} {texts}"
            for name in ("lost", "halves", "again", "repeated", "left")
            if (texts := getattr(self, name))
        ]
        told += [self.failed] if self.failed else []
        told += [] if self.same else ["another result"]
        return f"{', then '.join(map(str, self.kills))}: {'; '.join(told) or 'sound'}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A log as it stands."""

    faults: Sequence[str]
    runs: Sequence[RunSummary]
    facts: Mapping[str, Sequence[ShownFact]]


@dataclass(frozen=True, slots=True)
class Performed:
    """One process, from its begin to its end, and the log as it left it."""

    exit_code: int | None  # None: it took too long
    journal: Sequence[Entry]
    log: Seen

    @property
    def returned(self) -> Returned | None:
        return next((entry for entry in self.journal if isinstance(entry, Returned)), None)

    @property
    def failure(self) -> str | None:
        if self.exit_code == 0 and self.returned is not None:
            return None
        how = "took too long" if self.exit_code is None else f"ended with exit code {self.exit_code}"
        return f"the process {how}; what it printed says more"


def seen(log: str, copied: Path) -> Seen:
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


def _read(connection: Connection) -> Seen:
    faults = queries.verify(connection).faults
    runs = queries.list_runs(connection, RunFilter())
    return Seen(faults, runs, {} if faults else {run.id: queries.show(connection, run.id) for run in runs})


def judged(kills: tuple[Kill, ...], lives: Sequence[Performed], expected: Returned) -> CrashPoint:
    """What became of a program that had these `lives`, the last one without a kill, and had to return `expected`."""
    last = lives[-1]
    survived = [life.failure for life in lives[:-1] if abs(life.exit_code or 0) != KILL]
    return CrashPoint(
        kills,
        lost=tuple(dict.fromkeys(text for life in lives for text in _lost(life, last.log))),
        halves=tuple(dict.fromkeys(fault for life in lives for fault in life.log.faults)),
        again=tuple(text for before, life in pairwise(lives) for text in _again(before.log, life.journal)),
        repeated=tuple(_repeated([entry for life in lives for entry in life.journal], last.log)),
        left=tuple(run.id for run in last.log.runs if run.state in ("running", "waiting")),
        failed=next(filter(None, [*survived, last.failure]), None),
        same=last.returned == expected,
    )


def _lost(life: Performed, last: Seen) -> Iterator[str]:
    """Facts that were told and are not in the log at the end of the process, or not any more at the `last`."""
    for entry in life.journal:
        if isinstance(entry, Told):
            kept = _fact(life.log, entry.run, entry.seq)
            if kept is None or kept.kind != entry.kind or kept != _fact(last, entry.run, entry.seq):
                yield f"run {entry.run!r}, fact {entry.seq}, {entry.kind}"


def _fact(seen: Seen, run: str, seq: int) -> ShownFact | None:
    facts = seen.facts.get(run, ())
    return facts[seq - 1] if seq <= len(facts) else None


def _again(before: Seen, journal: Sequence[Entry]) -> Iterator[str]:
    """Tasks that had finished `before` and were begun after."""
    finished = {
        (run, fact.task) for run, facts in before.facts.items() for fact in facts if fact.kind == "task-finished"
    }
    for entry in journal:
        if isinstance(entry, Begun) and (entry.run, entry.task) in finished:
            yield f"run {entry.run!r}, {entry.task}"


def _repeated(journal: Sequence[Entry], log: Seen) -> Iterator[str]:
    """Effects that happened more often than the log has intents, or again without anybody having allowed it."""
    called = Counter(entry for entry in journal if isinstance(entry, Acted))
    for (run, task, effect), times in called.items():
        facts = [fact for fact in log.facts.get(run, ()) if fact.task == task]
        intents = [fact.fields["key"] for fact in facts if fact.kind == "effect-intended"]
        allowed = 1 + sum(fact.kind in ALLOWS_ANOTHER and not fact.fields.get("happened") for fact in facts)
        if times > len(intents) or len(set(intents)) > 1 or (effect == "ask" and times > allowed):
            yield f"run {run!r}, {task}, {times} times"
