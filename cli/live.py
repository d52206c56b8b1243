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
    Event,
    ReviewAnswered,
    ReviewRequested,
    RunFinished,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    TokenDelta,
)
from ..orchestration.review import Answer
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
    runs: Counter[str] = field(default_factory=Counter)
    nodes: dict[str, Counter[str]] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)  # run and task -> what has been written
    tokens: int = 0

    def take(self, label: str, event: Event | TokenDelta) -> None:
        """Count one event of the run called `label`."""
        match event:
            case TaskStarted(node=node, attempt=attempt):
                self.node(node)["running"] += 1
                self.node(node)["retried"] += attempt > 1
            case TaskFinished(task=task, node=node):
                self.node(node).update({"running": -1, "done": 1})
                self.texts.pop((label, task), None)
            case TaskFailed(task=task, node=node):
                self.node(node).update({"running": -1, "failed": 1})
                self.texts.pop((label, task), None)
            case ReviewRequested(node=node):
                self.node(node)["waiting"] += 1
                self.runs["waiting"] += 1
            case ReviewAnswered(node=node):
                # The answer's TaskFinished takes one from "running" as well, which a review never was.
                self.node(node).update({"waiting": -1, "running": 1})
                self.runs["waiting"] -= 1
            case TokenDelta(task=task, text=text):
                self.texts[label, task] = (self.texts.get((label, task), "") + text)[-400:]
                self.tokens += 1
            case _ if isinstance(event, TERMINAL):
                self.runs["running"] -= 1
                self.runs["done" if isinstance(event, RunFinished) else "failed"] += 1
            case _:
                pass

    def node(self, name: str) -> Counter[str]:
        return self.nodes.setdefault(name, Counter())

    @property
    def settled(self) -> int:
        return self.runs["done"] + self.runs["failed"] + self.runs["waiting"]

    def line(self) -> str:
        """Counts, rate and time left in one line."""
        elapsed = time.monotonic() - self.began
        rate = self.settled / elapsed if elapsed > 0 else 0.0
        left = (self.total - self.settled) / rate if rate else None
        running = self.runs["running"] - self.runs["waiting"]
        parts = [
            f"{self.settled} of {self.total}",
            f"done {self.runs['done']}",
            f"running {running}",
            f"waiting {self.runs['waiting']}",
            f"failed {self.runs['failed']}",
            f"{rate * 60:.0f} a minute",
        ]
        if left is not None and self.settled < self.total:
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
        self._counts.runs["running"] += 1
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
