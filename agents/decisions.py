"""The decisions that a classifier can make, each with its labels: what a head is asked, apart from any weights.

This file knows nothing of message types as a whole, models or files.
"""

import enum
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from .messages import Message

DecisionKind: TypeAlias = Literal["routing", "classes", "multilabel", "regression"]
Prediction: TypeAlias = tuple[float, ...]
"""What a head says: a probability for each label; of a regression, its one value."""

WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")


@dataclass(frozen=True, slots=True)
class Routing:
    """Which member of a union to answer with: exactly one."""

    members: tuple[type[Message], ...]
    kind: ClassVar[DecisionKind] = "routing"
    field: ClassVar[str] = ""

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(member.__name__ for member in self.members)

    @property
    def descriptions(self) -> tuple[str, ...]:
        """A member's own docstring, its first paragraph; else its name in words."""
        return tuple(_own_docstring(member) or _words(member.__name__) for member in self.members)


@dataclass(frozen=True, slots=True)
class Classes:
    """The value of a `Literal`, `Enum` or `bool` field: exactly one."""

    field: str
    values: tuple[Any, ...]
    kind: ClassVar[DecisionKind] = "classes"

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label_of(value) for value in self.values)

    @property
    def descriptions(self) -> tuple[str, ...]:
        return tuple(_description(self.field, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class MultiLabel:
    """The items of a `list[Literal]` field: any number of them within the field's limits."""

    field: str
    values: tuple[Any, ...]
    least: int = 0  # items
    most: int | None = None
    kind: ClassVar[DecisionKind] = "multilabel"

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label_of(value) for value in self.values)

    @property
    def descriptions(self) -> tuple[str, ...]:
        return tuple(_description(self.field, value) for value in self.values)

    def chosen(self, probabilities: Sequence[float]) -> tuple[int, ...]:
        """Indices of the labels more likely than not, in order; more or fewer where the limits ask for it."""
        ranked = sorted(range(len(self.values)), key=lambda index: -probabilities[index])
        likely = sum(probability >= 0.5 for probability in probabilities)
        count = min(max(likely, self.least), len(ranked) if self.most is None else self.most)
        return tuple(sorted(ranked[:count]))


@dataclass(frozen=True, slots=True)
class Regression:
    """The number in a bounded `float` field."""

    field: str
    low: float  # the least value that the field accepts
    high: float  # the greatest
    kind: ClassVar[DecisionKind] = "regression"
    labels: ClassVar[tuple[str, ...]] = ("low", "high")

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Of the two ends, between which a zero-shot value is interpolated."""
        return (f"very low {_words(self.field)}", f"very high {_words(self.field)}")

    def clamp(self, value: float) -> float:
        """`value`, or the end that it lies beyond."""
        return min(max(value, self.low), self.high)


Decision: TypeAlias = Routing | Classes | MultiLabel | Regression


def label_of(value: Any) -> str:
    """What a value is called in descriptions, alternatives and stored heads."""
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value.value, str) else value.name
    return value if isinstance(value, str) else json.dumps(value)


def probability_of(decision: Decision, prediction: Prediction) -> float | None:
    """The probability that what would be chosen is right, 0 to 1; None of a regression."""
    if isinstance(decision, Regression):
        return None
    if isinstance(decision, MultiLabel):  # every label right, taking them as independent
        chosen = decision.chosen(prediction)
        return math.prod(one if index in chosen else 1 - one for index, one in enumerate(prediction))
    return max(prediction)


def best(prediction: Prediction) -> int:
    """The index of the likeliest label; the first of equals."""
    return max(range(len(prediction)), key=prediction.__getitem__)


def _description(field: str, value: Any) -> str:
    if value is None:
        return f"no {_words(field)}"
    if isinstance(value, bool):
        return _words(field) if value else f"not {_words(field)}"
    label = _words(label_of(value))
    return label if isinstance(value, str | enum.Enum) else f"{_words(field)}: {label}"


def _words(name: str) -> str:
    """`needs_review` and `NeedsReview` as "needs review"; a label that is no identifier stays as it is."""
    if not name.isidentifier():
        return name
    words = [word for word in WORD_BOUNDARY.split(name) if word]
    return " ".join(word if word.isupper() else word.lower() for word in words) or name


def _own_docstring(kind: type[Message]) -> str:
    written = kind.__dict__.get("__doc__") or ""
    return " ".join(written.strip().split("\n\n")[0].split())
