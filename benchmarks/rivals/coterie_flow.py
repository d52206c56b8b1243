"""Coterie: a flow built once, run in one runtime with its log in memory."""

from itertools import pairwise

import anyio
from work import CHAIN, SHORT, WIDTH, check

from coterie.agents import Message
from coterie.orchestration import Flow, Runtime, Workflow, node


class Token(Message):
    """As in work.py, but a Coterie message: frozen, its text checked and repaired."""

    text: str
    count: int


async def step(token: Token) -> Token:
    return Token(text=token.text, count=token.count + 1)


@node
async def split(token: Token) -> list[Token]:
    return [Token(text=token.text, count=token.count + 1) for _ in range(WIDTH)]


@node
async def work(token: Token) -> Token:
    return Token(text=token.text, count=token.count + 1)


@node
async def collect(tokens: list[Token]) -> Token:
    return Token(text="x", count=sum(token.count for token in tokens))


def chain_of(length: int) -> Flow[Token, Token]:
    workflow = Workflow("chain", Token, Token)
    nodes = [node(name=f"n{position}")(step) for position in range(length)]
    workflow.start(nodes[0])
    for source, target in pairwise(nodes):
        workflow.edge(source, target)
    workflow.end(nodes[-1])
    return workflow.build()


def wide() -> Flow[Token, Token]:
    workflow = Workflow("fan-out", Token, Token)
    workflow.start(split)
    workflow.map(split, work)
    workflow.join(work, collect)
    workflow.end(collect)
    return workflow.build()


LONG_CHAIN, SHORT_CHAIN, FAN_OUT = chain_of(CHAIN), chain_of(SHORT), wide()


async def once(runtime: Runtime, flow: Flow[Token, Token], expected: int) -> None:
    run = await runtime.start(flow, Token(text="x", count=0))
    check((await run.result()).count, expected)


async def chain(repeats: int) -> None:
    async with Runtime() as runtime:
        for _ in range(repeats):
            await once(runtime, LONG_CHAIN, CHAIN)


async def fan_out(repeats: int) -> None:
    async with Runtime() as runtime:
        for _ in range(repeats):
            await once(runtime, FAN_OUT, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    async with Runtime() as runtime, anyio.create_task_group() as group:
        for _ in range(repeats):
            group.start_soon(once, runtime, SHORT_CHAIN, SHORT)
