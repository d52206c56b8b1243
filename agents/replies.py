"""A reply as the grammar has it, and the message that it is: reading one, and writing one that the model should learn.

    read_reply(Note, 'Sales rose.\\n{"citations":["A"]}', passages)   # Note(text="Sales rose.", citations=["report#4"])
    write_reply(Note, note, passages)                                # and back

This file knows nothing of models or prompts.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from annotated_types import Len, MaxLen

from .grammar import CITATIONS, grammar_tag, spoken_field, written_fields
from .messages import Message, Passage
from .prompting import handles
from .type_forms import members

SPACES = ("Cc", "Zl", "Zp", "Zs")  # general categories that a text shows as a space


def read_reply(produces: Any, text: str, passages: Sequence[Passage]) -> Message:
    """The message of the form `produces` that `text` is, its citations turned from handles into the passages' ids.

    Raises:
        pydantic.ValidationError: a validator of the type refuses what was written.
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
    """The reply of the form `produces` that reads as `message`, whose citations name some of `passages`.

    What no reply can hold is left out or made plain: citations of other passages; in texts quotation marks, backslashes
    and line breaks, and what is beyond their length.
    """
    kind = type(message)
    spoken = spoken_field(produces)
    by_id = {passage.id: handle for handle, passage in zip(handles(len(passages)), passages, strict=True)}
    said = message.model_dump(mode="json")
    fields = {name: _written(name, said[name], info.metadata, by_id) for name, info in written_fields(kind)}
    before = f"{fields.pop(spoken)}\n" if spoken else ""
    parts = [f"{json.dumps(name)}:{_compact(value)}" for name, value in fields.items()]
    if len(members(produces)) > 1:
        parts.insert(0, grammar_tag(kind))
    return f"{before}{{{','.join(parts)}}}"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _written(name: str, value: Any, metadata: Sequence[Any], by_id: Mapping[str, str]) -> Any:
    if name == CITATIONS and isinstance(value, list):
        return [by_id[passage] for passage in dict.fromkeys(value) if passage in by_id]
    if isinstance(value, str):
        return _plain(value)[: _longest(metadata)].rstrip()
    if isinstance(value, list):
        return [_written("", item, (), by_id) for item in value]
    if isinstance(value, dict):
        return {inner: _written(inner, item, (), by_id) for inner, item in value.items()}
    return value


def _plain(text: str) -> str:
    """`text` on one line, without what would end it inside JSON."""
    shown = "".join(" " if unicodedata.category(one) in SPACES else one for one in text)
    quoted = shown.replace('"', "'").replace("\\", "/")
    return " ".join("".join(one for one in quoted if not unicodedata.category(one).startswith("C")).split())


def _longest(metadata: Sequence[Any]) -> int | None:
    """The most characters that a text may have; None: any number."""
    for mark in metadata:
        if isinstance(mark, MaxLen | Len):
            return mark.max_length
    return None


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
