"""Lines of a classifier's labelled file as rows: which columns are heads and features, and what they hold.

    {"text": "…", "label": "negative"}                      classes; a list of labels: any number of them
    {"text": "…", "score": 0.3}                             a number
    {"text": "…", "topic": "tax", "urgent": true, "day": 0.1}   several heads, and a feature where it is named as one

What an agent decides is known from its types; without one, heads are inferred from the columns. A value that is null or
missing is not known, which is no fault while another head has one. This file knows nothing of splits or of duplicates.
"""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..agents.decisions import DecisionKind, label_of
from ..agents.messages import Message
from ..agents.outputs import OutputPlan
from ..agents.releases import StoredHead
from ..agents.rendering import feature_names, features_of, text_of
from .errors import DatasetError
from .lines import Line, Refused, listed, number_from, shown, text_from
from .rows import ClassifierRow, Target
from .splits import thread_of_text

TEXT = "text"
USUAL = ("label", "labels", "score")  # columns that are a head wherever they occur
NO_HEADS = ("id", TEXT)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a classifier's files are."""

    names: tuple[str, ...]  # of each head, its column
    heads: tuple[StoredHead, ...]
    features: tuple[str, ...] = ()
    consumes: type[Message] | None = None  # rows that can be such a message are rendered as the agent renders it
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        heads = ", ".join(f"{name} ({head.kind})" for name, head in zip(self.names, self.heads, strict=True))
        features = f"; features {', '.join(self.features)}" if self.features else ""
        unused = f"; not used: {', '.join(self.unused)}" if self.unused else ""
        return f"heads {heads}{features}{unused}"

    def row(self, line: Line) -> ClassifierRow:
        """The row that `line` is, its part still to be decided.

        Raises:
            Refused: the line lacks a column, or a column holds something else.
        """
        text, features = self._seen(line)
        targets = tuple(
            _target(line.content.get(name), name, head) for name, head in zip(self.names, self.heads, strict=True)
        )
        if all(target is None for target in targets):
            raise Refused(f"no value in {listed(self.names)}; it has {listed(line.content)}")
        thread = thread_of_text(text)
        return ClassifierRow(thread, text, targets, line.part or "train", line.source(thread), features=features)

    def _seen(self, line: Line) -> tuple[str, tuple[float, ...]]:
        """The text and the features, as the agent would see them where it is known."""
        message = _message(line, self.consumes)
        if message is None:
            return line.text(TEXT), tuple(_feature(line.content.get(name), name) for name in self.features)
        known = dict(features_of(message))
        return text_from(text_of(message), "the text of its columns"), tuple(known[name] for name in self.features)


def columns_of_plan(plan: OutputPlan, lines: Sequence[Line]) -> Columns:
    """The columns of an agent that answers as `plan` says: each head's field, or `label` or `score` of its only head.

    Raises:
        DatasetError: no column has the name of a head.
    """
    found = dict.fromkeys(name for line in lines for name in line.content)
    heads = tuple(StoredHead.of(decision) for decision in plan.heads)
    names = tuple(head.field if head.field in found else _usual(heads, found) or head.field for head in heads)
    if not any(name in found for name in names):
        expected = listed([head.field or "label" for head in heads])
        raise DatasetError(f"no column is a head of the role: found {listed(found)}, expected {expected}")
    seen = {*names, *NO_HEADS, *plan.consumes.model_fields}
    unused = tuple(name for name in found if name not in seen)
    return Columns(names, heads, feature_names(plan.consumes), plan.consumes, unused)


def inferred_columns(lines: Sequence[Line], heads: Sequence[str] = (), features: Sequence[str] = ()) -> Columns:
    """The columns of files without an agent.

    Heads are the columns in `heads`; else `label`, `labels` and `score`; else all that hold labels and are no feature.

    The labels are those in the files to train on, for one that only stands elsewhere could not be learned.

    Raises:
        DatasetError: no column is a head, or one of those named is missing or holds nothing that can be learned.
    """
    found = dict.fromkeys(name for line in lines for name in line.content)
    missing = [name for name in (*heads, *features) if name not in found]
    if missing:
        raise DatasetError(f"no row has the columns {listed(missing)}; found {listed(found)}")
    usual = [name for name in USUAL if name in found and name not in features]
    others = [name for name in found if name not in (*NO_HEADS, *features) and _is_labelled(lines, name)]
    names = tuple(heads) or tuple(usual) or tuple(others)
    if not names:
        raise DatasetError(f"no column says what a text should be told as; found {listed(found)}, expected `label`")
    unused = tuple(name for name in found if name not in (*names, *features, *NO_HEADS))
    return Columns(names, tuple(_inferred_head(lines, name) for name in names), tuple(features), unused=unused)


