"""Changed copies: pure functions of text and chance, and what each of them leaves alone."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.augmentation import (
    AUGMENTERS,
    KEPT,
    NUMBER,
    case,
    changed_copies,
    entities,
    names_in,
    numbers,
    punctuation,
    truncation,
    typos,
)

words = st.lists(
    st.sampled_from(["profit", "rose", "10", "12.5%", "to", "1,250", "EUR", "it's", "in", "2024,", "Nokia", "fell."]),
    max_size=12,
).map(" ".join)
texts = st.text(max_size=60) | words
chances = st.integers(0, 10_000)


@given(texts, chances, st.sampled_from(sorted(AUGMENTERS)))
def test_the_same_chance_gives_the_same_copy(text: str, seed: int, name: str) -> None:
    """And whatever the text is, a text comes back."""
    made = [AUGMENTERS[name](text, random.Random(seed)) for _ in range(2)]
    assert made[0] == made[1]
    assert isinstance(made[0], str)


@given(texts, chances)
def test_typos_are_few_and_spare_first_letters_and_what_is_no_letter(text: str, seed: int) -> None:
    """One slip in twenty letters, or one."""
    changed = typos(text, random.Random(seed))
    assert abs(len(changed) - len(text)) <= max(1, len(text) // 20)
    assert [sign for sign in changed if not sign.isalpha()] == [sign for sign in text if not sign.isalpha()]
    assert re.findall(r"(?<![^\W\d_])[^\W\d_]", changed) == re.findall(r"(?<![^\W\d_])[^\W\d_]", text)


@given(words, chances)
def test_case_changes_nothing_else(text: str, seed: int) -> None:
    """Compared without case, nothing is changed."""
    assert case(text, random.Random(seed)).casefold() == text.casefold()


@given(texts, chances)
def test_numbers_keep_their_order_their_decimals_and_what_is_around_them(text: str, seed: int) -> None:
    """Years stay too; which of two is larger stays, and so does equality."""
    changed = numbers(text, random.Random(seed))
    assert NUMBER.sub("#", changed) == NUMBER.sub("#", text)
    before, after = NUMBER.findall(text), NUMBER.findall(changed)
    assert [len(one.partition(".")[2]) for one in before] == [len(one.partition(".")[2]) for one in after]
    values = [
        (float(one.replace(",", "")), float(two.replace(",", ""))) for one, two in zip(before, after, strict=True)
    ]
    for one, two in values:
        for other, another in values:
            assert (one < other) == (two < another)
    assert [one for one in before if re.fullmatch(r"(19|20)\d\d", one)] == [
        two for one, two in zip(before, after, strict=True) if re.fullmatch(r"(19|20)\d\d", one)
    ]


@given(words, chances)
def test_punctuation_keeps_every_letter_and_digit(text: str, seed: int) -> None:
    """And separators within numbers."""
    changed = punctuation(text, random.Random(seed))
    assert [sign for sign in changed if sign.isalnum()] == [sign for sign in text if sign.isalnum()]
    assert NUMBER.findall(changed + " ") == NUMBER.findall(text.rstrip("., ") + " ")


@given(texts, chances)
def test_truncation_keeps_a_beginning_of_whole_words(text: str, seed: int) -> None:
    """Seven in ten at the least, and at least one."""
    changed = truncation(text, random.Random(seed))
    assert text.startswith(changed)
    assert text.split()[: len(changed.split())] == changed.split()
    assert len(changed.split()) >= KEPT * len(text.split())


def test_entities_are_replaced_by_others_of_the_same_sort_each_name_alike() -> None:
    """The first word of a sentence may be any word, so it stays."""
    texts = ["Profit of Nokia Siemens rose, and Nokia Siemens pays", "Shares of Konecranes fell"]
    assert names_in(texts) == ("Konecranes", "Nokia Siemens")
    changed = entities(names_in(texts))(texts[0], random.Random(0))
    assert changed == "Profit of Konecranes rose, and Konecranes pays"
    assert entities(("Konecranes",))(texts[1], random.Random(0)) == texts[1]


def test_each_augmenter_changes_something() -> None:
    """Over a few draws of chance."""
    text = "In 2024, profit of the company rose from 10.5 to 12.5 percent, and it's paid."
    for augmenter in AUGMENTERS.values():
        assert {augmenter(text, random.Random(seed)) for seed in range(20)} - {text}


@given(st.lists(words, max_size=8), st.floats(0, 3), chances)
def test_copies_are_changed_of_known_texts_and_no_more_than_asked_for(
    some: list[str], amount: float, seed: int
) -> None:
    """The same for the same seed; a text's copies do not depend on the other texts."""
    made = list(changed_copies(some, amount, seed))
    assert made == list(changed_copies(some, amount, seed))
    assert all(text != some[place] for place, text in made)
    assert len(made) <= len(some) * (int(amount) + 1)
    assert [one for one in made if one[0] == 0] == list(changed_copies(some[:1], amount, seed))


@pytest.mark.parametrize(("amount", "least", "most"), [(0.0, 0, 0), (0.5, 60, 140), (2.0, 300, 400)])
def test_how_many_copies_there_are(amount: float, least: int, most: int) -> None:
    """Of 200 texts, less those that came out as they were."""
    some = [f"profit rose from {number}.5 to 12.5 percent, and it's paid" for number in range(200)]
    assert least <= len(list(changed_copies(some, amount, 0))) <= most
