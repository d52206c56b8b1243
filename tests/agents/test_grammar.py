"""Grammars: whatever is written within one can be read as the type that it was made for."""

import enum
import random
from typing import Annotated, Any, Literal

import llguidance.hf
import llguidance.numpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher
from pydantic import Field
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from coterie.agents import Confidence, Message, Passage
from coterie.agents.grammar import END_OF_TURN, grammar_faults, grammar_of, spoken_field
from coterie.agents.prompting import handles
from coterie.agents.reply_text import read_reply


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(Message):
    sure: bool
    colour: Colour


class Spoken(Message):
    text: str
    citations: list[str]


class Short(Message):
    text: Annotated[str, Field(min_length=3, max_length=12)]
    second: str
    count: Annotated[int, Field(ge=-3, lt=4)]


class Chosen(Message):
    label: Literal["a", "b", 3]
    share: Annotated[float, Field(gt=0, lt=1)]
    maybe: Annotated[int, Field(ge=1, le=9)] | None
    inner: Inner
    tags: Annotated[list[Literal["x", "y"]], Field(min_length=1, max_length=3)]
    notes: list[str]


class Cold(Message):
    degrees: Annotated[float, Field(ge=-40, le=-10)]


FORMS = [Spoken, Short, Chosen, Cold, Spoken | Chosen, Cold | Short]
PASSAGES = [Passage(id=f"p{number}", text="x") for number in range(5)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A token for each byte, so that a walk can go wrong at any byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate([*alphabet, "<end>"])}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bytewise, eos_token="<end>")  # noqa: S106


def walk(tokenizer: PreTrainedTokenizerFast, grammar: str, seed: int) -> list[int]:
    """Tokens of a random text of `grammar`."""
    guide = llguidance.hf.from_tokenizer(tokenizer)
    compiled = LLMatcher.grammar_from_lark(grammar.replace(END_OF_TURN, f"<[{tokenizer.eos_token_id}]>"))
    assert LLMatcher.validate_grammar(compiled, guide) == ""
    matcher, chance, tokens = LLMatcher(guide, compiled), random.Random(seed), []
    mask = llguidance.numpy.allocate_token_bitmask(1, guide.vocab_size)
    while not matcher.is_stopped():
        llguidance.numpy.fill_next_token_bitmask(matcher, mask)
        allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8)[0], bitorder="little")[: guide.vocab_size])
        token = int(chance.choice(allowed))
        matcher.consume_token(token)
        tokens.append(token)
        assert not matcher.is_error(), matcher.get_error()
        assert len(tokens) < 5_000
    return tokens


@settings(max_examples=120, deadline=None)
@given(form=st.sampled_from(FORMS), seed=st.integers(0, 10_000), shown=st.integers(0, 5), budget=st.integers(1, 40))
def test_every_text_of_a_grammar_is_a_message_of_its_type(
    tokenizer: PreTrainedTokenizerFast, form: Any, seed: int, shown: int, budget: int
) -> None:
    """Also where a text ends in the middle of a character; and it never takes more tokens than was said."""
    grammar = grammar_of(form, handles(shown), budget)
    tokens = walk(tokenizer, grammar.text, seed)
    message = read_reply(form, tokenizer.decode(tokens, skip_special_tokens=True), PASSAGES)
    assert isinstance(message, Message)
    assert len(tokens) <= grammar.longest
    if isinstance(message, Spoken):
        assert set(message.citations) <= {passage.id for passage in PASSAGES[:shown]}
        assert len(set(message.citations)) == len(message.citations)


def test_a_first_text_is_spoken_before_the_object() -> None:
    """A small model writes more fluently so; a union must say which member it is first."""
    assert spoken_field(Spoken) == "text"
    assert spoken_field(Chosen) is None
    assert spoken_field(Spoken | Chosen) is None


def test_all_faults_of_a_type_are_told_at_once() -> None:
    """Each in a sentence that names the field and what to do."""

    class Hopeless(Message):
        when: complex
        many: int
        few: Annotated[float, Field(ge=0)]
        wide: Annotated[int, Field(ge=0, le=10**9)]
        sure: Confidence
        inside: dict[str, int]

    faults = grammar_faults(Hopeless)
    assert len(faults) == 6
    assert "Hopeless.many is an unbounded int; give it both bounds, as in Field(ge=0, le=10)" in faults
    assert any(fault.startswith("Hopeless.sure is a Confidence, which a writer cannot know") for fault in faults)
    assert any("1,000,000,001 values" in fault for fault in faults)
    assert grammar_faults(list[Spoken]) == ["a dialogue manager answers with messages, not list[Spoken]"]


def test_a_type_that_holds_itself_is_a_fault() -> None:
    """Its replies would have no end."""
    assert grammar_faults(Endless) == ["Endless.more is Endless, which holds itself; a reply would have no end"]


class Endless(Message):
    text: str
    more: "Endless | None" = None


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_types_that_can_be_promised_have_no_faults(form: Any) -> None:
    """They are what the walks go through."""
    assert grammar_faults(form) == []
