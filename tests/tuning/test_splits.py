"""Parts by thread hash: for ever, with near-duplicates on one side."""

from collections import Counter
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from coterie.agents.inference import ChatTurn
from coterie.tuning.near_duplicates import ALIKE, likeness, near_duplicate_groups
from coterie.tuning.rows import SPLITS, ClassifierRow, DialogueRow, RetrieverRow, Source
from coterie.tuning.splits import SHARES, compared_text, split_of, splits_of, thread_of_text

WORDS = ("net", "sales", "rose", "fell", "in", "Ohio", "10", "2.5%", "!", "straße")
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=14)


def brute_groups(texts: list[str]) -> list[int]:
    """Every text compared with every other, and chains followed to their first text."""
    groups = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if likeness(texts[one], texts[other]) >= ALIKE:
            low, high = sorted((groups[one], groups[other]))
            groups = [low if group == high else group for group in groups]
    return groups


@given(texts)
def test_near_duplicates_are_found_exactly(texts: list[str]) -> None:
    """The filter leaves nothing out that comparing each with each would find."""
    assert near_duplicate_groups(texts) == brute_groups(texts)


def test_texts_that_differ_in_a_figure_or_a_word_are_alike() -> None:
    """And those that share half of their words are not."""
    said = "Operating profit rose to EUR 13.1 mn from EUR 8.7 mn in the corresponding period"
    other = "Operating profit rose to EUR 9 mn from EUR 200 mn in the corresponding period"
    far = "Operating profit rose sharply, as the company said in a statement on Monday"
    assert near_duplicate_groups([said, other, said.replace("rose", "fell"), far, "", "?", "?", " "]) == [
        *(0, 0, 0, 3),
        *(4, 5, 5, 4),
    ]


@given(texts, st.data())
def test_near_duplicates_and_rows_of_a_thread_never_straddle(texts: list[str], data: st.DataObject) -> None:
    """Whatever threads they belong to."""
    threads = [data.draw(st.sampled_from("abcdefghijklmnop")) for _ in texts]
    splits = splits_of(threads, texts)
    for one, other in combinations(range(len(texts)), 2):
        if threads[one] == threads[other] or likeness(texts[one], texts[other]) >= ALIKE:
            assert splits[one] == splits[other]


@given(texts, st.data())
def test_a_row_that_is_added_moves_no_other_unless_it_joins_groups(texts: list[str], data: st.DataObject) -> None:
    """Then the later group goes to the side of the earlier, whose rows stay."""
    threads = [data.draw(st.sampled_from("abcdefghijklmnop")) for _ in texts]
    before = splits_of(threads[:-1], texts[:-1])
    after = splits_of(threads, texts)[:-1]
    if before != after:
        touched = [
            index
            for index in range(len(before))
            if threads[index] == threads[-1] or likeness(texts[index], texts[-1]) >= ALIKE
        ]
        assert len({before[index] for index in touched}) > 1  # it reaches into parts that lay apart


@given(texts)
def test_rows_of_the_first_thread_never_move(texts: list[str]) -> None:
    """Nothing is earlier than they are."""
    threads = [str(number) for number in range(len(texts))]
    assert all(splits_of(threads[:count], texts[:count])[0] == split_of("0") for count in range(1, len(texts) + 1))


def test_a_thread_stays_where_it_is_for_ever() -> None:
    """These are stored nowhere; the hash alone keeps them."""
    found = [split_of(name) for name in ("client-7", "client-8", "client-9", "a", "b", "d2")]
    assert found == ["validation", "validation", "gate", "train", "train", "calibration"]


def test_parts_have_their_shares() -> None:
    """Of many threads, within chance."""
    counts = Counter(split_of(f"thread {number}") for number in range(20_000))
    assert sum(SHARES.values()) == 1
    assert all(abs(counts[split] / 20_000 - SHARES[split]) < 0.01 for split in SPLITS)


def test_the_thread_of_a_text_is_its_words() -> None:
    """In any case and with any punctuation; its figures count as they are."""
    assert thread_of_text("Net sales: 10") == thread_of_text("net  SALES 10!")
    assert thread_of_text("Net sales: 10") != thread_of_text("Net sales: 11")
    assert thread_of_text("?") != thread_of_text("!")


def test_rows_are_compared_by_what_was_asked_or_said() -> None:
    """Instructions are the same in every conversation, so they do not count."""
    source = Source("here", "t")
    turns = (ChatTurn("system", "Be short."), ChatTurn("user", "Why?"), ChatTurn("assistant", "Because."))
    assert compared_text(ClassifierRow("1", "text", ("a",), "train", source)) == "text"
    assert compared_text(RetrieverRow("1", "query", ("p",), "train", source)) == "query"
    assert compared_text(DialogueRow("1", turns, (False, False, True), "train", source)) == "Why?\nBecause."
