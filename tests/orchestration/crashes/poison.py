"""Flows with a node that takes its process down, and others that are at work beside it."""

import os
import resource
from collections.abc import Sequence

import anyio

from coterie.agents import Failure, Message
from coterie.orchestration import Flow, Runtime, TaskGivenUp, Workflow, node

POISON = "poison"
cured = False  # whether poison does no harm any more


class Text(Message):
    text: str


class Item(Message):
    text: str


async def swallow(text: str) -> None:
    """Innocent work takes longer than poison does to act, so it is under way when the process ends."""
    await anyio.sleep(0.02 if text == POISON else 0.1)
    if text == POISON and not cured:
        os.abort()


@node
async def think(message: Text) -> Text:
    return message


@node
async def bite(message: Text) -> Text:
    await swallow(message.text)
    return Text(text=f"{message.text} bitten")


@node
async def rescue(failure: Failure) -> Text:
    return Text(text=failure.reason)


def meal(name: str, rescued: bool) -> Flow[Text, Text]:
    workflow: Workflow[Text, Text] = Workflow(name, Text, Text)
    workflow.start(think)
    workflow.edge(think, bite)
    if rescued:
        workflow.on_error(bite, rescue, catch=TaskGivenUp)
    workflow.end(bite)
    return workflow.build()


@node
async def split(message: Text) -> list[Item]:
    return [Item(text=text) for text in message.text.split()]


@node
async def taste(item: Item) -> Item:
    await swallow(item.text)
    return item


@node
async def skip(failure: Failure) -> None:
    return None


@node
async def together(items: list[Item]) -> Text:
    return Text(text=" ".join(item.text for item in items))


def buffet() -> Flow[Text, Text]:
    """A map, whose items are tasted at the same time; one that is given up is skipped."""
    workflow: Workflow[Text, Text] = Workflow("buffet", Text, Text)
    workflow.start(split)
    workflow.map(split, taste)
    workflow.join(taste, together)
    workflow.on_error(taste, skip, catch=TaskGivenUp)
    workflow.end(together)
    return workflow.build()


lunch, dinner, feast = meal("lunch", rescued=False), meal("dinner", rescued=True), buffet()
FLOWS = {flow.name: flow for flow in (lunch, dinner, feast)}


def live(log: str, orders: Sequence[tuple[str, str]]) -> None:
    """One process: takes up what is in the log, starts what is ordered, and stays until nothing more can happen."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    anyio.run(_live, log, orders)


async def _live(log: str, orders: Sequence[tuple[str, str]]) -> None:
    async with Runtime(log=log, flows=FLOWS.values()) as runtime:
        runs = list((await runtime.resume()).runs)
        runs += [await runtime.start(FLOWS[flow], Text(text=text)) for flow, text in orders]
        for run in runs:
            await run.wait_settled()
