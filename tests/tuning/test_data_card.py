"""The card of a dataset: all that a person should see before anything is tuned on it."""

import json
from dataclasses import replace

import pytest

from coterie.agents.inference import ChatTurn
from coterie.agents.jsonlines import BadLine
from coterie.agents.releases import StoredHead
from coterie.tuning.data_card import HeadBalance, Lengths, Pair, Suspect, data_card
from coterie.tuning.datasets import Dataset
from coterie.tuning.errors import DatasetError
from coterie.tuning.label_errors import SuspectedError
from coterie.tuning.rows import ClassifierRow, DialogueRow, Source, Split, Target

HEADS = (
    StoredHead(kind="classes", field="mood", labels=("down", "up")),
    StoredHead(kind="multilabel", field="tags", labels=("oil", "tax")),
    StoredHead(kind="regression", field="share", labels=("low", "high"), low=0, high=1),
)
LONG = "net sales rose by 10 percent in the first quarter of the year"
NONE: dict[Split, int] = {"train": 0, "validation": 0, "calibration": 0, "gate": 0}


def row(number: int, text: str, *targets: Target, split: Split = "train") -> ClassifierRow:
    return ClassifierRow(str(number), text, targets, split, Source(f"t.jsonl, line {number}", str(number)))


ROWS = (
    row(1, LONG, "up", frozenset({"tax", "oil"}), 0.5),
    row(2, LONG.upper(), "down", frozenset(), None),
    row(3, LONG.replace("10", "12"), "up", None, 1.0, split="gate"),
    replace(row(4, "rain", None, frozenset({"tax"}), None), excluded=(frozenset({"up"}), frozenset(), frozenset())),
    row(5, "Rain!", None, frozenset({"tax"}), 0.0, split="validation"),
)
DATA = Dataset("mood", "classifier", ROWS, (BadLine("t.jsonl", 6, "empty"),), ("heads: 3",), HEADS)


def test_what_heads_are_told() -> None:
    """Rows of each label in each part, the spread of a number, and how much is not known."""
    mood, tags, share = data_card(DATA).heads
    assert mood == HeadBalance(
        "mood", "classes", {"down": {**NONE, "train": 1}, "up": {**NONE, "train": 1, "gate": 1}}, {}, 2, 1
    )
    assert tags.labels == {"oil": {**NONE, "train": 1}, "tax": {**NONE, "train": 2, "validation": 1}}
    assert (share.labels, share.unknown) == ({}, 2)
    assert share.values == {"least": 0.0, "mean": 0.5, "greatest": 1.0, "deviation": pytest.approx(0.408, abs=1e-3)}


def test_repeated_and_straddling_texts_are_named() -> None:
    """With both places, and what contradicts what."""
    card = data_card(DATA)
    assert (card.duplicates, card.contradicting) == (2, 1)
    assert card.contradictions == (
        Pair("t.jsonl, line 1", "t.jsonl, line 2", LONG.upper(), "up and down; [oil, tax] and []"),
    )
    assert card.straddling == 2
    assert card.straddles == (
        Pair("t.jsonl, line 1", "t.jsonl, line 3", LONG.replace("10", "12"), "train and gate"),
        Pair("t.jsonl, line 4", "t.jsonl, line 5", "Rain!", "train and validation"),
    )


def test_lengths_suspects_and_what_was_left_out() -> None:
    """As they were found; the first of many are shown."""
    suspects = [SuspectedError(1, "down", "up", 0.1, 0.8)] * 30
    card = data_card(DATA, [12, 12, 12, 1, 100], suspects)
    assert card.lengths == Lengths(1, 12.0, pytest.approx(82.4), 100)
    assert (card.suspected, len(card.suspects)) == (30, 20)
    assert card.suspects[0] == Suspect("t.jsonl, line 2", LONG.upper(), "down", "up", 0.1, 0.8)
    assert (card.bad, card.bad_rows, card.notes) == (1, ("t.jsonl, line 6: empty",), ("heads: 3",))
    assert card.parts == {"train": 3, "validation": 1, "calibration": 0, "gate": 1}
    assert data_card(DATA).lengths is None
    with pytest.raises(DatasetError, match="2 lengths for 5 rows"):
        data_card(DATA, [1, 2])


def test_the_card_is_plain_data() -> None:
    """JSON can hold it, and gives it back."""
    told = data_card(DATA, [1] * 5).to_json()
    assert json.loads(json.dumps(told))["heads"][0]["labels"]["up"]["gate"] == 1
    assert told["digest"] == DATA.digest


def test_conversations_have_a_card_too() -> None:
    """Long texts are cut."""
    turns = (ChatTurn("user", "why " * 100), ChatTurn("assistant", "So."))
    talk = DialogueRow("1", turns, (False, True), "train", Source("a.jsonl, line 1", "t"))
    again = replace(talk, id="2", source=Source("b.jsonl, line 1", "t"), split="gate")
    card = data_card(Dataset("tutor", "dialogue", (talk, again)))
    assert (card.heads, card.duplicates, card.contradicting, card.straddling) == ((), 1, 0, 1)
    assert card.straddles[0].text.endswith("…")
    assert len(card.straddles[0].text) == 160
