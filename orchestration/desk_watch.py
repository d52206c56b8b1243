"""Looks into the log for what people answer at their desks, on behalf of the runs that wait for it here.

Desks are other processes, so there is nothing to wait on but the log. It is asked rarely where nothing happens, and at
the moment at which an answer is due. While no run waits, nothing looks. Knows nothing of what answers mean.
"""

import time
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from .errors import LogCorrupt, LogUnavailable
from .log import Decided, Log
from .run import Run

SHORTEST = 0.25  # seconds between two looks while people are at work
LONGEST = 5.0  # seconds between two looks where nothing has happened for a while
GROWTH = 1.3  # of the time between two looks


class DeskWatch:
    """The runs of one runtime that wait for people."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._runs: dict[str, Run[Any]] = {}
        self._asked = anyio.Event()  # set when one more run waits
        self._looking = False

    def add(self, group: TaskGroup, run: Run[Any]) -> None:
        """Look for answers to the reviews of `run`, until it has none that wait."""
        if not self._log.durable:
            return
        self._runs[run.id] = run
        if self._looking:
            self._asked.set()
        else:
            self._looking = True
            group.start_soon(self._watch, name="desk watch")

    async def _watch(self) -> None:
        pause = SHORTEST
        try:
            while self._runs:
                due = await self._look()
                pause = SHORTEST if due is not None else min(LONGEST, pause * GROWTH)
                with anyio.move_on_after(pause if due is None else max(0.0, min(pause, due - time.time()))):
                    await self._asked.wait()
                    pause = SHORTEST
                self._asked = anyio.Event()
                self._drop()
        finally:
            self._looking = False

    async def _look(self) -> float | None:
        """Hand out what is due; when the next answer is, in seconds since the epoch."""
        try:
            found = await self._decided()
        except LogUnavailable:  # a server that is started anew; whoever has to write is told
            return None
        now = time.time()
        for identity, run in list(self._runs.items()):
            _tell(run, [one for one in found if one.run == identity])
        for decided in found:
            if decided.release <= now and decided.run in self._runs:
                self._runs[decided.run].hand_in(decided)
        return min((one.release for one in found if one.release > now), default=now if found else None)

    async def _decided(self) -> Sequence[Decided]:
        """What was answered. A run goes on no more where a decision is not as it was written; no other suffers."""
        try:
            return await self._log.decided(list(self._runs))
        except LogCorrupt:
            found: list[Decided] = []
            for identity in list(self._runs):
                try:
                    found += await self._log.decided([identity])
                except LogCorrupt as error:
                    self._runs.pop(identity).break_off(error)
            return found

    def _drop(self) -> None:
        self._runs = {name: run for name, run in self._runs.items() if not run.ended and run.reviews.wait}


def _tell(run: Run[Any], found: Sequence[Decided]) -> None:
    """A run knows which of its reviews are answered, so that it does not say that it waits for people."""
    answered = frozenset(one.task for one in found)
    if answered != run.reviews.answered or not run.reviews.looked:
        run.reviews.answered, run.reviews.looked = answered, True
        run.wake()
