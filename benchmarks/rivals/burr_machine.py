"""Burr: an action a node over one state key; `MapStates` for the fan-out, which makes an application of each item.

A graph is built once. An application holds the state of one run, so each run has its own. No tracker, no persister.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

from burr.core import ApplicationBuilder, ApplicationContext, State, action
from burr.core.graph import Graph, GraphBuilder
from burr.core.parallelism import MapStates, RunnableGraph
from work import CHAIN, SHORT, WIDTH, Token, check


@action(reads=["token"], writes=["token"])
async def step(state: State) -> State:
    token = state["token"]
    return state.update(token=Token(text=token.text, count=token.count + 1))


@action(reads=["token"], writes=["tokens"])
async def split(state: State) -> State:
    token = state["token"]
    return state.update(tokens=[Token(text=token.text, count=token.count + 1) for _ in range(WIDTH)])


@action(reads=["tokens"], writes=["token"])
async def collect(state: State) -> State:
    return state.update(token=Token(text="x", count=sum(token.count for token in state["tokens"])))


class Spread(MapStates):
    """Runs `step` over each of the tokens."""

    reads = ["tokens"]  # noqa: RUF012 - as Burr wants it
    writes = ["tokens"]  # noqa: RUF012
    item = RunnableGraph(GraphBuilder().with_actions(work=step).build(), "work", ["work"])

    def is_async(self) -> bool:
        return True

    def action(self, state: State, inputs: dict[str, Any]) -> RunnableGraph:
        return self.item

    def states(self, state: State, context: ApplicationContext, inputs: dict[str, Any]) -> Iterator[State]:
        for token in state["tokens"]:
            yield State({"token": token})

    async def reduce(self, state: State, states: AsyncIterator[State]) -> State:
        return state.update(tokens=[found["token"] async for found in states])


def chain_of(length: int) -> Graph:
    names = [f"n{position}" for position in range(length)]
    builder = GraphBuilder().with_actions(**dict.fromkeys(names, step))
    return builder.with_transitions(*pairwise(names)).build()


def wide() -> Graph:
    builder = GraphBuilder().with_actions(split=split, spread=Spread(), collect=collect)
    return builder.with_transitions(("split", "spread"), ("spread", "collect")).build()


LONG_CHAIN, SHORT_CHAIN, FAN_OUT = chain_of(CHAIN), chain_of(SHORT), wide()


async def once(graph: Graph, first: str, last: str, expected: int) -> None:
    state = State({"token": Token(text="x", count=0)})
    application = ApplicationBuilder().with_graph(graph).with_entrypoint(first).with_state(state).build()
    _, _, final = await application.arun(halt_after=[last])
    check(final["token"].count, expected)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await once(LONG_CHAIN, "n0", f"n{CHAIN - 1}", CHAIN)


async def fan_out(repeats: int) -> None:
    for _ in range(repeats):
        await once(FAN_OUT, "split", "collect", 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    await asyncio.gather(*(once(SHORT_CHAIN, "n0", f"n{SHORT - 1}", SHORT) for _ in range(repeats)))
