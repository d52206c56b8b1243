"""What a careful engineer writes by hand: a task group for each run, a task for each node, messages through streams."""

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from work import CHAIN, SHORT, WIDTH, Token, check


async def node(receive: MemoryObjectReceiveStream[Token], send: MemoryObjectSendStream[Token]) -> None:
    async with receive, send:
        token = await receive.receive()
        await send.send(Token(text=token.text, count=token.count + 1))


async def run_chain(length: int) -> None:
    async with anyio.create_task_group() as group:
        first, receive = anyio.create_memory_object_stream[Token](1)
        for _ in range(length):
            send, after = anyio.create_memory_object_stream[Token](1)
            group.start_soon(node, receive, send)
            receive = after
        async with first, receive:
            await first.send(Token(text="x", count=0))
            check((await receive.receive()).count, length)


async def run_fan_out() -> None:
    send, receive = anyio.create_memory_object_stream[Token](WIDTH)

    async def work(token: Token) -> None:
        await send.send(Token(text=token.text, count=token.count + 1))

    async with anyio.create_task_group() as group, send, receive:
        source = Token(text="x", count=0)
        for token in [Token(text=source.text, count=source.count + 1) for _ in range(WIDTH)]:
            group.start_soon(work, token)
        answers = [await receive.receive() for _ in range(WIDTH)]
        check(Token(text="x", count=sum(answer.count for answer in answers)).count, 2 * WIDTH)


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
