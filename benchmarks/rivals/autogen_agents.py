"""AutoGen core: an agent a node on one single-threaded runtime, which stays open between calls; tracing off.

A chain publishes to the next agent's topic, and a fan-out sends and awaits the answers: each was the faster of the two
here. Every concurrent run is a session, that is, the source of its topics.
"""

import asyncio

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from pydantic import BaseModel
from work import CHAIN, SHORT, WIDTH, Token, check

ANSWERS: dict[str, asyncio.Future[Token]] = {}  # session -> what the last agent of its chain found
OPEN: dict[int, SingleThreadedAgentRuntime] = {}  # length of the chain -> its runtime


class Wide(BaseModel):
    """Asks for a fan-out; the runtime delivers by type."""

    token: Token


class Step(RoutedAgent):
    """One node of a chain: publishes to the next, or ends the session."""

    def __init__(self, after: str | None) -> None:
        super().__init__("a step")
        self._after = after

    @message_handler
    async def handle(self, message: Token, ctx: MessageContext) -> None:
        token = Token(text=message.text, count=message.count + 1)
        assert ctx.topic_id is not None  # noqa: S101 - it was published
        session = ctx.topic_id.source
        if self._after is None:
            ANSWERS[session].set_result(token)
        else:
            await self.publish_message(token, TopicId(self._after, session))


class Work(RoutedAgent):
    """One of the parallel nodes: answers whoever sent."""

    def __init__(self) -> None:
        super().__init__("works")

    @message_handler
    async def handle(self, message: Token, ctx: MessageContext) -> Token:
        return Token(text=message.text, count=message.count + 1)


class Split(RoutedAgent):
    """The node before the parallel ones and the node after them."""

    def __init__(self) -> None:
        super().__init__("splits and joins")

    @message_handler
    async def handle(self, message: Wide, ctx: MessageContext) -> Token:
        tokens = [Token(text=message.token.text, count=message.token.count + 1) for _ in range(WIDTH)]
        sent = [self.send_message(token, AgentId("work", str(key))) for key, token in enumerate(tokens)]
        answers = await asyncio.gather(*sent)
        return Token(text="x", count=sum(answer.count for answer in answers))


async def opened(length: int) -> SingleThreadedAgentRuntime:
    """The runtime with a chain of `length` agents, made at the first call."""
    if length in OPEN:
        return OPEN[length]
    runtime = OPEN[length] = SingleThreadedAgentRuntime()
    for position in range(length):
        name, after = f"n{position}", f"n{position + 1}" if position + 1 < length else None
        await Step.register(runtime, name, lambda after=after: Step(after))
        await runtime.add_subscription(TypeSubscription(name, name))
    await Split.register(runtime, "split", Split)
    await Work.register(runtime, "work", Work)
    runtime.start()
    return runtime


async def once(runtime: SingleThreadedAgentRuntime, session: str, expected: int) -> None:
    ANSWERS[session] = asyncio.get_running_loop().create_future()
    await runtime.publish_message(Token(text="x", count=0), TopicId("n0", session))
    check((await ANSWERS[session]).count, expected)


async def chain(repeats: int) -> None:
    runtime = await opened(CHAIN)
    for _ in range(repeats):
        await once(runtime, "only", CHAIN)


async def fan_out(repeats: int) -> None:
    runtime = await opened(CHAIN)
    for _ in range(repeats):
        wide = Wide(token=Token(text="x", count=0))
        check((await runtime.send_message(wide, AgentId("split", "only"))).count, 2 * WIDTH)


async def concurrent(repeats: int) -> None:
    runtime = await opened(SHORT)
    await asyncio.gather(*(once(runtime, f"session {number}", SHORT) for number in range(repeats)))
