"""What a model sees of a message: text in lines, numbers as features."""

import datetime
import enum
import math
from typing import Literal

from coterie.agents.messages import Confidence, Message, Passage
from coterie.agents.rendering import feature_names, features_of, text_of


class Tone(enum.Enum):
    CALM = "calm"
    LOUD = "loud"


class Price(Message):
    day: float
    week: float | None = None


class Report(Message):
    id: str
    client_id: str
    title: str
    tone: Tone
    topic: Literal["sales_figures", "risk"]
    prices: Price
    passages: list[Passage]
    facts: dict[str, str]
    citations: list[str]
    on: datetime.date
    pages: int
    final: bool
    confidence: Confidence
    remark: str | None = None


REPORT = Report(
    id="r-1",
    client_id="c-7",
    title="  Sales rose \n",
    tone=Tone.CALM,
    topic="risk",
    prices=Price(day=0.5),
    passages=[Passage(id="p-1", text="First.", score=3.0, source="a.md"), Passage(id="p-2", text=" ", source="b.md")],
    facts={"cause": "demand"},
    citations=["p-1"],
    on=datetime.date(2024, 5, 1),
    pages=3,
    final=True,
    confidence=0.25,
)


def test_text_is_what_a_person_would_read_out() -> None:
    """Strings, choices with their names, nested passages and dates; no ids, citations, spans or blank lines."""
    assert text_of(REPORT).split("\n") == ["Sales rose", "tone: calm", "topic: risk", "First.", "demand", "2024-05-01"]


def test_numbers_are_features_with_names_that_the_type_alone_decides() -> None:
    """Nested numbers have their path as a name; what is missing is NaN; truth is 1."""
    features = dict(features_of(REPORT))
    assert tuple(features) == feature_names(Report)
    assert math.isnan(features.pop("prices.week"))
    assert features == {"prices.day": 0.5, "pages": 3.0, "final": 1.0, "confidence": 0.25}


def test_a_message_without_text_is_empty() -> None:
    """Nothing is invented for it."""
    assert text_of(Price(day=1.0)) == ""
    assert feature_names(Passage) == ()


def test_a_type_that_contains_itself_ends() -> None:
    """Features of a nested message of the same type are not followed."""
    assert feature_names(Tree) == ("size",)
    assert text_of(Tree(size=1, word="a", inner=Tree(size=2, word="b"))) == "a\nb"


class Tree(Message):
    size: int
    word: str
    inner: "Tree | None" = None
