"""The finance desk as a graph: a question about a company -> a note that cites the reports, or a person who looks.

Five roles work together: search over the reports, the mood of each news line, the outlook from the prices, the writer
of the note, and the one who decides whether a person must see it. None of them is tuned when it is shipped.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from finance_sources import News, Prices
from pydantic import Field

from coterie.agents import Confidence, DecisionClassifier, DialogueManager, Message, Passage, Retriever
from coterie.agents.releases import live_digest
from coterie.orchestration import Flow, Given, Review, Workflow, node

OUTLOOK = "finance/outlook"  # the role
LINES = 5  # news lines that are looked at for one question
FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")


class Question(Message):
    """What somebody wants to know."""

    text: str
    company: str = ""


class Query(Message):
    """What is searched for."""

    text: str


class Evidence(Message):
    """What the reports say about it."""

    passages: list[Passage]


class NewsLine(Message):
    """One headline about the company."""

    text: str


class Mood(Message):
    """How a headline sounds to a shareholder."""

    label: Literal["positive", "neutral", "negative"]
    confidence: Confidence


class NewsMood(Message):
    """How many of the news lines sound how."""

    positive: int
    neutral: int
    negative: int


class PriceWindow(Message):
    """How the share has moved, in words and as fractions."""

    text: str
    day: float
    week: float
    month: float
    volatility: float


class Outlook(Message):
    """Where the share seems to go: -1 sharply down, 1 sharply up."""

    movement: Annotated[float, Field(ge=-1, le=1)]


class Brief(Message):
    """All that is known when the note is written. Numbers are carried along; the writer reads the texts."""

    question: str
    company: str
    passages: list[Passage]
    news: NewsMood
    outlook: Outlook


class Note(Message):
    """An answer and the ids of the passages that it rests on."""

    text: Annotated[str, Field(min_length=1)]
    citations: Annotated[list[str], Field(min_length=1, max_length=3)]


class Grounded(Note):
    """A note whose figures all stand in what it cites."""


class Publish(Note):
    """A note that may go out."""


class NeedsReview(Note):
    """A note that a person must see first."""

    why: str = "It does not read like a plain statement of facts."


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
        OUTLOOK,
        describe={"low": "The share price is falling sharply.", "high": "The share price is rising sharply."},
    )
    write = DialogueManager[Brief, Note](
        "finance/writer",
        instructions="Answer the question in one short sentence, using only the passages.",
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
        return PriceWindow(text=text, day=moved.day, week=moved.week, month=moved.month, volatility=moved.volatility)

    @node
    async def tally(moods: list[Mood]) -> NewsMood:
        counts = Counter(mood.label for mood in moods)
        return NewsMood(positive=counts["positive"], neutral=counts["neutral"], negative=counts["negative"])

    @node
    async def brief(found: Evidence, felt: NewsMood, seen: Outlook, *, asked: Given[Question]) -> Brief:
        return Brief(question=asked.text, company=asked.company, passages=found.passages, news=felt, outlook=seen)

    @node
    async def ground(note: Note, *, found: Given[Evidence]) -> Grounded | NeedsReview:
        cited, missing = grounds(note.text, found.passages)
        if cited and not missing:
            return Grounded(text=note.text, citations=cited)
        why = f"No passage says {', '.join(missing)}." if missing else "No passage says most of this."
        return NeedsReview(text=note.text, citations=cited or note.citations, why=why)

    @node
    async def publish(note: Publish, *, known: Given[Brief], moved: Given[PriceWindow]) -> Publish:
        felt = known.news
        mood = f"News: {felt.positive} good, {felt.neutral} neutral, {felt.negative} bad."
        tuned = "Outlook" if live_digest(OUTLOOK) else "Untuned outlook"
        outlook = f"{moved.text} {tuned} {known.outlook.movement:+.2f}."
        return Publish(text=f"{note.text} {mood} {outlook}", citations=note.citations)

    workflow = Workflow("finance-desk", Question, Publish)
    workflow.start(plan, lines, window)
    workflow.edge(plan, search)
    workflow.map(lines, mood)
    workflow.join(mood, tally)
    workflow.edge(window, outlook)
    workflow.gather((search, tally, outlook), brief)
    workflow.edge(brief, write)
    workflow.edge(write, ground)
    workflow.edge(ground, risk, on=Grounded)
    workflow.edge(ground, person, on=NeedsReview)
    workflow.edge(risk, publish, on=Publish)
    workflow.edge(risk, person, on=NeedsReview)
    workflow.edge(person, publish)
    workflow.end(publish)
    return workflow.build()


def grounds(text: str, passages: Sequence[Passage]) -> tuple[list[str], list[str]]:
    """The passages that say what `text` says, by their words, and the figures of `text` that none of them holds.

    A small writer that has not been tuned cites almost at random, so its citations are replaced by what can be checked:
    the passage that shares most of the note's words, if it shares half of them, and those that hold figures it lacks.
    """
    said = _words(text)
    ranked = sorted(passages, key=lambda passage: -len(said & _words(passage.text)))
    if not ranked or 2 * len(said & _words(ranked[0].text)) < len(said):
        return [], []
    cited, missing = [ranked[0].id], set(FIGURE.findall(text)) - set(FIGURE.findall(ranked[0].text))
    for passage in ranked[1:3]:
        if held := missing & set(FIGURE.findall(passage.text)):
            cited.append(passage.id)
            missing -= held
    return cited, sorted(missing)


def _words(text: str) -> set[str]:
    return {word for word in WORD.findall(text.lower()) if len(word) > 3 or word[0].isdigit()}


def _moved(fraction: float) -> str:
    return f"{'rose' if fraction >= 0 else 'fell'} by {abs(fraction):.1%}"
