"""The one thread that works with models: it makes calls, and gives every busy workload one turn after the other.

While a turn runs, calls queue; there is no timer, and an idle thread sleeps. Each round goes once through all
workloads, so embeddings and replies advance side by side and a cancelled request is dropped after one turn at most.

This file knows nothing of what the workloads do, nor of event loops.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

import torch


class Workload(Protocol):
    """Something with a queue that advances a little in each turn."""

    @property
    def busy(self) -> bool: ...

    def turn(self) -> None: ...


class TorchThread:
    """A daemon thread, so that native code which does not return cannot keep the program from ending."""

    def __init__(self, on_end: Callable[[BaseException | None], None]) -> None:
        self.workloads: list[Workload] = []  # changed on this thread only
        self._on_end = on_end  # called last on the thread, with what ended it; None: it was stopped
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._main, name="coterie-torch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, call: Callable[[], None]) -> None:
        """Has `call` called on the thread before its next turn. It must handle its own errors."""
        with self._wake:
            self._calls.append(call)
            self._wake.notify()

    def stop(self) -> None:
        """Ends the thread after the turn that it is in."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def _main(self) -> None:
        try:
            with torch.inference_mode():
                while self._round():
                    pass
        except BaseException as error:
            self._on_end(error)
            raise
        self._on_end(None)

    def _round(self) -> bool:
        busy = [workload for workload in self.workloads if workload.busy]
        for call in self._take_calls(wait=not busy):
            call()
        for workload in self.workloads:
            if workload.busy and not self._stopped:
                workload.turn()
        return not self._stopped

    def _take_calls(self, wait: bool) -> list[Callable[[], None]]:
        with self._wake:
            while wait and not self._calls and not self._stopped:
                self._wake.wait()
            calls, self._calls = list(self._calls), deque()
            return [] if self._stopped else calls
