"""What a reviewer waits for with 100,000 reviews in the log: from each key to the last painted byte, and at the start.

    python benchmarks/review.py               # the table, and benchmarks/results/review.{json,md}
    python benchmarks/review.py --count 2000  # a small log, nothing written

A real log (pending.py says how it is made), a real `ReviewDesk` and `Session`, and the screen of `coterie review`,
painted at 80x24 and 120x40. A key's time ends when its screen is written. What is read ahead while the reviewer reads
is measured as such; a key that comes in the middle of it waits for the rest. Nobody else offers the like, so there is
no rival here, only our own bounds.
"""

import json
import os
import pty
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from pending import RARE, Built, build
from prompt_toolkit.input import DummyInput
from rich.console import Console
from rich.table import Table

from coterie.cli.review.exchange import applied, read_decisions
from coterie.cli.review.keys import Keyboard
from coterie.cli.review.session import Session
from coterie.cli.review.state import State
from coterie.cli.review.terminal import Painted
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_items import QueueFilter
from orchestration import HERE, processor, versions

SIZES = ((80, 24), (120, 40))
KEY, OPENING = 50.0, 1000.0  # milliseconds that we promise: a key at p95, and the list
PLAN = (  # what is pressed, again and again; `/` is followed by a filter
    "a", "2", "w", "esc", "l", "esc", "3", "s", "p", "esc", "e", "esc", "x f", "a", "u", "1",
    "m", "b", "esc", "a", "x o",
)  # fmt: skip
FILTERS = ("flow:claims", RARE, "role:support/triage", "node:claims-desk lacking", "flow:moods said", "")
AHEAD = "read ahead after a page"
SECONDS = 7.0  # that each item seems to take, so that nobody seems to nod


class Taken(NamedTuple):
    """Milliseconds by the clock, and of the processor: on a busy machine, the first are mostly other people's."""

    clock: float
    processor: float


Times = dict[str, list[Taken]]
COLUMNS = ("what", "median", "p95", "processor", "its p95", "most", "times")


def main(
    count: Annotated[int, typer.Option(min=100, help="Reviews that wait.")] = 100_000,
    keys: Annotated[int, typer.Option(min=20, help="Keys at each size of the screen.")] = 300,
    repeats: Annotated[int, typer.Option(min=1, help="Of everything that is no key.")] = 7,
    decisions: Annotated[int, typer.Option(min=1, help="That are applied.")] = 1_000,
    log: Annotated[Path | None, typer.Option(help="A log that pending.py made; its reviews get answered.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder for review.json and .md.", show_default="benchmarks/results")
    ] = None,
) -> None:
    """Measure what a reviewer waits for."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="review-") as folder:
        place = log or Path(folder, "desk.db")
        built = None if log else build(place, count)
        times = measure(console, place, keys, repeats, decisions)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(table(times))
    said = verdict(times, built, memory)
    console.print(said, soft_wrap=True)
    if results or (count >= 100_000 and log is None):
        write(results or HERE / "results", times, said, count)


def measure(console: Console, place: Path, keys: int, repeats: int, decisions: int) -> Times:
    """Everything once, in the order of a day's work."""
    times: Times = defaultdict(list)
    for what, work, number in (
        ("starting", starting, repeats),
        ("reading", reading, repeats),
        ("applying", applying, decisions),
        ("skipping", skipping, repeats),
    ):
        console.print(what, style="dim")
        work(times, place, number)
    for width, height in SIZES:
        console.print(f"{keys} keys at {width}x{height}", style="dim")
        pressing(times, place, keys, width, height)
    return dict(times)


@contextmanager
def timed(times: Times, *names: str, shared: int = 1) -> Iterator[None]:
    """Adds what the block takes, of this process and its children, to each of `names`."""
    clock, used = time.perf_counter(), processor_seconds()
    yield
    taken = Taken((time.perf_counter() - clock) / shared * 1e3, (processor_seconds() - used) / shared * 1e3)
    for name in names:
        times[name].append(taken)


def processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


# From outside: whole processes.


def starting(times: Times, place: Path, repeats: int) -> None:
    """`coterie review` in a pseudo-terminal until its first page is painted, and the list."""
    base = [sys.executable, "-W", "ignore"]
    ours = [*base, "-m", "coterie.cli", "review", "--log", str(place), "--by", "visitor"]
    listing = [*base, "-m", "coterie.cli", "review", "list", "--log", str(place), "--by", "visitor", "--limit", "50"]
    for number in range(min(2, repeats) - 1 + repeats):
        found: Times = defaultdict(list) if number < min(2, repeats) - 1 else times  # the first of several warms up
        with timed(found, "python alone"):
            subprocess.run([*base, "-c", "pass"], check=True)
        with timed(found, "python, coterie imported"):
            subprocess.run([*base, "-c", "import coterie.cli, coterie.orchestration.review_desk"], check=True)
        with timed(found, "coterie review list --limit 50"):
            subprocess.run(listing, check=True, stdout=subprocess.DEVNULL)
        first_page(found, ours)


