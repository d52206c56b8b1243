"""The labels that a person can choose at a review: the members of its union, or the values of one field."""

import enum
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from ..agents.decisions import label_of
from ..agents.messages import Calibrated, Message, Rejection
from ..agents.type_forms import members


@dataclass(frozen=True, slots=True)
class LabelField:
    """Labels, and the field whose values they are."""

    field: str | None  # None: they are the members of a union
    values: Mapping[str, Any]  # label -> the field's value, or the member
    kind: type[Message] | None = None  # the type that has the field

    def kind_of(self, label: str) -> type[Message]:
        """The type of the message that has `label`."""
        kind: type[Message] = self.values[label] if self.kind is None else self.kind
        return kind


def label_field_of(form: Any, wanted: str | None) -> LabelField | None:
    """What can be chosen in a message of `form`: `wanted`, or the first that there is."""
    kinds = [
        kind for kind in members(form) if isinstance(kind, type) and issubclass(kind, Message) and kind is not Rejection
    ]
    if len(kinds) > 1 and wanted is None:
        return LabelField(None, {kind.__name__: kind for kind in kinds})
    for kind in kinds:
        for name, values in _fields_with_labels(kind):
            if wanted in (None, name):
                return LabelField(name, {label_of(value): value for value in values}, kind)
    return None


def calibrated_fields(kind: type[Message]) -> list[str]:
    """The fields that a model fills with its probability of being right."""
    return [
        name
        for name, field in kind.model_fields.items()
        if any(isinstance(mark, Calibrated) for mark in field.metadata)
    ]


def label_text(fields: Mapping[str, Any], name: str | None) -> str | None:
    """The label in the field `name` of a stored message; None: it has none."""
    value = None if name is None else fields.get(name)
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def _fields_with_labels(kind: type[Message]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for name, field in kind.model_fields.items():
        form = field.annotation
        if get_origin(form) is Literal:
            yield name, get_args(form)
        elif form is bool:
            yield name, (True, False)
        elif isinstance(form, type) and issubclass(form, enum.Enum):
            yield name, tuple(form)
