"""Reads an output type: which decisions it asks for, or in plain sentences why a classifier cannot make it.

A field is filled in one of four ways, looked for in this order: a `Confidence` by the model; a field that the input has
under the same name by copying; a choice, a list of choices or a bounded float by a head; anything else by its default.

This file knows nothing of predictions or models.
"""

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, get_args, get_origin

from pydantic.fields import FieldInfo

from .decisions import Classes, Decision, MultiLabel, Regression, Routing, label_of
from .messages import Calibrated, Message, Rejection
from .type_forms import NOTHING, accepts, describe, item_of, members

CHOICE = 2  # labels that it takes to have a choice


@dataclass(frozen=True, slots=True)
class OutputReading:
    """What was read: `heads` are complete only where `faults` is empty."""

    kinds: tuple[type[Message], ...]  # the messages that may be answered, without Rejection
    heads: tuple[Decision, ...]
    rejects: bool
    faults: tuple[str, ...]


def read_output(consumes: Any, produces: Any) -> OutputReading:
    """The decisions that lead from a message of type `consumes` to one of the form `produces`."""
    kinds = tuple(kind for kind in members(produces) if kind is not Rejection)
    faults = [*_faults_of_input(consumes), *_faults_of_forms(produces, kinds)]
    heads: list[Decision] = []
    if not faults:
        found = _routed(consumes, kinds) if kinds[1:] else _headed(consumes, kinds[0])
        for one in found:
            faults.append(one) if isinstance(one, str) else heads.append(one)
        if not faults:
            faults += _faults_of_heads(consumes, kinds, heads)
    return OutputReading(kinds, tuple(heads), Rejection in members(produces), tuple(faults))


def copied_fields(consumes: type[Message], kind: type[Message]) -> tuple[str, ...]:
    """The fields of `kind` that are copied from fields of the same name in the input."""
    return tuple(
        name for name, info in kind.model_fields.items() if name in consumes.model_fields and not is_confidence(info)
    )


def is_confidence(info: FieldInfo) -> bool:
    """Whether the field is a `Confidence`."""
    return any(isinstance(item, Calibrated) for item in info.metadata)


def is_message_type(form: Any) -> TypeGuard[type[Message]]:
    """Whether `form` is one class of messages."""
    return isinstance(form, type) and issubclass(form, Message)


def _faults_of_input(consumes: Any) -> Iterator[str]:
    if not is_message_type(consumes):
        yield f"a classifier takes one message type, not {describe(consumes)}"


def _faults_of_forms(produces: Any, kinds: Sequence[Any]) -> Iterator[str]:
    if not kinds:
        yield "Rejection alone leaves nothing to decide; name what is answered otherwise, as in `Mood | Rejection`"
    for kind in kinds:
        if not is_message_type(kind):
            yield f"a classifier answers with message types, but {describe(kind)} in {describe(produces)} is none"
    names = [kind.__name__ for kind in kinds if is_message_type(kind)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two members of the union are called {name}; their names are the labels, so rename one"


def _routed(consumes: type[Message], kinds: Sequence[type[Message]]) -> Iterator[Decision | str]:
    """One head for which member it is; no member may need a decision of its own."""
    yield Routing(tuple(kinds))
    for kind in kinds:
        for name, info in kind.model_fields.items():
            if is_confidence(info):
                continue
            if name in consumes.model_fields:
                yield from _faults_of_copy(consumes, kind, name)
            elif info.is_required():
                yield (
                    f"nothing fills {kind.__name__}.{name}: {kind.__name__} is one class of a union, so only "
                    f"which member it is gets decided; give {consumes.__name__} a field `{name}` to copy, or a default"
                )


def _headed(consumes: type[Message], kind: type[Message]) -> Iterator[Decision | str]:
    """A head for each field that can have one."""
    for name, info in kind.model_fields.items():
        if is_confidence(info):
            continue
        if name in consumes.model_fields:
            yield from _faults_of_copy(consumes, kind, name)
            continue
        head = _head_of(name, info)
        if not isinstance(head, str):
            yield head
        elif info.is_required():
            yield (
                f"nothing fills {kind.__name__}.{name}: {head}, or give {consumes.__name__} a field `{name}` to copy, "
                f"or give it a default"
            )


def _faults_of_heads(
    consumes: type[Message], kinds: Sequence[type[Message]], heads: Sequence[Decision]
) -> Iterator[str]:
    if not heads:
        yield (
            f"{kinds[0].__name__} leaves nothing to decide: it needs a Literal, Enum, bool, list[Literal] or bounded "
            f"float field that {consumes.__name__} does not have, or a union of message types"
        )
    elif all(isinstance(head, Regression) for head in heads):
        for kind in kinds:
            for name in (name for name, info in kind.model_fields.items() if is_confidence(info)):
                yield f"{kind.__name__}.{name} cannot be filled in: a bounded float has no probability of being right"


def _faults_of_copy(consumes: type[Message], kind: type[Message], name: str) -> Iterator[str]:
    source, target = consumes.model_fields[name], kind.model_fields[name]
    where = f"{kind.__name__}.{name}, which is copied from {consumes.__name__}.{name},"
    if not accepts(target.annotation, source.annotation):
        yield f"{where} is {describe(target.annotation)} there and {describe(source.annotation)} here; {_RENAME}"
    elif not all(any(_same(limit, known) for known in source.metadata) for limit in target.metadata):
        yield f"{where} has limits that {consumes.__name__}.{name} has not; {_RENAME}"


_RENAME = "make them the same, or rename one"


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) or (type(left) is type(right) and repr(left) == repr(right))


