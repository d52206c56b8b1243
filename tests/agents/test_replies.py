"""Replies and the messages that they are: what is written for a model to learn reads as the message again."""

import json
from enum import Enum
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from coterie.agents import Message, Passage
from coterie.agents.constraints import Grammars
from coterie.agents.grammar import grammar_of
from coterie.agents.prompting import handles
from coterie.agents.replies import read_reply, write_reply
from coterie.agents.tokens import load_tokenizer

PASSAGES = [Passage(id=f"report#{number}", text="revenue rose") for number in range(3)]


class Tone(Enum):
    WARM = "warm"
    COOL = "cool"


class Note(Message):
    text: Annotated[str, Field(max_length=40)]
    citations: list[str]


class Choice(Message):
    label: Literal["yes", "no"]
    tone: Tone
    sure: bool
    score: Annotated[int, Field(ge=0, le=9)]
    why: Annotated[str, Field(max_length=30)]


class Report(Message):
    label: Literal["up", "down"]
    points: list[str]
    notes: list[Note]


words = st.text(st.characters(codec="utf-8"), max_size=60)
notes = st.builds(
    Note,
    text=words.map(lambda text: text[:40]),
    citations=st.lists(st.sampled_from([p.id for p in PASSAGES]), unique=True),
)
choices = st.builds(
    Choice,
    label=st.sampled_from(["yes", "no"]),
    tone=st.sampled_from(Tone),
    sure=st.booleans(),
    score=st.integers(0, 9),
    why=words.map(lambda text: text[:30]),
)
reports = st.builds(
    Report, label=st.sampled_from(["up", "down"]), points=st.lists(words, max_size=3), notes=st.lists(notes, max_size=2)
)


@given(st.one_of(notes, choices, reports))
def test_what_is_written_is_read_again(message: Message) -> None:
    """And written once more, it is the same reply: only texts are made plain, and only once."""
    produces = type(message)
    written = write_reply(produces, message, PASSAGES)
    read = read_reply(produces, written, PASSAGES)
    assert write_reply(produces, read, PASSAGES) == written
    assert type(read) is produces
    plain = {name for name in produces.model_fields if name in ("label", "tone", "sure", "score", "citations")}
    assert read.model_dump(include=plain) == message.model_dump(include=plain)


def test_a_first_text_is_spoken_before_the_rest() -> None:
    """Citations become handles, and back."""
    note = Note(text="Sales rose.", citations=["report#2", "report#0"])
    assert write_reply(Note, note, PASSAGES) == 'Sales rose.\n{"citations":["C","A"]}'
    assert read_reply(Note, 'Sales rose.\n{"citations":["C","A"]}', PASSAGES) == note


def test_a_member_of_a_union_begins_with_its_name() -> None:
    """As the grammar has it."""
    choice = Choice(label="yes", tone=Tone.COOL, sure=True, score=3, why="it fell")
    written = write_reply(Note | Choice, choice, ())
    assert json.loads(written) == {
        "kind": Choice.schema_name, "label": "yes", "tone": "cool", "sure": True, "score": 3, "why": "it fell"
    }  # fmt: skip
    assert read_reply(Note | Choice, written, ()) == choice


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('he said "no"', "he said 'no'"),
        ("a\\b", "a/b"),
        ("two\nlines\tand\u2028more", "two lines and more"),
        ("  spaced  out ", "spaced out"),
        ("\x00bell\u200b", "bell"),
        ("long " * 20, "long long long long long long long long"),
    ],
)
def test_what_no_reply_can_hold_is_made_plain(text: str, plain: str) -> None:
    """Quotation marks, backslashes, line breaks, control characters, and what is beyond the length."""
    note = Note.model_construct(text=text, citations=["elsewhere#1"])
    assert write_reply(Note, note, PASSAGES) == f'{plain}\n{{"citations":[]}}'


@given(st.one_of(notes, choices))
def test_the_grammar_accepts_what_is_written(tiny_grammars: Grammars, message: Message) -> None:
    """Token by token, so a model can learn it."""
    grammars, tokenizer = tiny_grammars
    produces = type(message)
    written = write_reply(produces, message, PASSAGES)
    constraint = grammars.constraint(grammar_of(produces, handles(3), 4_000).text)
    for token in tokenizer.encode(written, add_special_tokens=False):
        constraint.take(token)
    assert constraint.may_end or constraint.ended


@pytest.fixture(scope="module")
def tiny_grammars(tiny_decoder):
    tokenizer = load_tokenizer(tiny_decoder)
    return Grammars(tokenizer, len(tokenizer)), tokenizer
