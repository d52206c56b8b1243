"""A dialogue manager's answer as the text that its model writes, and back.

The grammar's form (grammar.py): one JSON object without white space, before it the text of the first field on a line of
its own where there is one, and citations as the handles under which passages were shown. Reading takes whatever the
grammar lets through; writing gives such a text, so that a model can learn from what a person wrote. This file knows
nothing of models.
"""

import enum
import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from .grammar import CITATIONS, spoken_field, unwrapped, writable_numbers, written_fields
from .messages import Message, Passage
from .prompting import handles
from .type_forms import item_of, members

_MENDED = str.maketrans({'"': "'", "\\": "/"})  # neither may stand in a text of the grammar


def read_reply(produces: Any, text: str, passages: Sequence[Passage]) -> Message:
    """The message of form `produces` that `text` is, its citations turned from handles into the ids of `passages`.

    Raises:
        ValueError: it is none.
    """
    kinds = {kind.schema_name: kind for kind in members(produces)}
    spoken = spoken_field(produces)
    said, _, rest = text.partition("\n") if spoken else ("", "", text)
    by_handle = dict(zip(handles(len(passages)), passages, strict=True))
    fields: dict[str, Any] = json.loads(rest) | ({spoken: said} if spoken else {})
    kind = kinds[fields.pop("kind")] if len(kinds) > 1 else next(iter(kinds.values()))
    message: Message = kind.model_validate(_cited(fields, by_handle), strict=False)
    return message


def write_reply(produces: Any, message: Message, passages: Sequence[Passage]) -> str:
    """The text that a model would write for `message`, a member of `produces`, to which `passages` were shown.

    Texts are put as the grammar has them: on one line, without control characters, quotes single and slashes forward.
    A number is the nearest that may be written.

    Raises:
        ValueError: it cites a passage that was not shown.
    """
    handle_of: dict[str, str] = {}
    for handle, passage in zip(handles(len(passages)), passages, strict=True):
        handle_of.setdefault(passage.id, handle)
    tag = f'"kind":{json.dumps(message.schema_name)}' if len(members(produces)) > 1 else ""
    spoken = spoken_field(produces)
    rest = _object(message, handle_of, tag, spoken)
    return f"{_text(getattr(message, spoken))}\n{rest}" if spoken else rest


def _object(message: Message, handle_of: Mapping[str, str], tag: str = "", leave_out: str | None = None) -> str:
    parts = [tag] if tag else []
    for name, info in written_fields(type(message)):
        if name == leave_out:
            continue
        value = getattr(message, name)
        if name == CITATIONS and info.annotation == list[str]:
            written = json.dumps(_handles(value, handle_of), separators=(",", ":"))
        else:
            written = _value(info.annotation, info.metadata, value, handle_of)
        parts.append(f"{json.dumps(name)}:{written}")
    return "{" + ",".join(parts) + "}"


def _handles(cited: Sequence[str], handle_of: Mapping[str, str]) -> list[str]:
    unknown = [name for name in cited if name not in handle_of]
    if unknown:
        raise ValueError(f"it cites {unknown[0]!r}, but {len(handle_of)} other passages were shown")
    return list(dict.fromkeys(handle_of[name] for name in cited))


def _value(form: Any, metadata: Sequence[Any], value: Any, handle_of: Mapping[str, str]) -> str:
    form, metadata = unwrapped(form, metadata)
    if isinstance(value, Message):
        return _object(value, handle_of)
    if isinstance(value, list):
        item = next(found for one in members(form) if (found := item_of(unwrapped(one, ())[0])) is not None)
        return f"[{','.join(_value(item, (), one, handle_of) for one in value)}]"
    if isinstance(value, enum.Enum):
        return json.dumps(value.value)
    if value is None or isinstance(value, bool) or _is_named(form, value):
        return json.dumps(value)
    return f'"{_text(value)}"' if isinstance(value, str) else json.dumps(_nearest(form, metadata, value))


def _is_named(form: Any, value: Any) -> bool:
    """Whether `value` is one of the values of a Literal in `form`."""
    literals = [one for one in members(form) if get_origin(one) is Literal]
    return any(value == known and type(value) is type(known) for one in literals for known in get_args(one))


def _nearest(form: Any, metadata: Sequence[Any], value: float) -> float:
    """The number nearest to `value` that the grammar lets through."""
    for member in members(form):
        kind, marks = unwrapped(member, metadata)
        if kind in (int, float) and (grid := writable_numbers(kind, marks)):
            nearest: float = min(grid, key=lambda number: abs(number - value))
            return nearest
    return value


def _text(text: str) -> str:
    """`text` on one line, without what the grammar keeps out of texts."""
    seen = "".join(one for one in text if one.isspace() or unicodedata.category(one)[0] != "C")
    return " ".join(seen.split()).translate(_MENDED)


def _cited(value: Any, by_handle: Mapping[str, Passage]) -> Any:
    if isinstance(value, list):
        return [_cited(item, by_handle) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: list(dict.fromkeys(by_handle[handle].id for handle in item))
        if name == CITATIONS
        else _cited(item, by_handle)
        for name, item in value.items()
    }