def first_page(times: Times, command: list[str]) -> None:
    """Until the last key of the footer is there; then two keys, each until its page is."""
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", "LC_ALL": "C.UTF-8"}
        os.execv(command[0], command)  # noqa: S606 - our own interpreter

    def seen(what: str, words: bytes) -> None:
        nonlocal began
        until(terminal, words, command)
        times[what].append(Taken((time.perf_counter() - began) * 1e3, float("nan")))
        time.sleep(0.5)  # what it reads ahead

    try:
        seen("coterie review, first page", rb"save and quit")
        began = time.perf_counter()
        os.write(terminal, b"?")  # which is there on a blind item, too
        seen("a key through the terminal", rb"further up")
        os.write(terminal, b"q")
        until(terminal, rb"come back", command)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def until(terminal: int, seen: bytes, command: list[str]) -> None:
    """Read what is painted until `seen` is in it."""
    painted = b""
    while not re.search(seen, painted):
        if not select.select([terminal], [], [], 60)[0]:
            raise SystemExit(f"{' '.join(command)} did not paint {seen!r} in a minute, but {painted[-500:]!r}")
        painted += os.read(terminal, 65_536)


# From inside: the desk.


def reading(times: Times, place: Path, repeats: int) -> None:
    """What a desk reads, without a screen."""
    filters = {f"filter {text}": QueueFilter(text=text) for text in (RARE, "nothing like this")}
    filters |= {"filter role": QueueFilter(role="claims/judge"), "filter no node": QueueFilter(node="elsewhere")}
    for _ in range(repeats):
        with timed(times, "a desk opens"):
            desk = ReviewDesk(place, "reader")
            desk.__enter__()
        with desk:
            with timed(times, "desk.budget"):
                desk.budget()
            with timed(times, "desk.items, 50"):
                found = desk.items(QueueFilter(limit=50))
            with timed(times, "desk.next"):
                item = desk.next()
            if item is not None:
                with timed(times, "desk.case"):
                    desk.case(item)
                desk.release_claim(item)
            largest = max(found, key=lambda one: one.alike_open)
            with timed(times, "desk.batch_of, the largest group shown"):
                desk.batch_of(largest)
            for name, wanted in filters.items():
                with timed(times, f"desk.next, {name}"):
                    item = desk.next(wanted)
                with timed(times, f"desk.budget, {name}"):
                    desk.budget(wanted)
                if item is not None:
                    desk.release_claim(item)
    with ReviewDesk(place, "reader") as desk, timed(times, "desk.items, all"):
        desk.items()


def applying(times: Times, place: Path, decisions: int) -> None:
    """Decisions as `coterie review apply` stores them, by one person."""
    with ReviewDesk(place, "applier") as desk:
        waiting = desk.items(QueueFilter(flow="triage", limit=decisions))
        lines = [
            json.dumps({"run": one.run, "task": one.task, "act": "choose", "label": one.form.labels[0], "seconds": 9})
            for one in waiting
        ]
        with timed(times, f"apply, each of {len(lines):,} decisions", shared=len(lines)):
            outcomes = [outcome["outcome"] for outcome in applied(desk, "applier", read_decisions(lines))]
    assert set(outcomes) == {"stored"}  # noqa: S101 - else it was not measured


def skipping(times: Times, place: Path, repeats: int) -> None:
    """The next item of somebody who has left the first 10,000 for later."""
    with ReviewDesk(place, "skipper") as desk:
        skip = {one.place for one in desk.items(QueueFilter(limit=10_000))}
        for _ in range(repeats):
            with timed(times, f"desk.next, {len(skip):,} skipped"):
                item = desk.next(skip=skip)
            if item is not None:
                desk.release_claim(item)


# A sitting.


class Answering(Painted):
    """The screen, with a filter typed where it asks for one."""

    def __init__(self, width: int, height: int) -> None:
        console = Console(file=StringIO(), force_terminal=True, width=width, height=height, color_system="256")
        super().__init__(console, Keyboard(DummyInput()), ascii_only=False)
        self.out = console.file


