"""LangGraph: a compiled StateGraph over a pydantic state, no checkpointer, `Send` for the fan-out."""

import asyncio
from operator import add
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel
from work import CHAIN, SHORT, WIDTH, Token, check


class Wide(BaseModel):
    token: Token
    answers: Annotated[list[Token], add] = []


async def step(state: Token) -> dict[str, Any]:
    return Token(text=state.text, count=state.count + 1).model_dump()


def chain_of(length: int) -> Any:
    graph = StateGraph(Token)
    names = [f"n{position}" for position in range(length)]
    for name in names:
        graph.add_node(name, step)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph.compile()


async def split(state: Wide) -> dict[str, Any]:
    return {"token": Token(text=state.token.text, count=state.token.count + 1)}


async def work(token: Token) -> dict[str, Any]:
    return {"answers": [Token(text=token.text, count=token.count + 1)]}


async def collect(state: Wide) -> dict[str, Any]:
    return {"token": Token(text="x", count=sum(answer.count for answer in state.answers))}


def wide() -> Any:
    graph = StateGraph(Wide)
    graph.add_node("split", split)
    graph.add_node("work", work)
    graph.add_node("collect", collect)
    graph.add_edge(START, "split")
    graph.add_conditional_edges("split", lambda state: [Send("work", state.token) for _ in range(WIDTH)], ["work"])
    graph.add_edge("work", "collect")
    graph.add_edge("collect", END)
    return graph.compile()


LONG_CHAIN, SHORT_CHAIN, FAN_OUT = chain_of(CHAIN), chain_of(SHORT), wide()


async def once(graph: Any, expected: int) -> None:
    check((await graph.ainvoke(Token(text="x", count=0)))["count"], expected)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await once(LONG_CHAIN, CHAIN)


async def fan_out(repeats: int) -> None:
    for _ in range(repeats):
        found = await FAN_OUT.ainvoke(Wide(token=Token(text="x", count=0)))
        check(found["token"].count, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    await asyncio.gather(*(once(SHORT_CHAIN, SHORT) for _ in range(repeats)))
