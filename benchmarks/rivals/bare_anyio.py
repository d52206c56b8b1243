"""What a careful engineer writes by hand: a task group for each run, a task for each node, messages through streams.

A node's task starts as soon as its input exists. Nothing is logged, named, timed or retried.
"""

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from work import CHAIN, SHORT, WIDTH, Token, check


async def step(token: Token, send: MemoryObjectSendStream[Token]) -> None:
    await send.send(Token(text=token.text, count=token.count + 1))


async def split(token: Token, send: MemoryObjectSendStream[list[Token]]) -> None:
    await send.send([Token(text=token.text, count=token.count + 1) for _ in range(WIDTH)])


async def collect(tokens: list[Token], send: MemoryObjectSendStream[Token]) -> None:
    await send.send(Token(text="x", count=sum(token.count for token in tokens)))


async def run_chain(length: int) -> None:
    send, receive = anyio.create_memory_object_stream[Token](1)
    async with anyio.create_task_group() as group, send, receive:
        token = Token(text="x", count=0)
        for _ in range(length):
            group.start_soon(step, token, send)
            token = await receive.receive()
        check(token.count, length)


async def run_fan_out() -> None:
    to_map, parts = anyio.create_memory_object_stream[list[Token]](1)
    to_join, answers = anyio.create_memory_object_stream[Token](WIDTH)
    to_caller, result = anyio.create_memory_object_stream[Token](1)
    async with anyio.create_task_group() as group, to_map, parts, to_join, answers, to_caller, result:
        group.start_soon(split, Token(text="x", count=0), to_map)
        for token in await parts.receive():
            group.start_soon(step, token, to_join)
        group.start_soon(collect, [await answers.receive() for _ in range(WIDTH)], to_caller)
        check((await result.receive()).count, 2 * WIDTH)


async def chain(repeats: int) -> None:
    for _ in range(repeats):
        await run_chain(CHAIN)


async def fan_out(repeats: int) -> None:
    for _ in range(repeats):
        await run_fan_out()


async def concurrent(repeats: int) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(repeats):
            group.start_soon(run_chain, SHORT)
