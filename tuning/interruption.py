"""Ctrl-C between two steps, never within one: the first is noted, a second one interrupts at once.

This file knows nothing of what is interrupted.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interruption:
    """Notes SIGINT while it is entered; outside the main thread, where no handler can be set, it changes nothing.

    with Interruption() as interruption:
        for step in steps:
            make(step)
            if interruption.asked:
                raise KeyboardInterrupt
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
