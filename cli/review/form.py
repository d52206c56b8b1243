"""A typed form over a JSON Schema: a field's type in words, its value as text and back, and what an edit changes.

What may be stored is not decided here: the desk checks a draft, and refuses it with the field and the reason.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..text import safe
from .page import Line, Piece, line
from .values import shown

KEPT = 6  # words around a change that are shown
LONGEST = 3_000  # words of a field that are compared one by one
WORDS = re.compile(r"\S+")
MISSING = object()


class Unreadable(ValueError):
    """Text that is no value of the field, and why."""


def describe(name: str, schema: Mapping[str, Any]) -> str:
    """A field's type in words: "one of positive, neutral; must be given"."""
    field = _resolved(schema.get("properties", {}).get(name, {}), schema)
    must = "must be given" if name in schema.get("required", ()) else "may be left out"
    return f"{_kind(field, schema)}; {must}"


def choices(name: str, schema: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values that a field may have, where its schema lists them."""
    field = _resolved(schema.get("properties", {}).get(name, {}), schema)
    if field.get("type") == "boolean":
        return (True, False)
    return (field["const"],) if "const" in field else tuple(field.get("enum", ()))


def _resolved(field: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """A field's schema, or the definition that it points to."""
    name = str(field.get("$ref", "")).removeprefix("#/$defs/")
    found: Mapping[str, Any] | None = whole.get("$defs", {}).get(name) if name else None
    return field if found is None else found


def _kind(field: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    if "enum" in field:
        return f"one of {', '.join(shown(one) for one in field['enum'])}"
    if "const" in field:
        return f"always {shown(field['const'])}"
    if "anyOf" in field:
        return " or ".join(_kind(_resolved(one, whole), whole) for one in field["anyOf"])
    names = {
        "string": "text",
        "number": "number",
        "integer": "whole number",
        "boolean": "true or false",
        "null": "null",
    }
    kind = field.get("type")
    if kind == "array":
        return f"list of {_kind(_resolved(field.get('items', {}), whole), whole)}, as JSON"
    if kind == "object":
        return f"object of {', '.join(field.get('properties', {})) or 'any fields'}, as JSON"
    return names.get(str(kind), "any JSON") + _bounds(field)


def _bounds(field: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below",
             "minLength": "length at least", "maxLength": "length at most"}  # fmt: skip
    found = [f"{word} {field[name]}" for name, word in words.items() if name in field]
    return f", {', '.join(found)}" if found else ""


def text_of(value: Any) -> str:
    """A value as it is edited: a plain text as it is; hidden characters, line breaks and all else as JSON."""
    if value is MISSING:
        return ""
    if isinstance(value, str) and safe(value, len(value)) == value and not value.startswith('"') and value != "null":
        return value
    return json.dumps(value, ensure_ascii=isinstance(value, str))


def value_of(text: str, name: str, schema: Mapping[str, Any]) -> Any:
    """The value that `text` says in the field `name`.

    Raises:
        Unreadable: the field takes no text, and `text` is no JSON.
    """
    field = _resolved(schema.get("properties", {}).get(name, {}), schema)
    kinds = {str(one.get("type", "")) for one in [field, *field.get("anyOf", ())]}
    takes_text = "string" in kinds or kinds == {""}
    if takes_text and not text.startswith('"') and not (text == "null" and "null" in kinds):
        return text
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        if takes_text:
            return text
        raise Unreadable(
            f"{name}: {safe(text, 60)!r} is no JSON ({error}); it takes {describe(name, schema)}"
        ) from error


def document(values: Mapping[str, Any]) -> str:
    """All fields as JSON, for an editor."""
    return json.dumps(values, indent=2, ensure_ascii=any(safe(one, len(one)) != one for one in _texts(values))) + "\n"


def read_document(text: str) -> dict[str, Any]:
    """The fields that `text` holds.

    Raises:
        Unreadable: it is no JSON object.
    """
    try:
        found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except ValueError as error:
        raise Unreadable(f"the text is no JSON: {error}; nothing was stored") from error
    if not isinstance(found, dict):
        raise Unreadable("the text must be one JSON object with the message's fields; nothing was stored")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no field stands twice, for the first one would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field stands in it twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.replace("\n", " ").replace("\t", " ")
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def word_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Line]:
    """A line for each field that changes: words that go in [-...-], words that come in {+...+}."""
    changed = False
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, MISSING), after.get(name, MISSING)
        if type(old) is type(new) and old == new:
            continue
        changed = True
        yield (Piece(f"{name}: ", "dim"), *_changes(_words(old), _words(new)))
    if not changed:
        yield line(Piece("nothing is changed", "note"))


def _words(value: Any) -> list[str]:
    return ["(left out)"] if value is MISSING else WORDS.findall(shown(value)) or ["(empty)"]


def _changes(old: list[str], new: list[str]) -> Iterator[Piece]:
    if max(len(old), len(new)) > LONGEST:
        yield Piece(f"[-{len(old):,} words-] ", "bad")
        yield Piece(f"{{+{len(new):,} words+}}: too long to compare here, see E", "good")
        return
    if old == new:
        yield Piece("only spaces change", "note")
        return
    for kind, one, two, three, four in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece(_shortened(old[one:two]))
            continue
        if one < two:
            yield Piece(f"[-{' '.join(old[one:two])}-] ", "bad")
        if three < four:
            yield Piece(f"{{+{' '.join(new[three:four])}+}} ", "good")


def _shortened(words: list[str]) -> str:
    if len(words) <= 2 * KEPT + 1:
        return " ".join(words) + " "
    return f"{' '.join(words[:KEPT])} ... {' '.join(words[-KEPT:])} "
