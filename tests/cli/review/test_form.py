"""The typed form: values as text and back, types in words, and what an edit changes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.cli.review.form import (
    MISSING,
    Unreadable,
    choices,
    describe,
    document,
    read_document,
    text_of,
    value_of,
    word_diff,
)
from coterie.cli.text import safe

SCHEMA: dict[str, Any] = {
    "properties": {
        "label": {"$ref": "#/$defs/Label"},
        "text": {"type": "string", "maxLength": 80},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "stars": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "sure": {"type": "boolean"},
        "kind": {"const": "x"},
        "anything": {},
    },
    "required": ["label", "stars"],
    "$defs": {"Label": {"enum": ["up", "down"], "type": "string"}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("label", "one of up, down; must be given"),
        ("text", "text, length at most 80; may be left out"),
        ("maybe", "text or null; may be left out"),
        ("stars", "whole number, at least 1; must be given"),
        ("tags", "list of one of a, b, as JSON; may be left out"),
        ("kind", "always x; may be left out"),
        ("anything", "any JSON; may be left out"),
    ],
)
def test_a_type_in_words(name: str, words: str) -> None:
    """For people who read no schema."""
    assert describe(name, SCHEMA) == words


def test_listed_values() -> None:
    """Those that a number key can choose."""
    assert (choices("label", SCHEMA), choices("sure", SCHEMA), choices("text", SCHEMA)) == (
        ("up", "down"),
        (True, False),
        (),
    )


@given(st.text() | st.just("null"))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    """With its hidden characters, which are never shown as such."""
    shown = text_of(text)
    assert value_of(shown, "text", SCHEMA) == value_of(shown, "maybe", SCHEMA) == text
    assert safe(shown, len(shown)) == shown


@given(JSON)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    """Through the text of a field that takes anything but text, and through the editor."""
    if not isinstance(value, str):
        assert value_of(text_of(value), "tags", SCHEMA) == value
    assert read_document(document({"field": value})) == {"field": value}


def test_what_is_no_value_is_said_to_be_none() -> None:
    """With what the field takes."""
    with pytest.raises(Unreadable, match=r"stars: 'many' is no JSON .* it takes whole number, at least 1"):
        value_of("many", "stars", SCHEMA)
    with pytest.raises(Unreadable, match="NaN is no number that JSON has"):
        value_of("NaN", "stars", SCHEMA)
    with pytest.raises(Unreadable, match="must be one JSON object"):
        read_document("[1]")


def test_null_and_text_are_told_apart() -> None:
    """Quotes make a text of it."""
    assert value_of("null", "maybe", SCHEMA) is None
    assert value_of('"null"', "maybe", SCHEMA) == "null"
    assert value_of("null", "text", SCHEMA) == "null"
    assert text_of(MISSING) == ""


def diff(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return ["".join(piece.text for piece in one).strip() for one in word_diff(before, after)]


def test_a_diff_shows_words() -> None:
    """Only fields that change, and long stretches that do not are left out."""
    words = " ".join(str(number) for number in range(40))
    assert diff({"a": f"{words} old", "b": 1}, {"a": f"{words} new", "b": 1}) == [
        "a: 0 1 2 3 4 5 ... 34 35 36 37 38 39 [-old-] {+new+}"
    ]
    assert diff({"a": 1}, {"b": "x"}) == ["a: [-1-] {+(left out)+}", "b: [-(left out)-] {+x+}"]
    assert diff({"a": "x  y"}, {"a": "x y"}) == ["a: only spaces change"]
    assert diff({"a": 1}, {"a": 1}) == ["nothing is changed"]
    assert diff({"a": 1}, {"a": True}) == ["a: [-1-] {+true+}"]
