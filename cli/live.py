"""A live view of many runs: counts, rate and time left, the state of each node, and the text that is being written.

Off a terminal it prints a plain line every few seconds instead. It only reads events; it changes nothing in a run.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..orchestration.events import (
    TERMINAL,
    EffectSettled,
    EffectUnknown,
    Event,
    ReviewAnswered,
    ReviewRequested,
    ReviewWithdrawn,
    RunFinished,
    RunResumed,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TaskStarted,
    TokenDelta,
)
from ..orchestration.review_answers import Answer
from ..orchestration.run import Run
from .text import safe

REFRESHES = 8  # a second
PLAIN_EVERY = 5.0  # seconds between two lines off a terminal
TAILS = 4  # texts in progress that are shown
Asker = Callable[[Console, Run[Any], ReviewRequested], Awaitable[Answer | None]]


@dataclass
class Counts:
    """What the events of all runs add up to."""

    total: int
    began: float = field(default_factory=time.monotonic)  # seconds
    runs: dict[str, str] = field(default_factory=dict)  # label -> running, done or failed
    nodes: dict[str, Counter[str]] = field(default_factory=dict)
    open: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # run, task -> node, running or waiting
    texts: dict[tuple[str, str], str] = field(default_factory=dict)  # run and task -> what has been written

    def take(self, label: str, event: Event | TokenDelta) -> None:
        """Count one event of the run called `label`."""
        match event:
            case TaskStarted(task=task, node=node, attempt=attempt):
                self.begin(label, task, node, "running")
                self.node(node)["retried"] += attempt > 1
            case ReviewRequested(task=task, node=node) | EffectUnknown(task=task, node=node):
                self.begin(label, task, node, "waiting")
            case ReviewAnswered(task=task) | ReviewWithdrawn(task=task) | EffectSettled(task=task):
                self.end(label, task)
            case TaskFinished(task=task, node=node):
                self.end(label, task)
                self.node(node)["done"] += 1
            case TaskFailed(task=task, node=node):
                self.end(label, task)
                self.node(node)["failed"] += 1
            case TokenDelta(task=task, text=text):
                self.texts[label, task] = (self.texts.get((label, task), "") + text)[-400:]
            case RunResumed():  # what was at work begins again; what waits goes on waiting
                self.end_all(label, "running")
            case TaskRetried():
                self.runs[label] = "running"
            case _ if isinstance(event, TERMINAL):
                self.end_all(label, "running", "waiting")
                self.runs[label] = "done" if isinstance(event, RunFinished) else "failed"
            case _:
                pass

    def begin(self, label: str, task: str, node: str, state: str) -> None:
        self.end(label, task)
        self.open[label, task] = node, state
        self.node(node)[state] += 1

    def end(self, label: str, task: str) -> None:
        self.texts.pop((label, task), None)
        if (label, task) in self.open:
            node, state = self.open.pop((label, task))
            self.node(node)[state] -= 1

    def end_all(self, label: str, *states: str) -> None:
        for (run, task), (_, state) in list(self.open.items()):
            if run == label and state in states:
                self.end(run, task)

    def node(self, name: str) -> Counter[str]:
        return self.nodes.setdefault(name, Counter())

    def states(self) -> Counter[str]:
        """How many runs are done, failed, running, or waiting: only people can make them go on."""
        busy = {label for (label, _), (_, state) in self.open.items() if state == "running"}
        waiting = {label for label, _ in self.open} - busy
        return Counter("waiting" if label in waiting else state for label, state in self.runs.items())

    def line(self) -> str:
        """Counts, rate and time left in one line."""
        states = self.states()
        settled = states["done"] + states["failed"] + states["waiting"]
        elapsed = time.monotonic() - self.began
        rate = settled / elapsed if elapsed > 0 else 0.0
        left = (self.total - settled) / rate if rate else None
        counts = [f"{state} {states[state]}" for state in ("done", "running", "waiting", "failed")]
        parts = [f"{settled} of {self.total}", *counts]
        if self.total > 1:
            parts.append(f"{rate * 60:.0f} a minute")
        if left is not None and settled < self.total:
            parts.append(f"{left:.0f} s left")
        return " · ".join(parts)


class LiveRuns:
    """Shows runs while they work.

    async with LiveRuns(console, total=50) as view:
        view.watch(run, "question 1")
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._counts = Counts(total)
        self._seen: dict[str, tuple[Run[Any], int]] = {}  # by label: the number of the last fact that was counted
        self._note = ""
        self._asking = anyio.Lock()
        self._live = Live(console=console, refresh_per_second=REFRESHES, transient=True, get_renderable=self.render)
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live.start()
        else:
            self._group.start_soon(self._print_lines)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for label, (run, seen) in self._seen.items():  # what has happened since the view last had its turn
            for fact in run.facts(seen):
                self._counts.take(label, fact)
        if self._live.is_started:  # first, for what is awaited below may be cancelled
            self._live.stop()
        self._console.print(Text(self._counts.line(), style="dim"))
        if self._group is not None:
            self._group.cancel_scope.cancel()
            await self._group.__aexit__(None, None, None)

    def watch(self, run: Run[Any], label: str) -> None:
        """Count the events of `run` until it ends."""
        if self._group is None:
            raise RuntimeError("the view is not open; use `async with LiveRuns(…) as view`")
        self._counts.runs[label] = "running"
        self._seen[label] = run, 0
        self._group.start_soon(self._follow, run, label)

    def say(self, note: str) -> None:
        """Show what is going on besides the runs."""
        self._note = note

    async def ask(self, run: Run[Any], request: ReviewRequested, asker: Asker) -> Answer | None:
        """Let `asker` have the terminal to itself, one review at a time."""
        async with self._asking:
            shown = self._live.is_started
            if shown:
                self._live.stop()
            answer = await asker(self._console, run, request)
            if shown:  # not after a cancel, which ends the view
                self._live.start()
            return answer

    async def _follow(self, run: Run[Any], label: str) -> None:
        async for event in run.events():
            self._counts.take(label, event)
            if not isinstance(event, TokenDelta):
                self._seen[label] = run, event.seq

    async def _print_lines(self) -> None:
        while True:
            await anyio.sleep(PLAIN_EVERY)
            self._console.print(Text(f"{self._note}: {self._counts.line()}" if self._note else self._counts.line()))

    def render(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("node")
        for state in ("running", "done", "waiting", "failed", "retried"):
            table.add_column(state, justify="right")
        for name, counts in self._counts.nodes.items():
            cells = [str(counts[state] or "") for state in ("running", "done", "waiting", "failed", "retried")]
            table.add_row(Text(safe(name), style="bold" if counts["running"] else ""), *cells)
        width = max(20, self._console.width - 4)
        texts = [
            Text(f"{safe(label)}: {safe(text)[-width + len(label) + 2 :]}", style="cyan", no_wrap=True)
            for (label, _), text in list(self._counts.texts.items())[-TAILS:]
        ]
        note = [Text(safe(self._note), style="yellow")] if self._note else []
        return Group(Text(self._counts.line(), style="bold"), *note, table, *texts)
