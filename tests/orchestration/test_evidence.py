"""Which passages a proposal may rest on, and what of them it says, too."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.agents.shingles import words_of
from coterie.orchestration.evidence import STOP_WORDS, Words, evidence_of, passages_in, said_in, spans_of
from coterie.orchestration.lineage import lineage_of
from coterie.orchestration.review_items import EvidenceItem, LineageStep, ShownMessage
from coterie.orchestration.task_facts import messages_in
from tests.orchestration.shown_facts import QUESTION, desk, message, run_of

words = st.sampled_from(["net", "sales", "rose", "the", "of", "12.5", "STRASSE", "straße", "İ", "🙂", "2024", "5x"])
gaps = st.sampled_from([" ", "  ", " - ", ", ", "\n", "-", "/", "\u202e", ""])
texts = st.lists(st.tuples(words, gaps), max_size=20).map(lambda parts: "".join(f"{a}{b}" for a, b in parts))


def shown(value: Any) -> ShownMessage:
    return next(messages_in(value))


def note(text: str, *citations: str) -> ShownMessage:
    return shown(message("Note", text=text, citations=list(citations)))


def step(passages: Sequence[Any], role: str | None = None, task: str = "search", **fields: Any) -> LineageStep:
    return LineageStep("r", task, task, shown(message("Evidence", role, passages=passages, **fields)), None, role, {})


def passage(name: str, text: str = "text", **more: Any) -> dict[str, Any]:
    return {"id": name, "text": text, **more}


def quoted(item: EvidenceItem) -> list[str]:
    return [item.text[begin:end] for begin, end in item.spans]


def test_spans_are_what_both_say_in_the_same_order() -> None:
    """In any case, over punctuation and line ends; a word alone is none."""
    text = "In 2024 NET\nSales rose, to 12.5 million; sales of other goods fell."
    (found,) = evidence_of([step([passage("p", text)])], note("Net sales rose to 12.5 million because goods sold."), {})
    assert quoted(found) == ["NET\nSales rose, to 12.5 million"]


def test_stop_words_alone_are_no_span() -> None:
    """They count beside a word that says something."""
    text = "It is one of the reports of the board."
    (found,) = evidence_of([step([passage("p", text)])], note("One of the plans of the board"), {})
    assert quoted(found) == ["of the board"]


def test_overlap_is_the_share_of_the_words_that_say_something() -> None:
    """Each once, without what is cited and without passages that the proposal carries along."""
    proposal = shown(
        message("Note", text="The profit rose, the profit fell", citations=["p"], passages=[passage("q", "x")])
    )
    (found,) = evidence_of([step([passage("p", "Profit fell to the p.")])], proposal, {})
    assert found.overlap == pytest.approx(2 / 3)
    (silent,) = evidence_of([step([passage("p", "Profit")])], note("of the"), {})
    assert (silent.overlap, silent.spans) == (0.0, ())


def test_what_is_cited_comes_first_and_then_what_says_most() -> None:
    """Any list of strings cites; equal ones stay in their order."""
    passages = [passage("a", "rain"), passage("b", "sales rose"), passage("c", "rain"), passage("d", "sales")]
    proposal = shown(message("Note", text="Sales rose", sources=["c"], scores=[1, 2]))
    found = evidence_of([step(passages)], proposal, {})
    assert [(item.id, item.cited, item.overlap) for item in found] == [
        ("c", True, 0.0),
        ("b", False, 1.0),
        ("d", False, 0.5),
        ("a", False, 0.0),
    ]


def test_a_passage_is_that_of_the_nearest_role_that_carries_it() -> None:
    """A mark is on the message of the retriever, though plain code handed its passages on; nearer retrievers win."""
    near, far = step([passage("a"), passage("b")], "rerank"), step([passage("b"), passage("a")], "search")
    carried = step([passage("b"), passage("new")], None, "brief")
    found = {item.id: item for item in evidence_of([carried, near, far], note(""), {(near.message.digest, 1): False})}
    assert {name: (item.role, item.index, item.marked) for name, item in found.items()} == {
        "a": ("rerank", 0, None),
        "b": ("rerank", 1, False),
        "new": (None, 1, None),
    }
    assert found["new"].digest == carried.message.digest


def test_passages_are_found_in_lists_at_any_depth() -> None:
    """And only in lists: a message with an id and a text is none; what they lack is left empty."""
    inner = {"id": "no", "text": "passage", "found": {"lists": [[passage("a")], [passage("b", source=3, score="x")]]}}
    assert [one["id"] for one in passages_in(inner)] == ["a", "b"]
    found = evidence_of([step([{"id": 1, "text": "x"}, "p", passage("c")], **inner)], note(""), {})
    assert [(item.id, item.index, item.source, item.score) for item in found] == [
        ("c", 0, "", 0.0),
        ("a", 1, "", 0.0),
        ("b", 2, "", 0.0),
    ]


@pytest.mark.anyio
async def test_the_evidence_of_a_real_run_is_the_retrievers(tmp_path: Path, anyio_backend: str) -> None:
    """The brief carries the same passages, but the retriever found them."""
    facts = await run_of(tmp_path, desk(), QUESTION)
    proposal = shown(next(fact for fact in facts if fact.kind == "review-requested").fields["message"])
    first, second = evidence_of(lineage_of("r", facts, "person", {}, {}), proposal, {})
    assert (first.id, first.cited, first.role, first.task, first.score) == ("p1", True, "search", "search", 0.5)
    assert quoted(first) == ["Net sales", "12.5 million"]
    assert (second.id, second.cited, second.spans) == ("p2", False, ())


@pytest.mark.parametrize("text", ["net sales " * 100_000, "a " * 500_000, "x" * 1_000_000, "1.1," * 250_000])
def test_a_megabyte_is_a_passage_like_any_other(text: str) -> None:
    """Repeated, without a gap, or all figures."""
    (found,) = evidence_of([step([passage("p", text)])], note("a figure of net sales"), {})
    assert quoted(found) == (["net sales"] * 100_000 if text.startswith("net") else [])


@given(texts, texts)
def test_spans_mark_exactly_the_pairs_that_both_say(text: str, proposal: str) -> None:
    """They are in order, do not touch, begin and end with a word, and hold two words of which one says something."""
    said = said_in([proposal])
    found = spans_of(Words(text), said)
    assert all(begin < end for begin, end in found)
    assert all(one[1] < other[0] for one, other in pairwise(found))
    for begin, end in found:
        inside = words_of(text[begin:end])
        assert len(inside) >= 2
        assert not STOP_WORDS.issuperset(inside)
        assert said.pairs & set(pairwise(inside))
    telling = {pair for pair in pairwise(words_of(text)) if pair in said.pairs and not STOP_WORDS.issuperset(pair)}
    assert telling <= {pair for begin, end in found for pair in pairwise(words_of(text[begin:end]))}


@given(st.lists(texts, max_size=4), st.integers(0, 200))
def test_words_stand_where_they_are_in_a_long_text(parts: list[str], space: int) -> None:
    """Long texts are read in blocks, which changes nothing."""
    text = ("-" * (space * 30) + " ").join(parts * 3)
    words = Words(text)
    assert words.all == words_of(text)
    places = words.places(range(len(words.all)))
    assert [text[begin:end].casefold() for begin, end in places.values()] == words.all


@given(texts, texts)
def test_overlap_is_a_share(text: str, proposal: str) -> None:
    """A passage that says all of it has it all."""
    (some,) = evidence_of([step([passage("p", text)])], note(proposal), {})
    assert 0 <= some.overlap <= 1
    (every,) = evidence_of([step([passage("p", proposal)])], note(proposal), {})
    assert every.overlap in (0.0, 1.0)
