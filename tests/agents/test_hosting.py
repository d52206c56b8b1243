"""`LocalHost`: one resource for each key, however many ask."""

from typing import cast

import anyio
import pytest

from coterie.agents.hosting import LocalHost
from coterie.agents.inference import Inference

ENGINE = cast("Inference", object())  # a host only passes it on


class Maker:
    """Makes numbered resources, and fails where it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.made = 0
        self.failures = failures

    async def __call__(self) -> int:
        await anyio.lowlevel.checkpoint()
        self.made += 1
        if self.made <= self.failures:
            raise ConnectionError(f"attempt {self.made}")
        return self.made


@pytest.mark.anyio
async def test_a_resource_is_made_once_however_many_ask() -> None:
    """Twenty tasks at the same time get the same one; another key has its own."""
    host, maker, found = LocalHost(ENGINE), Maker(), list[int]()

    async def ask() -> None:
        found.append(await host.resource("key", maker))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    assert found == [1] * 20
    assert await host.resource("other", maker) == 2
    assert host.engine is ENGINE


@pytest.mark.anyio
async def test_a_failure_is_not_kept() -> None:
    """Whoever asks next tries again."""
    host, maker = LocalHost(ENGINE), Maker(failures=1)
    with pytest.raises(ConnectionError, match="attempt 1"):
        await host.resource("key", maker)
    assert await host.resource("key", maker) == 2


@pytest.mark.anyio
async def test_a_resource_that_was_abandoned_is_made_by_the_next_who_asks() -> None:
    """A cancel while it is made leaves nothing half made."""
    host, maker = LocalHost(ENGINE), Maker()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await host.resource("key", maker)
    assert await host.resource("key", maker) == 1
