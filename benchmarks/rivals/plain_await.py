"""No orchestration at all: functions that await each other. The floor, for reference; it promises nothing."""

import asyncio

from work import CHAIN, SHORT, WIDTH, Token, check


async def step(token: Token) -> Token:
    return Token(text=token.text, count=token.count + 1)


async def split(token: Token) -> list[Token]:
    return [Token(text=token.text, count=token.count + 1) for _ in range(WIDTH)]


async def collect(tokens: list[Token]) -> Token:
    return Token(text="x", count=sum(token.count for token in tokens))


async def run_chain(length: int) -> None:
    token = Token(text="x", count=0)
    for _ in range(length):
        token = await step(token)
    check(token.count, length)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await run_chain(CHAIN)


async def fan_out(repeats: int) -> None:
    for _ in range(repeats):
        tokens = await split(Token(text="x", count=0))
        answer = await collect(await asyncio.gather(*(step(token) for token in tokens)))
        check(answer.count, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    await asyncio.gather(*(run_chain(SHORT) for _ in range(repeats)))
