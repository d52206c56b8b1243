"""The flow of review.md and of its pictures: how a headline sounds, as two roles see it, and a person in doubt.

The roles are written by hand, so that the flow needs no model and always says the same.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from coterie.agents import Confidence, Message, Passage, ScriptedAgent
from coterie.agents.messages import Origin
from coterie.orchestration import Given, Review, Rule, Runtime, Workflow, node

LABELS = ("positive", "neutral", "negative")
REPORT = (
    "In the year under review {text}. The board attributes this to lower costs for steel and energy, to the new works "
    "in Lahti, and to a gain from the sale of an office building that will not come again. Orders for the next two "
    "quarters are about as high as a year ago, so that the outlook has not changed."
)
OTHER = (
    "Analysts had expected more. The share fell by two percent on the day of the report, and trading was thin, as it "
    "was on the days before. Nobody has asked for an explanation."
)


class Headline(Message):
    """A line of news."""

    text: str
    company: str = "Raute"


class Found(Message):
    """What the reports say about it."""

    passages: list[Passage]


class SecondMood(Message):
    """What the smaller of the two roles says."""

    label: Literal["positive", "neutral", "negative"]


class Brief(Message):
    """All that is known before the mood is told."""

    text: str
    passages: list[Passage]


class Mood(Message):
    """How the headline sounds to a shareholder."""

    label: Literal["positive", "neutral", "negative"]
    why: str
    citations: list[str]
    confidence: Confidence


class Posted(Message):
    """The mood as it went out."""

    label: str


def found(headline: Headline) -> Found:
    """Two passages of the company's reports."""
    said = headline.text[:1].lower() + headline.text[1:]
    report = Passage(id="report-4", text=REPORT.format(text=said), source="annual/raute-2025.md", score=0.71)
    other = Passage(id="press-88", text=OTHER, source="press/2026-09.md", score=0.31)
    return Found(passages=[report, other]).made_by(Origin(role="finance/search", weights="c4" * 32))


def second(evidence: Found) -> SecondMood:
    """It looks at one word."""
    label: Literal["positive", "neutral"] = "neutral" if "office building" in evidence.passages[0].text else "positive"
    made = Origin(role="finance/second", weights="0f" * 32, alternatives=((label, 0.8),))
    return SecondMood(label=label).made_by(made)


def told(brief: Brief) -> Mood:
    """Sure of what rises, less sure the longer the headline."""
    up = "rose" in brief.text or "grew" in brief.text
    sure = max(0.45, 0.8 - len(brief.text) / 400)
    label, other = ("positive", "negative") if up else ("negative", "positive")
    mood = Mood(label=label, why=f"{brief.text}, at lower costs", citations=["report-4"], confidence=sure)
    ranked = ((label, sure), (other, round(0.8 * (1 - sure), 4)), ("neutral", round(0.2 * (1 - sure), 4)))
    return mood.made_by(Origin(role="finance/mood", weights="5e" * 32, alternatives=ranked))


@node
async def brief(_: SecondMood, *, headline: Given[Headline], evidence: Given[Found]) -> Brief:
    """What the mood is told from."""
    return Brief(text=headline.text, passages=evidence.passages)


@node(effect="ask")
async def post(mood: Mood) -> Posted:
    """Tells the subscribers."""
    return Posted(label=mood.label)


gain = Rule("one-off", "a gain that will not come again is no good news", lambda mood: mood.label != "positive")
cited = Rule("cited", "it rests on a passage", lambda mood: bool(mood.citations))
desk = Review[Mood, Mood](
    "desk", ask_below=0.75, rules=[gain, cited], second=SecondMood, risk=lambda mood: 3.0, blind=0.0, grace=10.0
)

moods = Workflow("moods", Headline, Posted)
moods.start(search := ScriptedAgent[Headline, Found]("finance/search", found))
moods.edge(search, smaller := ScriptedAgent[Found, SecondMood]("finance/second", second))
moods.edge(smaller, brief)
moods.edge(brief, mood := ScriptedAgent[Brief, Mood]("finance/mood", told))
moods.edge(mood, desk)
moods.edge(desk, post)
moods.end(post)
flow = moods.build()


async def ask(log: Path | str, headlines: Iterable[Headline], by: str = "otto") -> None:
    """Start a run for each headline, and leave when all wait for a person."""
    async with Runtime(log=log) as runtime:
        for headline in headlines:
            run = await runtime.start(flow, headline, by=by, thread=f"client-{headline.company.lower()}")
            await run.wait_settled()
