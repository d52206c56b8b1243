"""AutoGen core: an agent a node on a single-threaded runtime; each sends its answer on to the next and waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from pydantic import BaseModel
from work import CHAIN, SHORT, WIDTH, Token, check


class Wide(BaseModel):
    """Asks for a fan-out; the runtime delivers by type."""

    token: Token


class Step(RoutedAgent):
    def __init__(self, after: str | None) -> None:
        super().__init__("a step")
        self._after = after

    @message_handler
    async def handle(self, message: Token, ctx: MessageContext) -> Token:
        token = Token(text=message.text, count=message.count + 1)
        return token if self._after is None else await self.send_message(token, AgentId(self._after, "default"))


class Split(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("splits and joins")

    @message_handler
    async def handle(self, message: Wide, ctx: MessageContext) -> Token:
        tokens = [Token(text=message.token.text, count=message.token.count + 1) for _ in range(WIDTH)]
        sent = [self.send_message(token, AgentId("work", str(key))) for key, token in enumerate(tokens)]
        answers = await asyncio.gather(*sent)
        return Token(text="x", count=sum(answer.count for answer in answers))


@asynccontextmanager
async def opened(length: int) -> AsyncIterator[SingleThreadedAgentRuntime]:
    runtime = SingleThreadedAgentRuntime()
    for position in range(length):
        after = f"n{position + 1}" if position + 1 < length else None
        await Step.register(runtime, f"n{position}", lambda after=after: Step(after))
    await Split.register(runtime, "split", Split)
    await Step.register(runtime, "work", lambda: Step(None))
    runtime.start()
    yield runtime
    await runtime.stop()


async def once(runtime: SingleThreadedAgentRuntime, expected: int) -> None:
    check((await runtime.send_message(Token(text="x", count=0), AgentId("n0", "default"))).count, expected)


async def chain(repeats: int) -> None:
    async with opened(CHAIN) as runtime:
        for _ in range(repeats):
            await once(runtime, CHAIN)


async def fan_out(repeats: int) -> None:
    async with opened(1) as runtime:
        for _ in range(repeats):
            wide = Wide(token=Token(text="x", count=0))
            check((await runtime.send_message(wide, AgentId("split", "default"))).count, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    async with opened(SHORT) as runtime:
        await asyncio.gather(*(once(runtime, SHORT) for _ in range(repeats)))
