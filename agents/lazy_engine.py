"""An `Inference` that opens the real engine at the first request, so that a flow without models loads no torch."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import anyio.to_thread

from .errors import EngineClosed
from .loading import load

if TYPE_CHECKING:
    from .inference import Completion, FloatArray, Generation, Inference


class LazyEngine:
    """Opens `coterie.agents.engine.Engine` when first asked, and closes it when left.

    Args:
        device: "cpu", "cuda", "cuda:1", …; None: the probe chooses.
        threads: processor threads for torch; None: the probe chooses.
    """

    def __init__(self, device: str | None = None, threads: int | None = None) -> None:
        self._device = device
        self._threads = threads
        self._lock = anyio.Lock()
        self._stack = AsyncExitStack()
        self._engine: Inference | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        await self._stack.aclose()

    @property
    def opened(self) -> "Inference | None":
        """The engine itself, if anything has asked for it yet."""
        return self._engine

    async def embed(self, base: str, texts: Sequence[str]) -> "FloatArray":
        return await (await self._open()).embed(base, texts)

    async def generate(self, request: "Generation", on_text: Callable[[str], None] | None = None) -> "Completion":
        return await (await self._open()).generate(request, on_text)

    async def count_tokens(self, base: str, texts: Sequence[str]) -> list[int]:
        return await (await self._open()).count_tokens(base, texts)

    async def context_length(self, base: str) -> int:
        return await (await self._open()).context_length(base)

    async def digest(self, base: str) -> str:
        return await (await self._open()).digest(base)

    async def _open(self) -> "Inference":
        if self._engine is not None:
            return self._engine
        async with self._lock:
            if self._closed:
                raise EngineClosed
            if self._engine is not None:
                return self._engine
            # Importing torch takes seconds; the event loop must stay free meanwhile.
            module = await anyio.to_thread.run_sync(load, "agents.engine", abandon_on_cancel=True)
            engine: Inference = await self._stack.enter_async_context(
                module.Engine(device=self._device, threads=self._threads)
            )
            self._engine = engine
            return engine