def _head_of(name: str, info: FieldInfo) -> Decision | str:
    """The head that fills a field, or what to do because none can."""
    form: Any = info.annotation
    values = _values_of(form)
    if values is not None:
        return _fault_of_labels(values) or Classes(name, values)
    item = item_of(form)
    if item is not None:
        values = _values_of(item)
        if values is None:
            return f"{describe(form)} has no labels to choose from; write list[Literal[…]]"
        least, most = _limit(info, "min_length"), _limit(info, "max_length")
        return _fault_of_labels(values) or MultiLabel(name, values, least or 0, most)
    if form is float:
        return _regression(name, info)
    if form is int:
        return "an int is neither a choice nor a bounded float; write Literal[1, 2, 3] or a float"
    if form is str:
        return "a classifier writes no text; choose among texts with Literal[…], use a DialogueManager"
    return f"no head gives {describe(form)}; use a Literal, an Enum, bool, list[Literal] or a bounded float"


def _values_of(form: Any) -> tuple[Any, ...] | None:
    """The values of a choice: of Literals, Enums, bool, and None beside them; None for any other form."""
    values: list[Any] = []
    for member in members(form):
        if get_origin(member) is Literal:
            values += get_args(member)
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            values += member
        elif member is bool:
            values += [False, True]
        elif member is NOTHING:
            values.append(None)
        else:
            return None
    return None if values == [None] else tuple(values)


def _fault_of_labels(values: Sequence[Any]) -> str | None:
    labels = [label_of(value) for value in values]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        return f"its values {', '.join(map(repr, twice))} cannot be told apart as labels; rename them"
    if len(labels) < CHOICE:
        return f"with {labels[0]!r} alone there is nothing to choose; name another value" if labels else "name values"
    return None


def _regression(name: str, info: FieldInfo) -> Regression | str:
    at_least, above = _limit(info, "ge"), _limit(info, "gt")
    at_most, below = _limit(info, "le"), _limit(info, "lt")
    low = at_least if above is None else math.nextafter(above, math.inf)
    high = at_most if below is None else math.nextafter(below, -math.inf)
    missing = [word for word, limit in (("lower", low), ("upper", high)) if limit is None]
    if low is None or high is None:
        return f"a float without {' and '.join(missing)} limit; write Annotated[float, Field(ge=…, le=…)]"
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return f"its limits {low:g} and {high:g} leave no room; write Annotated[float, Field(ge=…, le=…)]"
    return Regression(name, float(low), float(high))


def _limit(info: FieldInfo, name: str) -> Any:
    """The limit called `ge`, `gt`, `le`, `lt`, `min_length` or `max_length`; None where there is none."""
    return next((limit for item in info.metadata if (limit := getattr(item, name, None)) is not None), None)
