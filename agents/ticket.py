"""A result that is made on another thread and awaited on the event loop, whichever loop that is.

This file knows nothing of torch or of what the result is.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import anyio
from anyio.lowlevel import current_token

from .errors import CoterieError, EngineError

T = TypeVar("T")


class Post(Protocol):
    """Has `call(*arguments)` called on the event loop, soon and in order. May be called on any thread."""

    def __call__(self, call: Callable[..., object], *arguments: Any) -> None: ...


def post_to_this_loop() -> Post:
    """The way from other threads to the event loop that runs now. Once that has ended, calls are dropped.

    anyio's own `from_thread.run_sync` would have the other thread wait until the loop has time.
    """
    loop: Any = current_token().native_token
    schedule: Any = loop.call_soon_threadsafe if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon

    def post(call: Callable[..., object], *arguments: Any) -> None:
        try:
            schedule(call, *arguments)
        except RuntimeError:  # the loop has ended (trio's RunFinishedError is one too), and nobody waits any more
            return

    return post


def soon_on_this_loop() -> Callable[[Callable[[], object]], object]:
    """Has a call made after what is ready on the event loop now; cheap, and only for the loop's own thread."""
    loop: Any = current_token().native_token
    soon: Callable[[Callable[[], object]], object] = (
        loop.call_soon if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon
    )
    return soon


class Ticket(Generic[T]):
    """Made on the event loop and awaited there, once. `write`, `resolve` and `fail` may be called on any thread.

    Args:
        post: the way to the event loop.
        purpose: what is awaited, for the words of an error.
    """

    def __init__(self, post: Post, purpose: str) -> None:
        self.purpose = purpose
        self.abandoned = False  # whether nobody waits any more
        self._post = post
        self._pieces: deque[str] = deque()
        self._changed = anyio.Event()
        self._ended = False
        self._result: list[T] = []
        self._error: Exception | None = None

    def write(self, text: str) -> None:
        """Hands a piece of text to whoever waits."""
        self._post(self._take, text)

    def resolve(self, result: T) -> None:
        """Ends the wait with `result`."""
        self._post(self._end, [result], None)

    def fail(self, error: Exception) -> None:
        """Ends the wait with `error`."""
        self._post(self._end, [], error)

    async def wait(self, on_text: Callable[[str], None] | None = None) -> T:
        """The result. `on_text` is called here, in the task that waits, so what it raises is raised here.

        Raises:
            CoterieError: what `fail` was given; an EngineError from it, where it was not one of ours.
        """
        try:
            while True:
                while self._pieces:
                    piece = self._pieces.popleft()
                    if on_text is not None:
                        on_text(piece)
                if self._ended:
                    break
                self._changed = anyio.Event()
                await self._changed.wait()
        finally:
            self.abandoned = True
        if isinstance(self._error, CoterieError):
            raise self._error
        if self._error is not None:
            kind = type(self._error).__name__
            raise EngineError(f"{self.purpose} failed: {kind}: {self._error}") from self._error
        return self._result[0]

    def _take(self, text: str) -> None:
        self._pieces.append(text)
        self._changed.set()

    def _end(self, result: list[T], error: Exception | None) -> None:
        if not self._ended:
            self._ended, self._result, self._error = True, result, error
            self._changed.set()
