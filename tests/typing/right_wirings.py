"""Wirings that are right: strict type checkers find nothing here. Checked by test_wirings.py, never run."""

from typing import Literal

from coterie.agents import (
    Agent,
    Confidence,
    DecisionClassifier,
    DialogueManager,
    Failure,
    Message,
    Passage,
    Retriever,
)
from coterie.orchestration import Context, Flow, Given, Node, Review, Runtime, Workflow, node


class Question(Message):
    text: str
    company: str


class Query(Message):
    text: str


class PriceWindow(Message):
    closes: list[float]


class Evidence(Message):
    passages: list[Passage]


class Mood(Message):
    label: Literal["positive", "neutral", "negative"]
    confidence: Confidence


class Outlook(Message):
    movement: float


class Brief(Message):
    text: str


class Note(Message):
    text: str
    citations: list[str]


class Publish(Message):
    text: str


class NeedsReview(Message):
    text: str


# The roles: a retriever, two classifiers, a dialogue manager, a router, and a person.

search = Retriever[Query, Evidence]("finance/search", passages="reports.jsonl")
mood = DecisionClassifier[Question, Mood]("finance/mood")
outlook = DecisionClassifier[PriceWindow, Outlook]("finance/outlook")
write = DialogueManager[Brief, Note]("finance/writer", instructions="Answer from the passages.")
risk = DecisionClassifier[Note, Publish | NeedsReview]("finance/risk")
desk = Review[NeedsReview, Publish]("desk")


@node
async def plan(asked: Question) -> Query:
    return Query(text=asked.text)


@node(retries=2, backoff=0.5, limit=4)
async def window(asked: Question) -> PriceWindow:
    return PriceWindow(closes=[])


@node(timeout=2)
async def brief(found: Evidence, felt: Mood, seen: Outlook, *, asked: Given[Question], ctx: Context) -> Brief:
    ctx.listen(asked.company)
    return Brief(text=f"{asked.text} {felt.label} {seen.movement} {len(found.passages)}")


@node
async def publish(ready: Publish) -> Publish:
    return ready


def finance_desk() -> Flow[Question, Publish]:
    workflow = Workflow("finance-desk", Question, Publish)
    workflow.start(plan, mood, window)
    workflow.edge(plan, search)
    workflow.edge(window, outlook)
    workflow.gather((search, mood, outlook), brief)
    workflow.edge(brief, write)
    workflow.edge(write, risk)
    workflow.edge(risk, publish, on=Publish)
    workflow.edge(risk, desk, on=NeedsReview)
    workflow.edge(desk, publish)
    workflow.end(publish)
    return workflow.build()


# Maps, loops, handlers.


@node
async def lines(asked: Question) -> list[Query]:
    return [Query(text=line) for line in asked.text.splitlines()]


@node
async def combine(found: list[Evidence]) -> Note:
    return Note(text=str(len(found)), citations=[])


@node
async def spare_evidence(failure: Failure) -> Evidence:
    return Evidence(passages=[])


@node
async def skip(failure: Failure) -> None:
    return None


@node
async def check(draft: Note) -> Note | Publish:
    return draft


@node
async def give_up(draft: Note) -> Publish:
    return Publish(text=draft.text)


def review_of_lines() -> Flow[Question, Publish]:
    workflow = Workflow("lines", Question, Publish)
    workflow.start(lines)
    workflow.map(lines, search, limit=8)
    workflow.on_error(search, spare_evidence, catch=LookupError)
    workflow.on_error(search, skip)
    workflow.join(search, combine, at_least=1, within=30)
    workflow.edge(combine, check, when=lambda draft: draft.text != "")
    workflow.edge(check, check, on=Note, max_visits=3, exhausted=give_up)
    workflow.edge(check, publish, on=Publish, when=lambda ready: ready.text != "")
    workflow.end(publish, give_up)
    workflow.policy(search, timeout=5, retries=1)
    return workflow.build()


# Gathers of two to five, and nodes that take more than one type.


@node
async def two(query: Query, felt: Mood) -> Note:
    return Note(text=query.text, citations=[])


@node
async def four(query: Query, felt: Mood, seen: PriceWindow, draft: Note) -> Note:
    return draft


@node
async def five(query: Query, felt: Mood, seen: PriceWindow, draft: Note, found: Evidence) -> Note:
    return draft


@node
async def either(told: Query | Evidence) -> None:
    return None


def gathers(workflow: Workflow[Question, Publish]) -> None:
    workflow.gather((plan, mood), two)
    workflow.gather((plan, mood, window, two), four)
    workflow.gather((plan, mood, window, two, search), five)
    workflow.edge(plan, either)
    workflow.edge(search, either)


# A flow, an agent and a function are nodes; a flow stands in another.


def outer() -> Flow[Question, Publish]:
    inner = finance_desk()
    workflow = Workflow("outer", Question, Publish)
    workflow.start(inner)
    workflow.edge(inner, publish)
    workflow.end(publish)
    return workflow.build()


as_node: Node[Question, Publish] = finance_desk()
as_agent: Agent[Question, Mood] = mood
as_function: Node[Question, Query] = plan


async def answer(question: Question) -> str:
    async with Runtime(limit=8) as runtime:
        run = await runtime.start(finance_desk(), question, thread="client-7", key="mail-981")
        async for event in run.events():
            assert event.seq > 0
        note: Publish = await run.result()
    return note.text + finance_desk().run_sync(question).text
