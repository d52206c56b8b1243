"""pydantic-graph: the builder API, steps that take and return messages, map and join for the fan-out."""

import asyncio
from typing import Any

from pydantic_graph import GraphBuilder, StepContext
from pydantic_graph.join import reduce_list_append
from work import CHAIN, SHORT, WIDTH, Token, check


def chain_of(length: int) -> Any:
    builder = GraphBuilder(input_type=Token, output_type=Token)

    async def step(context: StepContext[None, None, Token]) -> Token:
        return Token(text=context.inputs.text, count=context.inputs.count + 1)

    steps = [builder.step(step, node_id=f"n{position}") for position in range(length)]
    edges = zip([builder.start_node, *steps], [*steps, builder.end_node], strict=True)
    builder.add(*(builder.edge_from(source).to(target) for source, target in edges))
    return builder.build()


def wide() -> Any:
    builder = GraphBuilder(input_type=Token, output_type=Token)

    @builder.step
    async def split(context: StepContext[None, None, Token]) -> list[Token]:
        return [Token(text=context.inputs.text, count=context.inputs.count + 1) for _ in range(WIDTH)]

    @builder.step
    async def work(context: StepContext[None, None, Token]) -> Token:
        return Token(text=context.inputs.text, count=context.inputs.count + 1)

    @builder.step
    async def collect(context: StepContext[None, None, list[Token]]) -> Token:
        return Token(text="x", count=sum(token.count for token in context.inputs))

    join = builder.join(reduce_list_append, initial_factory=list[Token])
    builder.add(
        builder.edge_from(builder.start_node).to(split),
        builder.edge_from(split).map().to(work),
        builder.edge_from(work).to(join),
        builder.edge_from(join).to(collect),
        builder.edge_from(collect).to(builder.end_node),
    )
    return builder.build()


LONG_CHAIN, SHORT_CHAIN, FAN_OUT = chain_of(CHAIN), chain_of(SHORT), wide()


async def once(graph: Any, expected: int) -> None:
    check((await graph.run(inputs=Token(text="x", count=0))).count, expected)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await once(LONG_CHAIN, CHAIN)


async def fan_out(repeats: int) -> None:
    for _ in range(repeats):
        await once(FAN_OUT, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    await asyncio.gather(*(once(SHORT_CHAIN, SHORT) for _ in range(repeats)))
