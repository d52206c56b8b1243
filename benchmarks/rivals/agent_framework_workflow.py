"""Microsoft Agent Framework: an executor a node, instrumentation off.

A workflow runs once at a time, so concurrent runs need one each; these are built beforehand.
"""

import asyncio
from typing import Any

from agent_framework import WorkflowBuilder, WorkflowContext, executor
from work import CHAIN, RUNS, SHORT, WIDTH, Token, check


def step(position: int, last: bool) -> Any:
    if last:

        @executor(id=f"n{position}")
        async def end(token: Token, ctx: WorkflowContext[Any, Token]) -> None:
            await ctx.yield_output(Token(text=token.text, count=token.count + 1))

        return end

    @executor(id=f"n{position}")
    async def on(token: Token, ctx: WorkflowContext[Token]) -> None:
        await ctx.send_message(Token(text=token.text, count=token.count + 1))

    return on


def chain_of(length: int) -> Any:
    steps = [step(position, position + 1 == length) for position in range(length)]
    return WorkflowBuilder(start_executor=steps[0]).add_chain(steps).build()


def wide() -> Any:
    @executor(id="split")
    async def split(token: Token, ctx: WorkflowContext[Token]) -> None:
        await ctx.send_message(Token(text=token.text, count=token.count + 1))

    @executor(id="collect")
    async def collect(tokens: list[Token], ctx: WorkflowContext[Any, Token]) -> None:
        await ctx.yield_output(Token(text="x", count=sum(token.count for token in tokens)))

    workers = [step(position, last=False) for position in range(WIDTH)]
    builder = WorkflowBuilder(start_executor=split).add_fan_out_edges(split, workers)
    return builder.add_fan_in_edges(workers, collect).build()


async def once(workflow: Any, expected: int) -> None:
    outputs = (await workflow.run(Token(text="x", count=0))).get_outputs()
    check(outputs[0].count, expected)


LONG_CHAIN, FAN_OUT = chain_of(CHAIN), wide()
SHORT_CHAINS = [chain_of(SHORT) for _ in range(RUNS)]


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await once(LONG_CHAIN, CHAIN)


async def fan_out(repeats: int) -> None:
    for _ in range(repeats):
        await once(FAN_OUT, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    await asyncio.gather(*(once(workflow, SHORT) for workflow in SHORT_CHAINS[:repeats]))
