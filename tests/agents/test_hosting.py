"""One resource per key, and an engine that is opened only when it is asked."""

import sys
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from coterie.agents import LocalHost
from coterie.agents.errors import EngineClosed
from coterie.agents.lazy_engine import LazyEngine

pytestmark = pytest.mark.anyio


def host() -> LocalHost:
    return LocalHost(None)  # type: ignore[arg-type]


async def test_a_resource_is_made_once_however_many_ask() -> None:
    """Who asks while it is being made gets the same one."""
    made: list[object] = []
    got: list[object] = []
    local = host()

    async def create() -> object:
        await anyio.lowlevel.checkpoint()
        made.append(object())
        return made[-1]

    async def ask() -> None:
        got.append(await local.resource("index", create))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert len(made) == 1
    assert got == made * 5


async def test_each_key_has_its_own_resource() -> None:
    """Making one does not wait for another."""
    local, gate = host(), anyio.Event()

    async def slow() -> str:
        await gate.wait()
        return "slow"

    async def quick() -> str:
        return "quick"

    async with anyio.create_task_group() as group:
        group.start_soon(local.resource, "slow", slow)
        await anyio.wait_all_tasks_blocked()
        assert await local.resource("quick", quick) == "quick"
        gate.set()
    assert await local.resource("slow", quick) == "slow"


async def test_a_failure_is_not_kept() -> None:
    """The next one who asks tries again."""
    local = host()
    answers: list[Any] = [OSError("disk"), "index"]

    async def create() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(OSError, match="disk"):
        await local.resource("index", create)
    assert await local.resource("index", create) == "index"


async def test_a_cancelled_maker_leaves_the_place_to_the_next() -> None:
    """A cancel while a resource is being made locks nobody out."""
    local = host()

    async def never() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async def quick() -> str:
        return "quick"

    with anyio.move_on_after(0.01):
        await local.resource("index", never)
    assert await local.resource("index", quick) == "quick"


async def test_a_resource_may_be_none() -> None:
    """What was made is kept, whatever it is."""
    local, made = host(), []

    async def create() -> None:
        made.append(1)

    await local.resource("nothing", create)
    await local.resource("nothing", create)
    assert made == [1]


async def test_a_lazy_engine_that_nobody_asks_is_never_opened() -> None:
    """A flow without models costs none."""
    async with LazyEngine() as lazy:
        assert lazy.opened is None
    assert lazy.opened is None


async def test_a_lazy_engine_answers_nobody_after_it_was_left() -> None:
    """The error says inside what to ask."""
    lazy = LazyEngine()
    async with lazy:
        pass
    before = set(sys.modules)
    with pytest.raises(EngineClosed, match="the engine is closed; ask it inside `async with Runtime"):
        await lazy.embed("minilm-l6", ["text"])
    assert set(sys.modules) == before


async def test_a_host_hands_its_engine_on() -> None:
    """It is the one that it was made with."""
    engine: Any = object()
    assert LocalHost(engine).engine is engine
