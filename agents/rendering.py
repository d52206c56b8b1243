"""What a model sees of a message: its text, and its numbers.

Text is what a person would read out: strings, nested messages and lists of them, and choices with their names. Numbers
are features beside it. What only links messages together (ids, citations, spans) is neither.

This file knows nothing of models, heads or prompts.
"""

import datetime
import enum
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, get_origin

from .messages import Message, Passage
from .type_forms import NOTHING, members

LINKS = frozenset({"id", "ids", "citations", "source", "sources"})  # names of fields that only link messages together
NUMBERS = (bool, int, float)


def text_of(message: Message) -> str:
    """The text of `message`, a line for each field or item that has any; "" where none has."""
    return "\n".join(_lines_of(message))


def features_of(message: Message) -> tuple[tuple[str, float], ...]:
    """The numeric fields of `message` by name: bool as 0 or 1, what is missing as NaN.

    Names and their order depend on the message's type alone (`feature_names`). Fields of a nested message are called
    `outer.inner`; lists have no features, for their length varies.
    """
    return tuple((name, _number(message, name)) for name in feature_names(type(message)))


@lru_cache(maxsize=1024)
def feature_names(kind: type[Message]) -> tuple[str, ...]:
    """The names of the features that messages of type `kind` have."""
    return tuple(_feature_names(kind, within=(kind,)))


def _feature_names(kind: type[Message], within: tuple[type, ...]) -> Iterator[str]:
    if kind is Passage:  # its numbers are a span and a score
        return
    for name, field in kind.model_fields.items():
        forms = [form for form in members(field.annotation) if form is not NOTHING]
        if forms and all(form in NUMBERS for form in forms):
            yield name
        elif len(forms) == 1 and _is_message(forms[0]) and forms[0] not in within:
            yield from (f"{name}.{inner}" for inner in _feature_names(forms[0], (*within, forms[0])))


def _number(message: Message, path: str) -> float:
    value: Any = message
    for name in path.split("."):
        value = None if value is None else getattr(value, name)
    return math.nan if value is None else float(value)


def _lines_of(message: Message) -> Iterator[str]:
    if isinstance(message, Passage):
        yield from _lines(message.text)
        return
    for name, field in type(message).model_fields.items():
        value = getattr(message, name)
        if name in LINKS or name.endswith("_id") or value is None:
            continue
        if _is_choice(field.annotation):
            yield f"{name.replace('_', ' ')}: {value.value if isinstance(value, enum.Enum) else value}"
        else:
            yield from _lines(value)


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _lines_of(value)
    elif isinstance(value, enum.Enum):
        yield str(value.value)
    elif isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _lines(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _lines(item)
    elif isinstance(value, datetime.date):
        yield value.isoformat()


def _is_choice(form: Any) -> bool:
    """Whether a field of this type holds one of a few named values, which mean little without the field's name."""
    forms = [member for member in members(form) if member is not NOTHING]
    return bool(forms) and all(get_origin(one) is Literal or _is_enum(one) for one in forms)


def _is_enum(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, enum.Enum)


def _is_message(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, Message)
