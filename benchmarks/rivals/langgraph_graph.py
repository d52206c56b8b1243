"""LangGraph: a compiled StateGraph with the message under one key, no checkpointer, `Send` for the fan-out.

A TypedDict state was a little faster here than a pydantic one, and the functional API was slower.
"""

import asyncio
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from work import CHAIN, SHORT, WIDTH, Token, check


class Narrow(TypedDict):
    token: Token


class Wide(TypedDict):
    token: Token
    answers: Annotated[list[Token], add]


async def step(state: Narrow) -> dict[str, Any]:
    token = state["token"]
    return {"token": Token(text=token.text, count=token.count + 1)}


async def work(state: Narrow) -> dict[str, Any]:
    token = state["token"]
    return {"answers": [Token(text=token.text, count=token.count + 1)]}


async def collect(state: Wide) -> dict[str, Any]:
    return {"token": Token(text="x", count=sum(answer.count for answer in state["answers"]))}


def spread(state: Wide) -> list[Send]:
    return [Send("work", {"token": state["token"]}) for _ in range(WIDTH)]


def chain_of(length: int) -> Any:
    graph = StateGraph(Narrow)
    names = [f"n{position}" for position in range(length)]
    for name in names:
        graph.add_node(name, step)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph.compile()


def wide() -> Any:
    graph = StateGraph(Wide)
    graph.add_node("split", step)
    graph.add_node("work", work)
    graph.add_node("collect", collect)
    graph.add_edge(START, "split")
    graph.add_conditional_edges("split", spread, ["work"])
    graph.add_edge("work", "collect")
    graph.add_edge("collect", END)
    return graph.compile()


LONG_CHAIN, SHORT_CHAIN, FAN_OUT = chain_of(CHAIN), chain_of(SHORT), wide()


async def once(graph: Any, expected: int) -> None:
    final = await graph.ainvoke({"token": Token(text="x", count=0)})
    check(final["token"].count, expected)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await once(LONG_CHAIN, CHAIN)


async def fan_out(repeats: int) -> None:
    for _ in range(repeats):
        await once(FAN_OUT, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    await asyncio.gather(*(once(SHORT_CHAIN, SHORT) for _ in range(repeats)))
