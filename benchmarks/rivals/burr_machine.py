"""Burr: an action a node over one state key. It has no fan-out within one application, so that is left out."""

import asyncio
from itertools import pairwise
from typing import Any

from burr.core import ApplicationBuilder, State, action
from burr.core.graph import GraphBuilder
from work import CHAIN, SHORT, Token, check


@action(reads=["token"], writes=["token"])
async def step(state: State) -> State:
    token = state["token"]
    return state.update(token=Token(text=token.text, count=token.count + 1))


def chain_of(length: int) -> Any:
    names = [f"n{position}" for position in range(length)]
    builder = GraphBuilder().with_actions(**dict.fromkeys(names, step))
    return builder.with_transitions(*pairwise(names)).build()


LONG_CHAIN, SHORT_CHAIN = chain_of(CHAIN), chain_of(SHORT)


async def once(graph: Any, last: str, expected: int) -> None:
    state = State({"token": Token(text="x", count=0)})
    application = ApplicationBuilder().with_graph(graph).with_entrypoint("n0").with_state(state).build()
    _, _, final = await application.arun(halt_after=[last])
    check(final["token"].count, expected)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await once(LONG_CHAIN, f"n{CHAIN - 1}", CHAIN)


async def concurrent(repeats: int) -> None:
    await asyncio.gather(*(once(SHORT_CHAIN, f"n{SHORT - 1}", SHORT) for _ in range(repeats)))
