"""From an output type to a grammar: every text of it is a reply that the type accepts, whatever weights write it.

A reply is one JSON object. A type whose first field is a text is spoken first: the text stands on a line before the
object of the other fields, because a small model writes more fluently so. The grammar is llguidance's
dialect of Lark. Scaffolding is fixed and fields keep their order, so only values are left to the model; each text may
take a number of tokens and then is closed, so a reply always ends. Where a type cannot be promised (an unbounded
number, say), that is a fault, not a weaker grammar. This file knows nothing of models.
"""

import enum
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from .inference import END_OF_TURN
from .messages import Calibrated, Message
from .type_forms import NOTHING, describe, item_of, members

CITATIONS = "citations"  # the field that may name only passages that were given
CHARACTERS = 2_000  # of a text without `max_length`
ITEMS = 8  # of a list without `max_length`
STEPS = 100  # between the ends of a bounded float
WHOLE_NUMBERS = 1_000  # values that a bounded int may have at most
WIDEST_CHARACTER = 4  # tokens that one character can take: its bytes
SLACK = 16  # tokens that a text may take beyond its budget to end on a whole character

_FIRST = r"[^\"\\\s\p{C}\p{Z}]"  # a text never begins with white space or a control character
_NEXT = r"[^\"\\\p{C}\p{Zl}\p{Zp}]"


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar and the most tokens that a text of it can take."""

    text: str
    longest: int  # tokens


def grammar_faults(produces: Any) -> list[str]:
    """Why no grammar can promise this output type, in sentences; empty where one can."""
    found: list[str] = []
    for member in members(produces):
        if isinstance(member, type) and issubclass(member, Message):
            found += _faults_of(member, (member,))
        else:
            found.append(f"a dialogue manager answers with messages, not {describe(member)}")
    return found


def grammar_of(produces: Any, handles: Sequence[str], text_tokens: int) -> Grammar:
    """The grammar of `produces`.

    Args:
        produces: a message type, or a union of them; of a union, the text begins with the member's name.
        handles: what `citations` may name.
        text_tokens: tokens for all texts of one message together, at most.
    """
    writer = _Writer(tuple(handles), text_tokens)
    kinds = members(produces)
    if spoken := spoken_field(produces):
        starts = [writer.spoken(kinds[0], spoken)]
    else:
        starts = [writer.message(kind, _tag(kind) if len(kinds) > 1 else "") for kind in kinds]
    rules = [f"start: {' | '.join(part.rule for part in starts)}", *writer.rules]
    return Grammar("\n".join(rules) + "\n", max(part.longest for part in starts) + 1)


def spoken_field(produces: Any) -> str | None:
    """The text that stands before the JSON object; None for a union and where the first field is no text."""
    first = next(iter(written_fields(produces)), None) if len(members(produces)) == 1 else None
    return first[0] if first is not None and first[1].annotation is str else None


def text_fields(kind: type[Message]) -> list[str]:
    """The names of the fields that hold free text, in order."""
    return [name for name, info in kind.model_fields.items() if info.annotation is str]


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a rule, and the most tokens that it can take: one for each byte, where the model has no say."""

    rule: str
    longest: int


