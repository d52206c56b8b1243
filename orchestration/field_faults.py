"""What is wrong with the fields of a message, by the JSON Schema of its type: which field, and the reason in words.

Knows nothing of reviews, and needs no code of the type.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from .answer_form import FieldFault, JsonSchema


def faults_of(schema: JsonSchema, fields: Any) -> list[FieldFault]:
    """What is wrong with `fields` as a message of the type that `schema` describes; nothing: they fit."""
    validator = Draft202012Validator(dict(schema))
    found = sorted(validator.iter_errors(fields), key=lambda error: [str(part) for part in error.absolute_path])
    return [fault for error in found for fault in _told(error)]


def _told(error: ValidationError) -> Iterator[FieldFault]:
    place = ".".join(str(part) for part in error.absolute_path)
    wanted: Any = error.validator_value  # its type leaves open that nothing is set, which is never so in what is found
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "required":
        for name in wanted:
            if name not in instance:
                yield FieldFault(f"{place}.{name}".lstrip("."), "is missing")
    elif error.validator == "additionalProperties":
        known = schema.get("properties", {})
        for name in instance:
            if name not in known:
                fields = ", ".join(known) or "none"
                yield FieldFault(f"{place}.{name}".lstrip("."), f"is no field of it; its fields are {fields}")
    else:
        yield FieldFault(place or "(message)", _problem(error))


def _problem(error: ValidationError) -> str:
    found = _short(error.instance)
    wanted: Any = error.validator_value
    instance: Any = error.instance
    validator: Any = error.validator
    match validator:
        case "enum":
            return f"is {found}, but must be one of {', '.join(map(_short, wanted))}"
        case "const":
            return f"is {found}, but must be {_short(wanted)}"
        case "type":
            return f"is {found}, but must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "pattern":
            return f"is {found}, but must match {wanted}"
        case "minLength" | "maxLength":
            return f"has {len(instance)} characters, but {BOUNDS[validator]} {wanted}"
        case "minItems" | "maxItems":
            return f"has {len(instance)} items, but {BOUNDS[validator]} {wanted}"
        case bound if bound in BOUNDS:
            return f"is {found}, but must be {BOUNDS[bound]} {wanted}"
        case _:
            return f"is {found}: {_short(error.message)}"


BOUNDS = {
    "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below",
    "minLength": "needs at least", "maxLength": "may have at most",
    "minItems": "needs at least", "maxItems": "may have at most",
}  # fmt: skip


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
