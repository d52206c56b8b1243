"""Labelled files in the formats that people have, good and bad, become rows."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from coterie.agents import Confidence, DecisionClassifier, Message
from coterie.agents.inference import ChatTurn
from coterie.tuning.datasets import Dataset
from coterie.tuning.errors import DatasetError
from coterie.tuning.files import (
    LabelledFiles,
    read_classifier_files,
    read_dialogue_files,
    read_files,
    read_retriever_files,
)
from coterie.tuning.splits import split_of, thread_of_text

TEXTS = [f"headline about {word}" for word in ("profit", "loss", "tax", "ships", "rain", "oil", "rent", "wages", "art")]
LABELS = ["up", "down", "flat"]


class Line(Message):
    text: str
    company: str = ""
    day: float | None = None


class Mood(Message):
    label: Literal["up", "down", "flat"]
    urgent: bool
    share: Annotated[float, Field(ge=0, le=1)]
    tags: list[Literal["tax", "oil"]]
    confidence: Confidence


class Tone(Message):
    tone: Literal["up", "down", "flat"]


def write(folder: Path, name: str, rows: Sequence[Any]) -> Path:
    """A file with a line for each row; a text is a line as it stands."""
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def labelled(count: int = 9) -> list[dict[str, Any]]:
    return [{"text": text, "label": LABELS[number % 3]} for number, text in enumerate(TEXTS[:count])]


def reasons(data: Dataset[Any], folder: Path) -> list[str]:
    return [str(line).replace(f"{folder}/", "") for line in data.bad_lines]


def test_texts_with_labels(tmp_path: Path) -> None:
    """The labels are sorted; each row knows its line, and its text alone decides where it goes."""
    data = read_classifier_files("mood", LabelledFiles((write(tmp_path, "t.jsonl", ["", *labelled()]),)))
    (head,) = data.heads
    assert (head.kind, head.field, head.labels) == ("classes", "label", ("down", "flat", "up"))
    assert [row.targets for row in data.rows[:2]] == [("up",), ("down",)]
    assert data.rows[0].source.where == f"{tmp_path / 't.jsonl'}, line 2"
    assert [row.split for row in data.rows] == [split_of(thread_of_text(text)) for text in TEXTS]
    assert not data.bad_lines
    assert data.notes == (f"{tmp_path / 't.jsonl'}: text and targets", "columns: heads label (classes)")
    data.check()


def test_a_part_with_files_of_its_own_takes_nothing_from_training(tmp_path: Path) -> None:
    """All of a test file is for the gate, and what the training file would have given it is trained on."""
    train, test = write(tmp_path, "a.jsonl", labelled()), write(tmp_path, "b.jsonl", [{"text": "x y z", "label": "up"}])
    data = read_classifier_files("mood", LabelledFiles((train,), test=(test,)))
    assert [row.text for row in data.part("gate")] == ["x y z"]
    assert len(data.rows) == len(TEXTS) + 1


@pytest.mark.parametrize(
    ("rows", "kind", "labels"),
    [
        ([{"text": "a b", "score": -0.5}, {"text": "c d", "score": 1}], "regression", ("low", "high")),
        ([{"text": "a b", "label": 3}, {"text": "c d", "label": 10}], "classes", ("10", "3")),
        ([{"text": "a b", "label": True}, {"text": "c d", "label": False}], "classes", ("false", "true")),
        ([{"text": "a b", "labels": ["x", "y"]}, {"text": "c d", "labels": []}], "multilabel", ("x", "y")),
        ([{"text": "a b", "label": 0.5}, {"text": "c d", "label": 1}], "regression", ("low", "high")),
    ],
)
def test_heads_are_inferred(tmp_path: Path, rows: list[Any], kind: str, labels: tuple[str, ...]) -> None:
    """From what a column holds."""
    data = read_classifier_files("mood", LabelledFiles((write(tmp_path, "t.jsonl", rows),)))
    assert [(head.kind, head.labels) for head in data.heads] == [(kind, labels)]
    assert len(data.rows) == 2


def test_several_heads_and_features(tmp_path: Path) -> None:
    """Columns with labels are heads where none has a usual name; numbers count where they are named."""
    rows = [{"text": "a b", "topic": "tax", "tags": ["x"], "day": 2}, {"text": "c d", "topic": None, "tags": ["y"]}]
    path = write(tmp_path, "t.jsonl", rows)
    data = read_classifier_files("mood", LabelledFiles((path,)))
    assert [head.field for head in data.heads] == ["topic", "tags"]
    assert "not used: day" in data.notes[-1]
    data = read_classifier_files("mood", LabelledFiles((path,)), heads=["topic", "tags"], features=["day"])
    assert [row.targets for row in data.rows] == [("tax", frozenset("x")), (None, frozenset("y"))]
    assert data.rows[0].features == (2.0,)
    assert math.isnan(data.rows[1].features[0])


def test_an_agent_says_what_columns_mean(tmp_path: Path) -> None:
    """Its labels, its bounds, its features, and the text as it would render it."""
    agent = DecisionClassifier[Line, Mood]("mood")
    good = {"text": "Up.", "company": "Acme", "day": 0.5, "label": "up", "urgent": True, "share": 0.25, "tags": ["oil"]}
    bad = [{**good, "label": "sideways"}, {**good, "share": 1.5}, {**good, "day": "Monday"}, {**good, "tags": ["x"]}]
    data = read_classifier_files("mood", LabelledFiles((write(tmp_path, "t.jsonl", [good, *bad]),)), plan=agent.plan)
    (row,) = data.rows
    assert (row.text, row.features) == ("Up.\nAcme", (0.5,))
    assert row.targets == ("up", "true", 0.25, frozenset({"oil"}))
    assert reasons(data, tmp_path) == [
        "t.jsonl, line 2: 'label' is \"sideways\", which is no label to be learned; expected 'up', 'down', 'flat'",
        "t.jsonl, line 3: 'share' is 1.5, expected a number from 0 to 1",
        "t.jsonl, line 4: 'day' is \"Monday\", no part of a Line: Input should be a valid number, unable to parse "
        "string as a number",
        "t.jsonl, line 5: 'tags' is \"x\", which is no label to be learned; expected 'tax', 'oil'",
    ]


def test_the_only_head_of_an_agent_may_be_called_label(tmp_path: Path) -> None:
    """As files of other people are; no head at all is an error."""
    agent = DecisionClassifier[Line, Tone]("tone")
    data = read_classifier_files("tone", LabelledFiles((write(tmp_path, "t.jsonl", labelled()),)), plan=agent.plan)
    assert [head.field for head in data.heads] == ["tone"]
    assert len(data.rows) == len(TEXTS)
    odd = write(tmp_path, "odd.jsonl", [{"text": "a", "sound": "up"}])
    with pytest.raises(DatasetError, match="no column is a head of the role: found 'text', 'sound', expected 'tone'"):
        read_classifier_files("tone", LabelledFiles((odd,)), plan=agent.plan)


def test_bad_rows_are_named_and_stop_no_other(tmp_path: Path) -> None:
    """By file and line, with what was found against what was expected."""
    rows = [
        *labelled(),
        {"text": " ", "label": "up"},
        {"text": 7, "label": "up"},
        {"label": "up"},
        {"text": "one two"},
        '{"text": "three", "score": NaN}',
        "no JSON",
        {"text": "four", "label": ["up", 1]},
    ]
    data = read_classifier_files("mood", LabelledFiles((write(tmp_path, "t.jsonl", rows),)))
    assert len(data.rows) == len(TEXTS)
    assert reasons(data, tmp_path) == [
        "t.jsonl, line 10: 'text' is empty, expected a text; leave the row out",
        "t.jsonl, line 11: 'text' is 7, expected a text",
        "t.jsonl, line 12: 'text' is missing; it has 'label'",
        "t.jsonl, line 13: no value in 'label'; it has 'text'",
        "t.jsonl, line 14: found NaN, which is no JSON number; expected a finite number or null",
        't.jsonl, line 15: this is no JSON (Expecting value at column 1); expected one object such as {"text": …}',
        "t.jsonl, line 16: 'label' is [\"up\", 1], expected one label",
    ]


def test_scores_that_are_none(tmp_path: Path) -> None:
    """Text, truth values and numbers beyond all bounds."""
    rows = [{"text": f"a {word}", "score": 0.5} for word in ("b", "c", "d", "e")]
    odd = [{"text": "e", "score": "NaN"}, {"text": "f", "score": True}, {"text": "g", "score": 10**400}]
    data = read_classifier_files("mood", LabelledFiles((write(tmp_path, "t.jsonl", [*rows, *odd]),)))
    assert len(data.rows) == 4
    assert all("expected a finite number" in str(line) for line in data.bad_lines)
    assert len(data.bad_lines) == 3
    with pytest.raises(DatasetError, match=r"head 'score' has the same target 0\.5 in all"):
        data.check()


def test_one_class_only_is_nothing_to_learn(tmp_path: Path) -> None:
    """It is read, and refused where it is to be learned."""
    rows = [{"text": text, "label": "up"} for text in TEXTS]
    data = read_classifier_files("mood", LabelledFiles((write(tmp_path, "t.jsonl", rows),)))
    with pytest.raises(DatasetError, match="'mood' has nothing to learn from: head 'label' has the same target 'up'"):
        data.check()


def test_a_label_that_only_stands_in_a_test_file_is_a_bad_row(tmp_path: Path) -> None:
    """It could not be learned."""
    test = write(tmp_path, "b.jsonl", [{"text": "x y", "label": "new"}, {"text": "z", "label": "up"}])
    data = read_classifier_files("mood", LabelledFiles((write(tmp_path, "a.jsonl", labelled()),), test=(test,)))
    assert len(data.part("gate")) == 1
    assert reasons(data, tmp_path) == [
        "b.jsonl, line 1: 'label' is \"new\", which is no label to be learned; expected 'down', 'flat', 'up'"
    ]


def test_a_text_that_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    """Both places are named."""
    train = write(tmp_path, "a.jsonl", labelled())
    validation = write(tmp_path, "b.jsonl", [{"text": TEXTS[3].upper(), "label": "up"}, labelled()[1]])
    test = write(tmp_path, "c.jsonl", [labelled()[1]])
    data = read_classifier_files("mood", LabelledFiles((train,), (validation,), (test,)))
    assert reasons(data, tmp_path) == [
        "a.jsonl, line 2: its text stands in c.jsonl, line 1 as well, so it was left out of training",
        "a.jsonl, line 4: its text stands in b.jsonl, line 1 as well, so it was left out of training",
        "b.jsonl, line 2: its text stands in c.jsonl, line 1 as well, so it was left out of validation",
    ]
    assert [len(data.part(split)) for split in ("validation", "gate")] == [1, 1]


def test_ids_are_unique(tmp_path: Path) -> None:
    """Twice in a file is a mistake; in two files it is not, nor is the same text."""
    rows = [{"id": 1, **labelled()[0]}, {"id": "1", **labelled()[1]}, {"id": [], **labelled()[2]}, *labelled()[3:]]
    train = write(tmp_path, "a.jsonl", [*rows, labelled()[5]])
    test = write(tmp_path, "b.jsonl", [{"id": 1, "text": "x y", "label": "up"}])
    data = read_classifier_files("mood", LabelledFiles((train,), test=(test,)))
    assert len({row.id for row in data.rows}) == len(data.rows) == len(rows)
    assert [row.id for row in data.rows if row.id.startswith("1")] == ["1", "1#2"]
    assert reasons(data, tmp_path) == [
        "a.jsonl, line 2: id '1' was used in line 1 already; give each row its own",
        "a.jsonl, line 3: 'id' is [], expected a text",
    ]


def test_a_long_row_is_kept_and_told(tmp_path: Path) -> None:
    """A hundred thousand words."""
    path = write(tmp_path, "t.jsonl", [*labelled(), {"text": "word " * 100_000, "label": "up"}])
    data = read_classifier_files("mood", LabelledFiles((path,)))
    assert len(data.rows) == len(TEXTS) + 1
    assert data.notes[-1].startswith(f"{path}, line 10: its text has 500,000 characters; it is kept")


def test_conversations(tmp_path: Path) -> None:
    """Every turn of the assistant is learned but those of weight 0."""
    turns = [("system", "Be short."), ("user", "Why?"), ("assistant", "So."), ("user", "And?"), ("assistant", "Yes.")]
    messages = [{"role": role, "content": text} for role, text in turns]
    messages[2]["weight"] = 0
    bad = [{"messages": messages[:2]}, {"messages": [{"role": "tool", "content": "x"}]}, {"messages": "x"}]
    data = read_dialogue_files("tutor", LabelledFiles((write(tmp_path, "t.jsonl", [{"messages": messages}, *bad]),)))
    (row,) = data.rows
    assert row.turns == tuple(ChatTurn(role, text) for role, text in turns)
    assert row.supervised == (False, False, False, False, True)
    assert reasons(data, tmp_path) == [
        "t.jsonl, line 2: no turn of the assistant is to be learned; expected at least one",
        "t.jsonl, line 3: messages[0].role is \"tool\", expected 'system', 'user', 'assistant'",
        "t.jsonl, line 4: 'messages' is \"x\", expected a list of messages",
    ]


def test_prompts_and_preferences(tmp_path: Path) -> None:
    """What follows the prompt is learned; what was rejected is what the last turn must not say."""
    asked, said, other = ({"role": role, "content": text} for role, text in (("user", "Q"), *[("assistant", "A")] * 2))
    completions = [{"prompt": "Q", "completion": "A"}, {"prompt": [asked], "completion": [said]}]
    data = read_dialogue_files("tutor", LabelledFiles((write(tmp_path, "a.jsonl", completions),)))
    turns = (ChatTurn("user", "Q"), ChatTurn("assistant", "A"))
    assert [(row.turns, row.supervised, row.rejected) for row in data.rows] == [(turns, (False, True), None)] * 2
    worse = {**other, "content": "B"}
    pairs = [
        {"prompt": "Q", "chosen": "A", "rejected": "B"},
        {"chosen": [asked, said], "rejected": [asked, worse]},
        {"chosen": [asked, said], "rejected": [asked, said]},
        {"chosen": [{**asked, "content": "?"}, said], "rejected": [asked, worse]},
        {"chosen": "A", "rejected": "B"},
    ]
    data = read_dialogue_files("tutor", LabelledFiles((write(tmp_path, "b.jsonl", pairs),)))
    assert [(row.turns, row.supervised, row.rejected) for row in data.rows] == [(turns, (False, True), "B")] * 2
    assert [line.line for line in data.bad_lines] == [3, 4, 5]


def test_pairs_of_texts(tmp_path: Path) -> None:
    """The same text is the same passage; what is negative is rejected."""
    rows = [
        {"anchor": "q one", "positive": "p", "negatives": ["n", "m"]},
        {"anchor": "q two", "positive": "m", "negative": "p"},
        {"anchor": "q three", "positive": "p", "negatives": ["p"]},
    ]
    data = read_retriever_files("search", LabelledFiles((write(tmp_path, "t.jsonl", rows),)))
    told = [
        ([data.passages[name] for name in row.relevant], [data.passages[name] for name in row.rejected])
        for row in data.rows
    ]
    assert told == [(["p"], ["n", "m"]), (["m"], ["p"])]
    assert reasons(data, tmp_path) == ['t.jsonl, line 3: "p" is both positive and negative']


def test_queries_with_passages_of_a_file_or_their_own(tmp_path: Path) -> None:
    """By id or by position; what is not there is named."""
    passages = write(
        tmp_path, "p.jsonl", [{"id": "p1", "text": "one"}, {"id": 2, "text": "two"}, {"id": "p1", "text": "x"}]
    )
    rows = [
        {"id": "q1", "text": "which?", "relevant": ["p1", 2]},
        {"query": "what?", "passages": ["three", "four"], "relevant": [1]},
        {"query": "who?", "passages": [{"id": "p5", "text": "five"}], "relevant": ["p5"]},
        {"query": "where?", "relevant": ["p9"]},
        {"query": "when?", "relevant": []},
    ]
    data = read_retriever_files("search", LabelledFiles((write(tmp_path, "t.jsonl", rows),), passages=(passages,)))
    assert [[data.passages[name] for name in row.relevant] for row in data.rows] == [["one", "two"], ["four"], ["five"]]
    assert reasons(data, tmp_path) == [
        "t.jsonl, line 4: 'relevant' names passage 'p9', which is not among the 5 passages, such as 'p1', '2', …",
        "t.jsonl, line 5: 'relevant' is empty, expected at least one passage; leave out queries that nothing answers",
        "p.jsonl, line 3: id 'p1' was used in p.jsonl, line 1 already; give each passage an id of its own",
    ]


def test_the_kind_is_recognised(tmp_path: Path) -> None:
    """Files of two kinds, of no kind, and empty ones are refused."""
    texts, talk = (
        write(tmp_path, "a.jsonl", labelled()),
        write(tmp_path, "b.jsonl", [{"prompt": "Q", "completion": "A"}]),
    )
    assert [read_files("r", LabelledFiles((path,))).kind for path in (texts, talk)] == ["classifier", "dialogue"]
    with pytest.raises(DatasetError, match=r"b.jsonl has rows of a dialogue .*, expected rows of a classifier"):
        read_files("r", LabelledFiles((texts, talk)))
    with pytest.raises(DatasetError, match="its columns 'x' are no known format; expected messages or chosen"):
        read_files("r", LabelledFiles((write(tmp_path, "c.jsonl", [{"x": 1}]),)))
    relevant = write(tmp_path, "g.jsonl", [{"text": "a", "relevant": True}, {"text": "b", "relevant": False}])
    assert read_classifier_files("r", LabelledFiles((relevant,))).heads[0].labels == ("false", "true")
    with pytest.raises(DatasetError, match=r"its columns 'prompt', 'completion' are no known .* text \+ label\|score"):
        read_classifier_files("r", LabelledFiles((talk,)))
    with pytest.raises(DatasetError, match="it holds no row"):
        read_files("r", LabelledFiles((write(tmp_path, "d.jsonl", []),)))
    with pytest.raises(DatasetError, match=r"none of its lines can be used; the first: .*line 1: this is no JSON"):
        read_files("r", LabelledFiles((write(tmp_path, "e.jsonl", ["x"]),)))
    with pytest.raises(DatasetError, match="no column says what a text should be told as"):
        read_files("r", LabelledFiles((write(tmp_path, "f.jsonl", [{"text": "a"}]),)))
