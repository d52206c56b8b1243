"""Written replies against wanted ones: field by field, and what they cite."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pytest
from pydantic import Field

from coterie.agents import Message
from coterie.agents.inference import ChatTurn
from coterie.tuning.reply_measures import citation_precision, field_matches, reply_fields, write_replies
from coterie.tuning.rows import DialogueRow, Source

if TYPE_CHECKING:
    from coterie.agents.engine import Engine


class Note(Message):
    text: Annotated[str, Field(max_length=30)]
    citations: list[str]


class Move(Message):
    move: Literal["focus", "telling"]
    text: Annotated[str, Field(max_length=30)]


def test_fields_match_exactly_or_not() -> None:
    """Each by itself; a field that is not wanted is no number."""
    written = ['{"move":"focus","text":"why?"}', '{"move":"telling","text":"it is 4"}', '{"move":"focus","text":"x"}']
    wanted = ['{"move":"focus","text":"how?"}', '{"move":"telling","text":"it is 4"}', '{"move":"telling"}']
    found = field_matches(Move, written, wanted)
    np.testing.assert_equal(found["move"], [1, 1, 0])
    np.testing.assert_equal(found["text"], [0, 1, np.nan])


def test_a_spoken_text_is_a_field() -> None:
    """Like those in the object."""
    assert reply_fields(Note, 'It rose.\n{"citations":["A"]}') == {"text": "It rose.", "citations": ["A"]}


def test_citation_precision_is_of_what_was_cited() -> None:
    """Half of two; none of one; no number where nothing was."""
    wanted = ['a\n{"citations":["A","B"]}'] * 3
    written = ['x\n{"citations":["A","C"]}', 'x\n{"citations":["D"]}', 'x\n{"citations":[]}']
    np.testing.assert_equal(citation_precision(Note, written, wanted), [0.5, 0, np.nan])


@pytest.mark.parametrize("text", ["", "It rose.", "It rose.\n[1]", "It rose.\n{"])
def test_what_is_no_reply_is_refused(text: str) -> None:
    """With what was found."""
    with pytest.raises(ValueError, match="is no reply: "):
        reply_fields(Note, text)


def test_each_wanted_reply_needs_a_written_one() -> None:
    """None may be left out."""
    with pytest.raises(ValueError, match="cannot compare 1 replies with 2 wanted ones"):
        field_matches(Note, ["a"], ["a", "b"])


@pytest.mark.anyio
async def test_what_a_model_writes_has_the_form(engine: "Engine", tiny_decoder: Path) -> None:
    """Any weights: citations name only passages that the last turn shows."""
    turns = (
        ChatTurn("system", "Answer."),
        ChatTurn("user", "[A] revenue rose\n[B] costs fell\n\nQuestion: how were sales?"),
        ChatTurn("assistant", 'They rose.\n{"citations":["A"]}'),
    )
    rows = [DialogueRow(str(n), turns, (False, False, True), "gate", Source("test", "t")) for n in range(2)]
    first, second = await write_replies(engine, str(tiny_decoder), Note, rows, text_tokens=8)
    assert first == second
    assert set(reply_fields(Note, first)["citations"]) <= {"A", "B"}