@dataclass(slots=True)
class _Writer:
    """Writes rules; each text becomes a rule of its own, for its budget stands there."""

    handles: tuple[str, ...]
    text_tokens: int
    rules: list[str] = field(default_factory=list)

    def spoken(self, kind: type[Message], field: str) -> _Part:
        budget = self.text_tokens // len(text_fields(kind))
        text = self.text(kind.model_fields[field].metadata, budget)
        return _sequence([text, _fixed("\n"), self.message(kind, leave_out=field)])

    def message(self, kind: type[Message], tag: str = "", leave_out: str | None = None) -> _Part:
        texts = max(1, len(text_fields(kind)))
        fields = [(name, info) for name, info in written_fields(kind) if name != leave_out]
        parts = [_fixed("{" + tag)]
        for position, (name, info) in enumerate(fields):
            comma = "," if position or tag else ""
            parts += [_fixed(f"{comma}{json.dumps(name)}:"), self.value(name, info, self.text_tokens // texts)]
        return _sequence([*parts, _fixed("}")])

    def value(self, name: str, info: FieldInfo, budget: int) -> _Part:
        if name == CITATIONS and info.annotation == list[str]:
            return self.citations(info)
        return self.form(info.annotation, info.metadata, budget)

    def form(self, form: Any, metadata: Sequence[Any], budget: int) -> _Part:
        form, metadata = unwrapped(form, metadata)
        choices = [member for member in members(form) if member is not NOTHING]
        options = [self.single(one, metadata, budget) for one in choices]
        if NOTHING in members(form):
            options.append(_fixed("null"))
        return _either(options)

    def single(self, form: Any, metadata: Sequence[Any], budget: int) -> _Part:
        form, metadata = unwrapped(form, metadata)
        if get_origin(form) is Literal or form is bool or _is_enum(form):
            return _either([_fixed(json.dumps(value)) for value in _choices(form)])
        if form is str:
            return _sequence([_QUOTE, self.text(metadata, budget), _QUOTE])
        if form in (int, float):
            return _either([_fixed(json.dumps(value)) for value in writable_numbers(form, metadata)])
        if (item := item_of(form)) is not None:
            fewest, most = _lengths(metadata, 0, ITEMS)
            return _listed(self.form(item, (), max(1, budget // most)), fewest, most)
        return self.message(form)

    def text(self, metadata: Sequence[Any], budget: int) -> _Part:
        fewest, most = _lengths(metadata, 0, CHARACTERS)
        name = f"text_{len(self.rules)}"
        budget = max(budget, WIDEST_CHARACTER * (fewest + 1))
        rest = f"{_NEXT}{{{max(0, fewest - 1)},{max(0, most - 1)}}}"
        self.rules.append(f"{name}[max_tokens={budget}]: /{_FIRST}{rest}/")
        # A model that has said all it wants ends its turn; allowing that here keeps it from rambling on.
        ended = f"{name} {END_OF_TURN}?"
        return _Part(ended if fewest else f"({ended})?", budget + SLACK + 1)

    def citations(self, info: FieldInfo) -> _Part:
        fewest, most = _lengths(info.metadata, 0, ITEMS)
        if not self.handles:
            return _fixed("[]")
        handle = _either([_fixed(json.dumps(handle)) for handle in self.handles])
        return _listed(handle, fewest, max(fewest, min(most, len(self.handles))))


_QUOTE = _Part('"\\""', 1)


def _faults_of(kind: type[Message], within: tuple[type, ...]) -> Iterator[str]:
    for name, info in written_fields(kind):
        if any(isinstance(mark, Calibrated) for mark in info.metadata):
            yield f"{kind.__name__}.{name} is a Confidence, which a writer cannot know; leave it out or give a default"
            continue
        for form in members(info.annotation):
            yield from _faults_of_form(f"{kind.__name__}.{name}", form, info.metadata, within)


def _faults_of_form(place: str, form: Any, metadata: Sequence[Any], within: tuple[type, ...]) -> Iterator[str]:
    form, metadata = unwrapped(form, metadata)
    if form in (str, bool, NOTHING) or get_origin(form) is Literal or _is_enum(form):
        return
    if form in (int, float):
        yield from _faults_of_number(place, form, metadata)
    elif (item := item_of(form)) is not None:
        for one in members(item):
            yield from _faults_of_form(f"{place}[…]", one, (), within)
    elif isinstance(form, type) and issubclass(form, Message):
        if form in within:
            yield f"{place} is {describe(form)}, which holds itself; a reply would have no end"
        else:
            yield from _faults_of(form, (*within, form))
    else:
        yield f"{place} is {describe(form)}, which no grammar can promise; use text, choices, bounded numbers or lists"


def _faults_of_number(place: str, form: Any, metadata: Sequence[Any]) -> Iterator[str]:
    low, high = _bounds(form, metadata)
    if low is None or high is None:
        yield f"{place} is an unbounded {form.__name__}; give it both bounds, as in Field(ge=0, le=10)"
    elif not writable_numbers(form, metadata):
        yield f"{place} has no value between its bounds {low} and {high}"
    elif form is int and high - low >= WHOLE_NUMBERS:
        yield f"{place} may have {high - low + 1:,} values, more than {WHOLE_NUMBERS:,}; narrow it, or use float"


def written_fields(kind: type[Message]) -> list[tuple[str, FieldInfo]]:
    """The fields that the model writes: all but a confidence with a default."""
    return [
        (name, info)
        for name, info in kind.model_fields.items()
        if not any(isinstance(mark, Calibrated) for mark in info.metadata) or info.is_required()
    ]


def unwrapped(form: Any, metadata: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """`Annotated[T, …]` as T with its metadata."""
    if get_origin(form) is not Annotated:
        return form, metadata
    inner, *marks = get_args(form)
    flat = [one for mark in marks for one in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    return inner, [*metadata, *flat]


def _is_enum(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, enum.Enum)


def _choices(form: Any) -> list[Any]:
    if form is bool:
        return [True, False]
    if _is_enum(form):
        return [member.value for member in form]
    return list(get_args(form))


def _bounds(form: Any, metadata: Sequence[Any]) -> tuple[Any, Any]:
    """The lowest and the highest value, exclusive bounds moved in by one step; None where there is none."""
    step = 1 if form is int else 0
    low: Any = None
    high: Any = None
    for mark in metadata:
        match mark:
            case Ge(ge=bound):
                low = bound
            case Gt(gt=bound):
                low = bound + step  # type: ignore[operator]
            case Le(le=bound):
                high = bound
            case Lt(lt=bound):
                high = bound - step  # type: ignore[operator]
            case _:
                pass
    return low, high


def writable_numbers(form: Any, metadata: Sequence[Any]) -> list[float]:
    """Every value that may be written: each whole number, or a grid of `STEPS` steps that keeps off exclusive ends."""
    low, high = _bounds(form, metadata)
    if low is None or high is None:
        return []
    if form is int:
        return list(range(int(low), min(int(high), int(low) + WHOLE_NUMBERS) + 1))
    grid = [low + (high - low) * step / STEPS for step in range(STEPS + 1)]
    rounded = [min(max(float(f"{value:.10g}"), low), high) for value in grid]
    open_ends = [mark.gt for mark in metadata if isinstance(mark, Gt)] + [
        mark.lt for mark in metadata if isinstance(mark, Lt)
    ]
    return [value for value in rounded if value not in open_ends]


def _lengths(metadata: Sequence[Any], fewest: int, most: int) -> tuple[int, int]:
    for mark in metadata:
        match mark:
            case MinLen(min_length=length):
                fewest = length
            case MaxLen(max_length=length):
                most = length
            case Len(min_length=low, max_length=high):
                fewest, most = low, high or most
            case _:
                pass
    return fewest, max(fewest, most)


def _tag(kind: type[Message]) -> str:
    return f'"kind":{json.dumps(kind.schema_name)}'


def _fixed(text: str) -> _Part:
    return _Part(json.dumps(text, ensure_ascii=False), len(text.encode()))


def _sequence(parts: Sequence[_Part]) -> _Part:
    return _Part(" ".join(part.rule for part in parts), sum(part.longest for part in parts))


def _either(parts: Sequence[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return _Part(f"({' | '.join(part.rule for part in parts)})", max(part.longest for part in parts))


def _listed(item: _Part, fewest: int, most: int) -> _Part:
    if most == 0:
        return _fixed("[]")
    more = f' ("," {item.rule}){{{max(0, fewest - 1)},{most - 1}}}' if most > 1 else ""
    filled = f"{item.rule}{more}"
    return _Part(f'"[" {filled if fewest else f"({filled})?"} "]"', 2 + most * (item.longest + 1))
