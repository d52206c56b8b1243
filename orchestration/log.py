"""Where the facts of runs are kept, behind one interface, and the log in memory.

A log knows events and runs; it knows nothing of graphs, schedulers and models.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from ..agents.agent import Exchange
from ..agents.messages import Message
from .events import TERMINAL, Event, RunStarted, TaskFinished, TaskStarted


class Log(Protocol):
    """Keeps the facts of runs. What `commit` has returned for is kept; nothing else is promised to be."""

    async def commit(self, run: str, events: Sequence[Event]) -> None:
        """Append `events`, which follow each other without gaps, all or none of them.

        Calls for one run may overlap; their events are kept in the order of the calls.
        """
        ...

    def read(self, run: str, after: int = 0) -> Sequence[Event]:
        """The events of `run` with a sequence number above `after`, in order."""
        ...

    def find(self, flow: str, key: str) -> str | None:
        """The run of `flow` that was started with the idempotency key `key`."""
        ...

    def thread(self, thread: str) -> Sequence[str]:
        """The runs of a thread, oldest first."""
        ...


class MemoryLog:
    """A log that lives as long as the process.

    Args:
        keep: ended runs that are remembered, the latest ones; runs of a thread and runs with a key always are.
    """

    def __init__(self, keep: int = 32) -> None:
        self._keep = keep
        self._events: dict[str, list[Event]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._threads: dict[str, list[str]] = {}
        self._ended: deque[str] = deque()

    async def commit(self, run: str, events: Sequence[Event]) -> None:
        self._events.setdefault(run, []).extend(events)
        if isinstance(events[0], RunStarted):
            self._index(events[0])
        if isinstance(events[-1], TERMINAL):
            self._forget_all_but_the_latest(run)

    def read(self, run: str, after: int = 0) -> Sequence[Event]:
        return self._events.get(run, [])[after:]

    def find(self, flow: str, key: str) -> str | None:
        return self._keys.get((flow, key))

    def thread(self, thread: str) -> Sequence[str]:
        return self._threads.get(thread, [])

    def _index(self, event: RunStarted) -> None:
        if event.key is not None:
            self._keys[event.flow, event.key] = event.run
        if event.thread is not None:
            self._threads.setdefault(event.thread, []).append(event.run)

    def _forget_all_but_the_latest(self, ended: str) -> None:
        started = self._events[ended][0]
        if isinstance(started, RunStarted) and started.key is None and started.thread is None:
            self._ended.append(ended)
        while len(self._ended) > self._keep:
            del self._events[self._ended.popleft()]


def exchanges(log: Log, thread: str, node: str, but_run: str) -> list[Exchange]:
    """What `node` was told and answered in the other runs of `thread`, oldest first."""
    found: list[Exchange] = []
    for run in log.thread(thread):
        told: dict[str, Message] = {}
        for event in log.read(run) if run != but_run else ():
            if isinstance(event, TaskStarted) and event.node == node and isinstance(event.inputs[0], Message):
                told[event.task] = event.inputs[0]
            elif isinstance(event, TaskFinished) and event.task in told and isinstance(event.output, Message):
                found.append(Exchange(told[event.task], event.output))
    return found
