"""Coterie with its log in an SQLite file, FULL: every step is on the disk before the next one begins.

The runtime is opened at the first call and stays open, as LangGraph's saver does.
"""

import atexit
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from coterie_flow import LONG_CHAIN, once
from work import CHAIN

from coterie.orchestration import Runtime

FOLDER = Path(tempfile.mkdtemp(prefix="durable-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
STACK = AsyncExitStack()
OPENED: list[Runtime] = []


async def runtime() -> Runtime:
    if not OPENED:
        OPENED.append(await STACK.enter_async_context(Runtime(log=FOLDER / "desk.db")))
    return OPENED[0]


async def chain(repeats: int) -> None:
    opened = await runtime()
    for _ in range(repeats):
        await once(opened, LONG_CHAIN, CHAIN)


async def concurrent(repeats: int) -> None:
    opened = await runtime()
    async with anyio.create_task_group() as group:
        for _ in range(repeats):
            group.start_soon(once, opened, LONG_CHAIN, CHAIN)