def pressing(times: Times, place: Path, keys: int, width: int, height: int) -> None:
    """A sitting of `keys` keys, each with the page that follows."""
    moments = iter(range(10**9))
    by = f"anna-{width}"
    with ReviewDesk(place, by) as desk:
        session = Session(desk, by, clock=lambda: next(moments) * SECONDS)
        face = Answering(width, height)
        with timed(times, "the first page, inside"):
            state = face.show(session.open(QueueFilter()))
        filters = cycle(FILTERS)
        for number, key in zip(range(keys), cycle(PLAN), strict=False):
            with timed(times, AHEAD):
                state = session.prepare(state)
            if number % 40 == 39:
                told = next(filters)
                asked = session.press(state, "/")
                state = _keyed(times, f"/{told or ' (all)'}", face, lambda: session.told(asked, told))  # noqa: B023
                continue
            if state.item is None:
                state = session.told(session.press(state, "/"), "")
            if state.hidden and key not in "ls":
                state = _pressed(times, "1-3, blind", session, face, state, "1")
            for one in key.split():
                state = _pressed(times, key, session, face, state, one)
            face.out.seek(0)
            face.out.truncate()


def _pressed(times: Times, name: str, session: Session, face: Answering, state: State, key: str) -> State:
    return _keyed(times, name, face, lambda: session.press(state, key))


def _keyed(times: Times, name: str, face: Answering, act: Callable[[], State]) -> State:
    with timed(times, f"key {name}", "any filter" if name.startswith("/") else "any key"):
        return face.show(act())


# What came out.


def quantile(found: Iterable[float], share: float) -> float:
    ranked = sorted(found)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def table(times: Times) -> Table:
    drawn = Table(title="milliseconds")
    for column in COLUMNS:
        drawn.add_column(column, justify="left" if column == "what" else "right")
    for row in rows(times):
        drawn.add_row(*row)
    return drawn


def rows(times: Times) -> Iterator[list[str]]:
    for name, found in times.items():
        clock, used = zip(*found, strict=True)
        figures = [quantile(some, share) for some in (clock, used) for share in (0.5, 0.95)]
        yield [name, *("" if one != one else f"{one:,.1f}" for one in (*figures, max(clock))), str(len(found))]


def verdict(times: Times, built: Built | None, memory: float) -> str:
    """Where we keep our promises and where we do not, in plain words."""
    said = []
    for words, name, share, bound in (
        ("a key", "any key", 0.95, KEY),
        ("the next item after an answer (a)", "key a", 0.95, KEY),
        ("a filter", "any filter", 0.95, KEY),
        ("the list of 50", "coterie review list --limit 50", 0.5, OPENING),
        ("coterie review to its first page", "coterie review, first page", 0.5, OPENING),
    ):
        taken, used = (quantile(some, share) for some in zip(*times[name], strict=True))
        kept = "within" if taken <= bound else "NOT within"
        where = "at p95" if share > 0.5 else "in the median"
        spent = "" if used != used else f" ({used:,.0f} ms of the processor)"
        said.append(f"{words}: {taken:,.0f} ms {where}, {kept} {bound:,.0f}{spent}")
    ahead, key = (quantile((one.clock for one in times[name]), 0.95) for name in (AHEAD, "any key"))
    said.append(f"a key pressed at once, while it is still read ahead, waits up to {ahead + key:,.0f} ms (p95 + p95)")
    if built is not None:
        each = built.seconds / max(1, built.rows) * 1e3
        said.append(
            f"the log: {built.rows:,} runs in {built.seconds:,.0f} s ({each:.1f} ms each); through the runtime, one "
            f"after another, {built.through_runtime * 1e3:.0f} ms each"
        )
    return "\n".join([*said, f"this process needed {memory:,.0f} MiB at most"])


def write(folder: Path, times: Times, said: str, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"processor": processor(), "cores": str(os.cpu_count()), "load after": f"{os.getloadavg()[0]:.1f}"}
    facts |= versions(Path(sys.executable), ["pydantic", "rich", "sqlalchemy"])
    data: dict[str, Any] = {"machine": facts, "reviews": count, "milliseconds": times, "said": said.splitlines()}
    (folder / "review.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    lines = [
        f"# What a reviewer waits for, with {count:,} reviews in the log",
        "",
        "Milliseconds by the clock, then of the processor. A key's time ends with the last byte of its page; `any key`",
        "is all keys but filters.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---{'|--:' * (len(COLUMNS) - 1)}|",
        *(f"| {' | '.join(row)} |" for row in rows(times)),
        "",
        *(f"- {line}" for line in said.splitlines()),
        "",
        "; ".join(f"{name} {value}" for name, value in facts.items()),
    ]
    (folder / "review.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
