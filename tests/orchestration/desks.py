"""What the tests of reviews share: a flow that asks about moods, runs of it that wait, and a clock that tests move."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

from coterie.agents import Confidence, Message, ScriptedAgent
from coterie.agents.messages import Origin
from coterie.orchestration import Flow, Review, Run, Runtime, Workflow, node
from coterie.orchestration.database import Database
from coterie.orchestration.decisions import check_decisions
from coterie.orchestration.review_rows import ReviewRow
from coterie.orchestration.schema import decisions, reviews

Label = Literal["positive", "neutral", "negative"]


class Headline(Message):
    text: str
    sure: float = 0.62  # how sure the model is of it
    says: Label = "positive"


class Mood(Message):
    label: Label
    confidence: Confidence


class Published(Message):
    label: Label
    confidence: Confidence


def feel(headline: Headline) -> Mood:
    mood = Mood(label=headline.says, confidence=headline.sure)
    other = "negative" if headline.says != "negative" else "neutral"
    ranked = ((headline.says, headline.sure), (other, 1 - headline.sure))
    return mood.made_by(Origin(role="mood", weights="ab" * 32, alternatives=ranked))


@node
async def publish(mood: Mood) -> Published:
    return Published(label=mood.label, confidence=mood.confidence)


def moods(calls: list[str] | None = None, **settings: Any) -> Flow[Headline, Published]:
    """A flow in which a person looks at the mood of a headline; `calls` keeps for which headlines the model was called.

    Args:
        settings: of the review; grace and blind items are off unless they say otherwise.
    """

    def say(headline: Headline) -> Mood:
        if calls is not None:
            calls.append(headline.text)
        return feel(headline)

    mood = ScriptedAgent[Headline, Mood]("mood", say)
    desk = Review[Mood, Mood]("desk", **{"grace": 0.0, "blind": 0.0, **settings})
    flow = Workflow("moods", Headline, Published)
    flow.start(mood)
    flow.edge(mood, desk)
    flow.edge(desk, publish)
    flow.end(publish)
    return flow.build()


async def waiting(runtime: Runtime, flow: Flow[Any, Any], *messages: Message, **settings: Any) -> list[Run[Any]]:
    """Runs of `flow`, one for each of `messages`, which wait for people."""
    found = [await runtime.start(flow, message, **settings) for message in messages]
    for run in found:
        await run.wait_settled()
    return found


@asynccontextmanager
async def asked(database: str, flow: Flow[Any, Any], *messages: Message, by: str = "otto") -> AsyncIterator[list[Run]]:
    """The same, in a runtime of their own that is open as long as the block."""
    async with Runtime(log=database) as runtime:
        yield await waiting(runtime, flow, *messages, by=by)


async def left(database: str, flow: Flow[Any, Any], *messages: Message, by: str = "otto") -> list[str]:
    """The ids of runs that wait while no process holds them."""
    async with asked(database, flow, *messages, by=by) as runs:
        return [run.id for run in runs]


class Clock:
    """Tells the time that a test says it is."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextmanager
def opened(database: str) -> Iterator[Database]:
    found = Database(database)
    try:
        yield found
    finally:
        found.close()


def stored_rows(database: str) -> list[ReviewRow]:
    """The rows of all reviews, by run and task."""
    chosen = reviews.select().order_by(reviews.c.run, reviews.c.task)
    with opened(database) as log:
        return log.read(lambda connection: [ReviewRow(*row) for row in connection.execute(chosen)])


def stored_decisions(database: str) -> Sequence[Any]:
    """The rows of all decisions, which are as they were written."""
    with opened(database) as log:
        assert log.read(lambda connection: list(check_decisions(connection))) == []
        return log.read(lambda connection: connection.execute(decisions.select().order_by(decisions.c.seq)).all())


def acts(database: str) -> list[tuple[str, str]]:
    """Who did what, in order."""
    return [(row.by, row.act) for row in stored_decisions(database)]
