"""The finance desk as a graph: a question about a company -> a note that cites the reports, or a person who looks first.

Five roles work together: search over the reports, the mood of each news line, the outlook from the prices, the writer of
the note, and the one who decides whether a person must see it. None of them has been tuned here.
"""

from pathlib import Path
from typing import Annotated, Literal

from coterie.agents import (
    Confidence,
    DecisionClassifier,
    DialogueManager,
    Message,
    Passage,
    Retriever,
)
from coterie.orchestration import Flow, Given, Review, Workflow, node
from finance_sources import News, Prices
from pydantic import Field

LINES = 5  # news lines that are looked at for one question


class Question(Message):
    """What somebody wants to know."""

    text: str
    company: str = ""


class Query(Message):
    text: str


class Evidence(Message):
    passages: list[Passage]


class NewsLine(Message):
    text: str


class Mood(Message):
    label: Literal["positive", "neutral", "negative"]
    confidence: Confidence


class NewsMood(Message):
    summary: str


class PriceWindow(Message):
    text: str
    day: float
    week: float
    month: float
    volatility: float


class Outlook(Message):
    movement: Annotated[float, Field(ge=-1, le=1)]


class Brief(Message):
    """Everything that the writer may use."""

    question: str
    company: str
    news: str
    prices: str
    passages: list[Passage]


class Note(Message):
    text: Annotated[str, Field(min_length=1)]
    citations: list[str]


class Publish(Note):
    """A note that may go out."""


class NeedsReview(Note):
    """A note that a person must see first."""


def desk(reports: Path, news: News, prices: Prices) -> Flow[Question, Publish]:
    """The flow over these sources; nothing is read before the first question."""
    search = Retriever[Query, Evidence]("finance/search", passages=reports, top_k=4)
    mood = DecisionClassifier[NewsLine, Mood](
        "finance/mood",
        describe={
            "positive": "Good news for shareholders: profit, sales or the share price rise, a deal is won.",
            "neutral": "A plain announcement that is neither good nor bad for shareholders.",
            "negative": "Bad news for shareholders: losses, falling sales, a fine, a lawsuit, a warning.",
        },
    )
    outlook = DecisionClassifier[PriceWindow, Outlook](
        "finance/outlook",
        describe={"low": "The share price is falling sharply.", "high": "The share price is rising sharply."},
    )
    write = DialogueManager[Brief, Note](
        "finance/writer",
        instructions="Answer the question in one or two sentences, only from the numbered passages, and cite them.",
    )
    risk = DecisionClassifier[Note, Publish | NeedsReview](
        "finance/risk",
        describe={
            "Publish": "A plain statement of facts and figures from a company's annual report.",
            "NeedsReview": "Investment advice, a promise, a prediction, gossip, or an answer that makes no sense.",
        },
    )
    person = Review[NeedsReview, Publish]("person")

    @node
    async def plan(question: Question) -> Query:
        return Query(text=f"{question.company} {question.text}".strip())

    @node
    async def lines(question: Question) -> list[NewsLine]:
        return [NewsLine(text=line) for line in news.about(question.company, LINES)]

    @node
    async def window(question: Question) -> PriceWindow:
        moved = prices.of(question.company)
        if moved is None:
            return PriceWindow(text="No prices are known.", day=0.0, week=0.0, month=0.0, volatility=0.0)
        text = f"The share price of {moved.symbol} {_moved(moved.week)} in a week and {_moved(moved.month)} in a month."
        return PriceWindow(
            text=text, day=moved.day, week=moved.week, month=moved.month, volatility=moved.volatility
        )

    @node
    async def tally(moods: list[Mood]) -> NewsMood:
        if not moods:
            return NewsMood(summary="no news lines")
        counts = [f"{sum(one.label == label for one in moods)} {label}" for label in ("positive", "neutral", "negative")]
        return NewsMood(summary=f"{', '.join(counts)} of {len(moods)} news lines")

    @node
    async def brief(
        found: Evidence, felt: NewsMood, seen: Outlook, *, asked: Given[Question], moved: Given[PriceWindow]
    ) -> Brief:
        return Brief(
            question=asked.text,
            company=asked.company,
            news=felt.summary,
            prices=f"{moved.text} Outlook {seen.movement:+.2f}.",
            passages=found.passages,
        )

    @node
    async def uncited(note: Note) -> NeedsReview:
        return NeedsReview(text=note.text, citations=note.citations)

    @node
    async def publish(note: Publish) -> Publish:
        return note

    workflow = Workflow("finance-desk", Question, Publish)
    workflow.start(plan, lines, window)
    workflow.edge(plan, search)
    workflow.map(lines, mood)
    workflow.join(mood, tally)
    workflow.edge(window, outlook)
    workflow.gather((search, tally, outlook), brief)
    workflow.edge(brief, write)
    workflow.edge(write, risk, when=lambda note: bool(note.citations))
    workflow.edge(write, uncited, when=lambda note: not note.citations)
    workflow.edge(risk, publish, on=Publish)
    workflow.edge(risk, person, on=NeedsReview)
    workflow.edge(uncited, person)
    workflow.edge(person, publish)
    workflow.end(publish)
    return workflow.build()


def _moved(fraction: float) -> str:
    return f"{'rose' if fraction >= 0 else 'fell'} by {abs(fraction):.1%}"
