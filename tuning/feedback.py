"""What people said of a role's message, summed up: it is corrected, right as it is, or wrong.

The latest correction outweighs everything else; of approvals and rejections, the latest counts. This file knows the
log's rows and the types that an agent names, but not what an agent makes of them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..agents.errors import MessageError
from ..agents.messages import Message
from ..agents.registry import Registry, StoredMessage
from ..agents.type_forms import message_types
from ..orchestration.training_items import TrainingRow
from .rows import RowType, Source
from .splits import compared_text, splits_of

# People let pass much that they would not have said. On 120 to 200 reviewed headlines, half the weight costs the mood
# role 1 to 2 points of accuracy, for what the model was right about is then rarer than it is; 0.8 costs nothing.
APPROVED = 0.8  # weight of a row that was only approved


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a message should have been, or that it should not have been."""

    kind: Literal["corrected", "approved", "rejected"]
    message: Message | None  # what it should have been; None: nobody said
    explicit: bool = False  # of a correction: somebody chose each value, rather than writing the message anew


class MessageTypes:
    """The message types of an agent's side, which stored messages may be of.

    Args:
        form: a message type, or a union of them; their subclasses belong to them.
    """

    def __init__(self, form: Any) -> None:
        kinds = dict.fromkeys(kind for one in message_types(form) for kind in _with_subclasses(one))
        self._registry = Registry(kinds)
        self._names = frozenset(kind.schema_name for kind in kinds)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def message(self, kind: str, version: int, fields: Mapping[str, Any]) -> Message:
        """The message that was stored with these fields.

        Raises:
            MessageError: they do not fit the type as it is now.
        """
        return self._registry.decode(StoredMessage(kind, version, json.dumps(fields), None))


def told_message(row: TrainingRow, types: MessageTypes) -> Message:
    """The message that the role was told.

    Raises:
        MessageError: it was told none of `types`, or one that does not fit its type as it is now.
    """
    told = next((one for one in row.inputs if one.type in types), None)
    if told is None:
        found = ", ".join(one.type for one in row.inputs) or "nothing"
        raise MessageError(f"the role was told {found}, which is no type that the agent takes now")
    return types.message(told.type, told.version, told.fields)


def verdict_of(row: TrainingRow, types: MessageTypes) -> Verdict | None:
    """What people said of the row's message, which should be one of `types`; None: nothing that tells.

    Raises:
        MessageError: what it should have been does not fit its type as it is now.
    """
    output = row.output
    corrected = [one for one in row.feedback if one.kind in ("gold", "edited") and one.after is not None]
    if corrected:
        last, after = corrected[-1], corrected[-1].after or {}
        kind = last.type or output.type
        if kind not in types:  # sent on as another type: the fields of the same names are corrected
            kind, after = output.type, row.correction or {}
        fields = {**output.fields, **after} if kind == output.type else after
        right = types.message(kind, output.version, fields) if kind in types else None
        return Verdict("corrected", right, explicit=last.kind == "gold")
    last_kind = next((one.kind for one in reversed(row.feedback) if one.kind in ("approved", "rejected")), None)
    if last_kind == "rejected":
        return Verdict("rejected", None)
    if last_kind == "approved" and output.type in types:
        return Verdict("approved", types.message(output.type, output.version, output.fields))
    return None


def identity_of(row: TrainingRow) -> str:
    """The id of what is learned from `row`: its run, its task, and the position where it answered with a list."""
    return f"{row.run}/{row.task}" + ("" if row.index is None else f"[{row.index}]")


def source_of(row: TrainingRow) -> Source:
    """Where what is learned from `row` is known from."""
    place = "" if row.index is None else f", message {row.index + 1}"
    return Source(
        where=f"run {row.run}, task {row.task}{place}",
        thread=row.thread or row.run,
        decisions=tuple(one.decision for one in row.feedback if one.decision),
        weights=row.weights,
    )


def reviewed(rows: Iterable[TrainingRow], role: str) -> Sequence[TrainingRow]:
    """The rows of `role` of which somebody said anything."""
    return [row for row in rows if row.role == role and row.feedback]


def placed(rows: Sequence[RowType]) -> tuple[RowType, ...]:
    """The rows, earliest first, in the parts of their threads."""
    splits = splits_of([row.source.thread for row in rows], [compared_text(row) for row in rows])
    return tuple(replace(row, split=split) for row, split in zip(rows, splits, strict=True))


def _with_subclasses(kind: type) -> Iterator[type[Message]]:
    if issubclass(kind, Message):
        yield kind
        for one in kind.__subclasses__():
            yield from _with_subclasses(one)
