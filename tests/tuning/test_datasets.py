"""Datasets: their parts, their digest, and several of them made one."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.agents.inference import ChatTurn
from coterie.agents.jsonlines import BadLine
from coterie.agents.releases import StoredHead
from coterie.tuning.datasets import BadRow, Dataset, merge
from coterie.tuning.errors import DatasetError
from coterie.tuning.near_duplicates import ALIKE, likeness
from coterie.tuning.rows import SPLITS, ClassifierRow, DialogueRow, RetrieverRow, Source, Split, Target
from coterie.tuning.splits import splits_of, thread_of_text

HEAD = StoredHead(kind="classes", field="label", labels=("down", "up"))


def row(text: str, target: Target = "up", split: Split = "train", where: str = "t.jsonl, line 1") -> ClassifierRow:
    thread = thread_of_text(text)
    return ClassifierRow(thread, text, (target,), split, Source(where, thread))


def dataset(*rows: ClassifierRow, **changes: Any) -> Dataset[ClassifierRow]:
    given: dict[str, Any] = {"heads": (HEAD,), **changes}
    return Dataset("mood", "classifier", rows, **given)


def test_a_part_is_its_rows_in_order() -> None:
    """And no others."""
    data = dataset(row("a"), row("b", split="gate"), row("c"))
    assert [one.text for one in data.part("train")] == ["a", "c"]
    assert [one.text for one in data.part("gate")] == ["b"]
    assert data.part("calibration") == ()


def test_the_digest_is_that_of_the_content() -> None:
    """Where it was read from and what was left out do not matter; every value and the order do."""
    one, other = row("a"), row("b", frozenset({"y", "x"}))
    data = dataset(one, other)
    elsewhere = dataset(replace(one, source=replace(one.source, where="other.jsonl, line 9")), other)
    assert data.digest == elsewhere.digest == replace(data, notes=("read",), bad_lines=(BadRow("x", "y"),)).digest
    changed = [
        dataset(other, one),
        dataset(replace(one, weight=0.5), other),
        dataset(replace(one, split="gate"), other),
        dataset(replace(one, excluded=(frozenset({"down"}),)), other),
        dataset(one, other, heads=(HEAD.model_copy(update={"labels": ("down", "up", "z")}),)),
        dataset(one, other, features=("day",)),
        dataset(one, other, passages={"p": "t"}),
    ]
    assert len({data.digest, *(one.digest for one in changed)}) == len(changed) + 1


def test_what_cannot_be_learned_is_said() -> None:
    """Every reason in one sentence."""
    with pytest.raises(DatasetError, match="none of its 1 rows is one to train on"):
        dataset(row("a", split="gate")).check()
    with pytest.raises(
        DatasetError, match=r"there are no rows; have people decide about its messages \(`coterie review`\)"
    ):
        dataset().check()
    bad = (BadLine("t.jsonl", 3, "'text' is empty"),)
    with pytest.raises(DatasetError, match=r"the first of 1 bad ones: t\.jsonl, line 3: 'text' is empty"):
        dataset(bad_lines=bad).check()
    with pytest.raises(DatasetError, match="head 'label' has no target in 1 training rows"):
        dataset(row("a", None)).check()
    with pytest.raises(DatasetError, match=r"head 'label' has the same target \['x', 'y'\] in all 2 training rows"):
        dataset(row("a", frozenset("xy")), row("b", frozenset("xy"))).check()
    dataset(row("a"), row("b", "down")).check()
    dataset(replace(row("a", None), excluded=(frozenset({"up"}),))).check()


def test_a_retriever_and_a_dialogue_manager_need_something_to_learn() -> None:
    """A passage that answers, and a turn that is learned."""
    source = Source("t.jsonl, line 1", "t")
    query = RetrieverRow("1", "q", (), "train", source, rejected=("p",))
    search = Dataset("search", "retriever", (query,), passages={"p": "text"})
    with pytest.raises(DatasetError, match="none of its 1 training queries has a passage that answers it"):
        search.check()
    replace(search, rows=(replace(query, relevant=("p",)),)).check()
    talk = DialogueRow("1", (ChatTurn("user", "q"), ChatTurn("assistant", "a")), (False, False), "train", source)
    writer = Dataset("writer", "dialogue", (talk,))
    with pytest.raises(DatasetError, match="none of its 1 training conversations has a turn that is to be learned"):
        writer.check()
    replace(writer, rows=(replace(talk, supervised=(False, True)),)).check()


def test_weights_multiply_and_labels_join() -> None:
    """Rows of each dataset count as much as they are said to."""
    log = dataset(replace(row("one text"), weight=0.5), bad_lines=(BadRow("run r", "odd"),), notes=("a",))
    files = dataset(row("another thing", "flat"), heads=(HEAD.model_copy(update={"labels": ("flat", "up")}),))
    both = merge([log, files], [2.0, 3.0])
    assert [one.weight for one in both.rows] == [1.0, 3.0]
    assert both.heads[0].labels == ("down", "up", "flat")
    assert (both.bad_lines, both.notes) == (log.bad_lines, ("a",))
    assert merge([log]).digest == log.digest


def test_what_is_held_out_in_an_earlier_dataset_is_not_learned_from_a_later_one() -> None:
    """A near-duplicate goes to its part; of several, to the one that is trained on least."""
    text = "net sales rose by 10 percent in the first quarter of the year"
    files = dataset(
        row(text), row(text.replace("10", "12"), split="gate"), row("rain in the north", split="validation")
    )
    later = dataset(row(text.replace("10", "99")), row("something else", split="calibration"))
    assert [one.split for one in merge([files, later]).rows] == ["train", "gate", "validation", "gate", "calibration"]


def test_the_same_row_counts_once() -> None:
    """Another with a known id is given one of its own."""
    one, other = row("a"), replace(row("a", "down"), source=Source("elsewhere", "t"))
    both = merge([dataset(one), dataset(one, other)])
    assert [(found.id, found.targets) for found in both.rows] == [(one.id, ("up",)), (f"{one.id}#2", ("down",))]


def test_datasets_that_do_not_fit_are_refused() -> None:
    """Other roles, other heads, other features, other texts under one id, weights that are none."""
    data = dataset(row("a"))
    with pytest.raises(DatasetError, match="there is no dataset"):
        merge([])
    with pytest.raises(DatasetError, match="classifier 'mood' with rows of classifier 'tone'"):
        merge([data, replace(data, role="tone")])
    with pytest.raises(
        DatasetError, match="the heads classes label and 0 features, another the heads classes label and 1"
    ):
        merge([data, replace(data, features=("day",))])
    with pytest.raises(DatasetError, match="another the heads none"):
        merge([data, replace(data, heads=())])
    with pytest.raises(DatasetError, match="passage 'p' has two texts"):
        merge([replace(data, passages={"p": "one"}), replace(data, passages={"p": "two"})])
    with pytest.raises(DatasetError, match=r"the weights \[0\.0\]; give each one above 0"):
        merge([data], [0.0])


words = st.lists(st.sampled_from(("net", "sales", "rose", "fell", "in", "Ohio", "5")), min_size=1, max_size=7)
several = st.lists(st.lists(words.map(" ".join), max_size=6, unique=True), min_size=1, max_size=3)


@given(several)
def test_merging_keeps_every_text_and_the_parts_of_the_first(texts: list[list[str]]) -> None:
    """And no row of a later dataset lies in another part than an earlier near-duplicate that is held out more."""
    made = []
    for group in texts:
        splits = splits_of([thread_of_text(text) for text in group], group)
        made.append(dataset(*(row(text, split=split) for text, split in zip(group, splits, strict=True))))
    both = merge(made)
    assert {one.text for one in both.rows} == {text for group in texts for text in group}
    assert len({one.id for one in both.rows}) == len(both.rows)
    first = {one.id: one.split for one in made[0].rows}
    assert all(first.get(one.id, one.split) == one.split for one in both.rows)
    later = [one for one in both.rows if one.id not in first]
    for one in later:
        alike = [other for other in made[0].rows if likeness(one.text, other.text) >= ALIKE]
        assert all(SPLITS.index(one.split) >= SPLITS.index(other.split) for other in alike)