def _usual(heads: Sequence[StoredHead], found: Collection[str]) -> str | None:
    """The usual column of the only head, where the files have one."""
    return next((name for name in USUAL if name in found), None) if len(heads) == 1 else None


def _message(line: Line, kind: type[Message] | None) -> Message | None:
    """The columns as a message of this type, where they are one."""
    fields = {} if kind is None else {name: line.content[name] for name in kind.model_fields if name in line.content}
    if kind is None or any(info.is_required() and name not in fields for name, info in kind.model_fields.items()):
        return None
    try:
        return kind.model_validate_json(json.dumps(fields), strict=False)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        column = ".".join(map(str, fault["loc"]))
        raise Refused(f"{column!r} is {shown(fault['input'])}, no part of a {kind.__name__}: {fault['msg']}") from error


def _inferred_head(lines: Sequence[Line], name: str) -> StoredHead:
    kinds: Counter[DecisionKind] = Counter()
    for line in lines:
        found = _kind_of(line.content.get(name), name)
        if found is not None:
            kinds[found] += 1
    if not kinds:
        raise DatasetError(f"column {name!r} cannot be learned; expected labels, lists of labels or numbers in it")
    usual: DecisionKind = kinds.most_common(1)[0][0]
    kind: DecisionKind = "regression" if kinds["regression"] and not kinds["multilabel"] else usual
    values = list(_usable(lines, name, kind))
    if kind == "regression":
        return StoredHead(kind=kind, field=name, labels=("low", "high"), low=min(values), high=max(values))
    return StoredHead(kind=kind, field=name, labels=tuple(sorted(set(values))))


def _usable(lines: Sequence[Line], name: str, kind: DecisionKind) -> Iterator[Any]:
    """Every number that the column holds, or every label in the files to train on."""
    for line in lines:
        if kind != "regression" and line.part is not None:
            continue
        value: Any = line.content.get(name)
        found = _kind_of(value, name)
        if kind == "regression" and found is not None and _is_finite(value):
            yield float(value)
        elif kind == "multilabel" and found == kind:
            yield from map(label_of, value)
        elif kind == "classes" and found == kind and _says_something(value):
            yield label_of(value)


def _kind_of(value: Any, name: str) -> DecisionKind | None:
    """What a head that gives this value is; a whole number is a score in the column `score`, a label elsewhere."""
    if isinstance(value, bool | str) or (isinstance(value, int) and name != "score"):
        return "classes"
    if isinstance(value, int | float):
        return "regression"
    if isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value):
        return "multilabel"
    return None


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _says_something(value: Any) -> bool:
    return not isinstance(value, str) or bool(value.strip())


def _is_labelled(lines: Sequence[Line], name: str) -> bool:
    """Whether a column that nobody named holds labels: texts, lists of texts or truth values, no numbers."""
    values = [line.content[name] for line in lines if line.content.get(name) is not None]
    return bool(values) and all(_kind_of(value, "score") in ("classes", "multilabel") for value in values)


def _target(value: Any, name: str, head: StoredHead) -> Target:
    if value is None:
        return None
    if head.kind == "regression":
        return _score(value, name, head)
    if head.kind == "multilabel":
        items = value if isinstance(value, list) else [value]
        return frozenset(_label(item, name, head) for item in items)
    return _label(value, name, head)


def _score(value: Any, name: str, head: StoredHead) -> float:
    number = number_from(value, repr(name))
    if head.low is not None and head.high is not None and not head.low <= number <= head.high:
        raise Refused(f"{name!r} is {number:g}, expected a number from {head.low:g} to {head.high:g}")
    return number


def _label(value: Any, name: str, head: StoredHead) -> str:
    if isinstance(value, list | dict):
        raise Refused(f"{name!r} is {shown(value)}, expected one label")
    label = label_of(value)
    if label not in head.labels:
        raise Refused(f"{name!r} is {shown(value)}, which is no label to be learned; expected {listed(head.labels)}")
    return label


def _feature(value: Any, name: str) -> float:
    """A number beside the text, NaN where it is missing."""
    if value is None:
        return math.nan
    return float(value) if isinstance(value, bool) else number_from(value, repr(name))
