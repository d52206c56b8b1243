"""An answer as the text that a model writes: within the grammar, and read back as the same message."""

import enum
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

import llguidance.hf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher
from pydantic import Field

from coterie.agents import Message, Passage
from coterie.agents.grammar import END_OF_TURN, grammar_of
from coterie.agents.prompting import handles
from coterie.agents.reply_text import read_reply, write_reply
from coterie.agents.tokens import load_tokenizer

PASSAGES = [Passage(id=f"report#{number}", text="revenue rose") for number in range(3)]


class Tone(enum.Enum):
    CALM = "calm"
    LOUD = "löud"


class Note(Message):
    text: Annotated[str, Field(max_length=60)]
    citations: list[str]


class Line(Message):
    name: Annotated[str, Field(max_length=20)]
    share: Annotated[float, Field(ge=0, le=1)]


class Table(Message):
    kind_of: Literal["sales", 'the "rest"']
    tone: Tone
    count: Annotated[int, Field(ge=0, le=9)] | None
    sure: bool
    lines: Annotated[list[Line], Field(max_length=2)]
    why: Annotated[str, Field(max_length=60)]


def in_grammar(produces: Any, text: str, folder: Path) -> bool:
    """Whether the grammar that decoding is held to lets `text` through, to its end."""
    tokenizer = load_tokenizer(folder)
    grammar = grammar_of(produces, handles(len(PASSAGES)), 400).text
    compiled = LLMatcher.grammar_from_lark(grammar.replace(END_OF_TURN, f"<[{tokenizer.eos_token_id}]>"))
    matcher = LLMatcher(llguidance.hf.from_tokenizer(tokenizer), compiled, log_level=0)
    tokens = tokenizer.encode(text, add_special_tokens=False)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


texts = st.text(max_size=50).filter(lambda text: any(unicodedata.category(one)[0] in "LN" for one in text))
citations = st.lists(st.sampled_from([passage.id for passage in PASSAGES]), max_size=3, unique=True)
notes = st.builds(Note, text=texts, citations=citations)
lines = st.builds(Line, name=texts.map(lambda text: text[:20]), share=st.floats(0, 1))
tables = st.builds(
    Table,
    kind_of=st.sampled_from(["sales", 'the "rest"']),
    tone=st.sampled_from(Tone),
    count=st.none() | st.integers(0, 9),
    sure=st.booleans(),
    lines=st.lists(lines, max_size=2),
    why=texts,
)


@given(st.one_of(notes, tables), st.booleans())
def test_what_is_written_is_read_back_and_written_the_same(message: Message, alone: bool) -> None:
    """Of one type and of a union; texts are mended once, and numbers moved to the grid."""
    produces: Any = type(message) if alone else Note | Table
    written = write_reply(produces, message, PASSAGES)
    back = read_reply(produces, written, PASSAGES)
    assert type(back) is type(message)
    assert write_reply(produces, back, PASSAGES) == written
    if isinstance(message, Note) and isinstance(back, Note):
        assert back.citations == message.citations
    if isinstance(message, Table) and isinstance(back, Table):
        assert (back.kind_of, back.tone, back.count, back.sure) == (
            *(message.kind_of, message.tone),
            *(message.count, message.sure),
        )
        assert all(abs(one.share - other.share) <= 0.005 for one, other in zip(back.lines, message.lines, strict=True))


@pytest.mark.parametrize("produces", [Note, Note | Table])
def test_the_text_stays_within_the_grammar(produces: Any, tiny_decoder: Path) -> None:
    """So a model that learned it could have written it under the constraint."""
    note = Note(text='Sales "rose"\n by 10 %\t\\ more \u202e.', citations=["report#2", "report#0"])
    assert in_grammar(produces, write_reply(produces, note, PASSAGES), tiny_decoder)


def test_a_table_stays_within_the_grammar(tiny_decoder: Path) -> None:
    """With choices, numbers, lists and nested messages."""
    table = Table(
        kind_of='the "rest"',
        tone=Tone.LOUD,
        count=None,
        sure=True,
        lines=[Line(name="Ohio", share=0.333), Line(name="Iowa", share=1)],
        why="So it is.",
    )
    assert in_grammar(Table, write_reply(Table, table, PASSAGES), tiny_decoder)
    assert not in_grammar(Table, write_reply(Table, table, PASSAGES) + "}", tiny_decoder)


def test_the_form_is_that_of_the_grammar() -> None:
    """A spoken line and an object; citations as handles; of a union, the member's name first."""
    note = Note(text="Up.", citations=["report#1"])
    assert write_reply(Note, note, PASSAGES) == 'Up.\n{"citations":["B"]}'
    assert write_reply(Note | Table, note, PASSAGES) == '{"kind":"Note","text":"Up.","citations":["B"]}'


def test_a_passage_that_was_not_shown_cannot_be_cited() -> None:
    """It has no handle."""
    with pytest.raises(ValueError, match="cites 'report#2', but 2 other passages were shown"):
        write_reply(Note, Note(text="Up.", citations=["report#2"]), PASSAGES[:2])
