"""Reading unions, lists and tuples of message types."""

from typing import Any, Optional, Union

import pytest

from coterie.agents import Message
from coterie.agents.type_forms import (
    NOTHING,
    accepts,
    describe,
    is_instance,
    item_of,
    members,
    message_types,
    parts_of,
)


class A(Message):
    text: str


class B(Message):
    text: str


class Part(A):
    """An A."""


def test_members_are_those_of_the_union_in_order() -> None:
    """However the union is written; anything else is its own only member."""
    assert members(A | B) == (A, B)
    assert members(Union[B, A]) == (B, A)  # noqa: UP007
    assert members(Optional[A]) == (A, NOTHING)  # noqa: UP045
    assert members(A | list[B] | None) == (A, list[B], NOTHING)
    assert members(A) == (A,)
    assert members(None) == (NOTHING,)


def test_the_order_of_one_union_says_nothing_about_another() -> None:
    """`A | B` equals `B | A`, but a router's classes are in the order that was written."""
    assert A | B == B | A
    assert [members(form) for form in (A | B, B | A, A | B)] == [(A, B), (B, A), (A, B)]


def test_items_and_parts_are_read() -> None:
    """A list has an item, a tuple has parts; other forms have neither."""
    assert item_of(list[A]) is A
    assert item_of(A) is None
    assert item_of(list) is None
    assert parts_of(tuple[A, list[B]]) == (A, list[B])
    assert parts_of(A) == (A,)


@pytest.mark.parametrize(
    ("target", "source", "yes"),
    [
        (A, A, True),
        (A, Part, True),
        (Part, A, False),
        (A | B, A, True),
        (A | B, B | Part, True),
        (A, A | B, False),
        (Message, A | B, True),
        (list[A], list[Part], True),
        (list[A], list[B], False),
        (list[A], A, False),
        (A, list[A], False),
        (list[A | B], list[A] | list[B], True),
        (tuple[A, B], tuple[Part, B], True),
        (tuple[A, B], tuple[B, A], False),
        (tuple[A, B], tuple[A], False),
        (A | None, None, True),
        (A, None, False),
        (Any, A, True),
        (Any, list[A], True),
    ],
)
def test_a_form_accepts_every_value_of_a_narrower_one(target: Any, source: Any, yes: bool) -> None:
    """Classes by inheritance, unions by their members, lists and tuples by what they hold."""
    assert accepts(target, source) is yes


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (A, "A"),
        (A | B, "A | B"),
        (list[A], "list[A]"),
        (list[A | B], "list[A | B]"),
        (tuple[A, list[B]], "(A, list[B])"),
        (A | None, "A | None"),
        (None, "None"),
        (NOTHING, "None"),
        (Any, "Any"),
        (dict[str, A], "dict"),
    ],
)
def test_a_form_is_described_as_a_person_writes_it(form: Any, text: str) -> None:
    """Names of classes, without modules."""
    assert describe(form).startswith(text)


@pytest.mark.parametrize(
    ("value", "form", "yes"),
    [
        (A(text=""), A, True),
        (Part(text=""), A, True),
        (A(text=""), B, False),
        (A(text=""), B | A, True),
        (None, A | None, True),
        (None, A, False),
        ([], list[A], True),
        ([A(text=""), Part(text="")], list[A], True),
        ([A(text=""), B(text="")], list[A], False),
        ([A(text=""), B(text="")], list[A | B], True),
        ((A(text=""),), list[A], False),
        (A(text=""), list[A], False),
        (A(text=""), Any, True),
    ],
)
def test_a_value_is_checked_to_the_last_item(value: Any, form: Any, yes: bool) -> None:
    """Nothing of another type passes inside a list."""
    assert is_instance(value, form) is yes


def test_the_classes_inside_a_form_are_found() -> None:
    """Once each, in order, without None."""
    assert message_types(tuple[A | None, list[B], A]) == (A, B)
    assert message_types(None) == ()
