"""LangGraph with its SQLite saver, a thread for each run, as its documentation shows; `durability="sync"`.

The saver leaves `synchronous` at SQLite's own default for WAL, which is FULL.
"""

import asyncio
import atexit
import shutil
import tempfile
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph_graph import Narrow, step
from work import CHAIN, Token, check

DURABILITY: Any = "sync"
FOLDER = Path(tempfile.mkdtemp(prefix="durable-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
STACK = AsyncExitStack()
GRAPHS: list[Any] = []  # compiled once, with its saver, at the first call


async def graph() -> Any:
    if not GRAPHS:
        saver = await STACK.enter_async_context(AsyncSqliteSaver.from_conn_string(str(FOLDER / "desk.db")))
        builder = StateGraph(Narrow)
        names = [f"n{position}" for position in range(CHAIN)]
        for name in names:
            builder.add_node(name, step)
        for source, target in zip([START, *names], [*names, END], strict=True):
            builder.add_edge(source, target)
        GRAPHS.append(builder.compile(checkpointer=saver))
    return GRAPHS[0]


async def once() -> None:
    thread = {"configurable": {"thread_id": uuid.uuid4().hex}}
    final = await (await graph()).ainvoke({"token": Token(text="x", count=0)}, thread, durability=DURABILITY)
    check(final["token"].count, CHAIN)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await once()


async def concurrent(repeats: int) -> None:
    await graph()
    await asyncio.gather(*(once() for _ in range(repeats)))
