"""`LocalHost`: the engine and one resource per key, in this process, for as long as it is kept."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

import anyio

from .agent import Resource

if TYPE_CHECKING:
    from .inference import Inference


class LocalHost:
    """The `Host` that a runtime uses, and that a test or a script can use without one.

    host = LocalHost(engine)
    answer = await agent.handle(message, Context(host))
    """

    def __init__(self, engine: "Inference") -> None:
        self._engine = engine
        self._resources: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, anyio.Lock] = {}

    @property
    def engine(self) -> "Inference":
        return self._engine

    async def resource(self, key: Hashable, create: Callable[[], Awaitable[Resource]]) -> Resource:
        """The resource under `key`, created once, however many ask at the same time; a failure is not kept."""
        if key not in self._resources:
            async with self._locks.setdefault(key, anyio.Lock()):
                if key not in self._resources:
                    self._resources[key] = await create()
        resource: Resource = self._resources[key]
        return resource
