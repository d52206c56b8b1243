"""JSON lines as people really have them: one bad line never stops the rest.

`read_objects` and `read_models` stream a file and yield, for each line that is not blank, what it holds or a `BadLine`
that says what was found against what was expected; `read_numbered` tells the number of each line as well. This
file does not know what the rows mean.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import CorpusError

JsonObject: TypeAlias = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)

LONGEST_LINE = 16_000_000  # bytes; a longer line is a bad one and is never held in memory
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SKIPPED_AT_ONCE = 1_000_000  # bytes
_KINDS = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be used, and why."""

    file: str
    line: int  # counted from 1, blank lines included
    reason: str  # what was found against what was expected

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


def read_objects(path: str | PathLike[str], needed: Collection[str] = ()) -> Iterator[JsonObject | BadLine]:
    """The JSON object on each line of a file, in order; those that lack a `needed` column are bad lines.

        for row in read_objects("news.jsonl", needed=("text", "company")):
            if isinstance(row, BadLine): ...

    A file without lines yields nothing.

    Raises:
        CorpusError: the file does not exist, is a folder, or cannot be read.
    """
    return (row for row, _ in _rows(_existing(path), tuple(needed)))


def read_numbered(path: str | PathLike[str]) -> Iterator[tuple[int, JsonObject] | BadLine]:
    """The JSON object on each line of a file, in order, after the line's number: counted from 1, blank ones included.

    Raises:
        CorpusError: the file does not exist, is a folder, or cannot be read.
    """
    file = _existing(path)
    return (row if isinstance(row, BadLine) else (line.number, row) for row, line in _rows(file, ()))


def read_models(path: str | PathLike[str], model: type[Model]) -> Iterator[Model | BadLine]:
    """A `model` from each line of a file, in order; lines that it refuses are bad lines.

    Raises:
        CorpusError: the file does not exist, is a folder, or cannot be read.
    """
    file = _existing(path)
    return (_modelled(row, line, model) for row, line in _rows(file, ()))


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    number: int
    content: bytes

    def bad(self, reason: str) -> BadLine:
        return BadLine(self.file, self.number, reason)


class _Refused(ValueError):
    """JSON that Python's parser would let pass."""


def _existing(path: str | PathLike[str]) -> Path:
    file = Path(path)
    if file.is_dir():
        raise CorpusError(f"cannot read {str(file)!r}: it is a folder; name a file of JSON lines in it")
    if not file.exists():
        raise CorpusError(f"cannot read {str(file)!r}: there is no such file; check the path")
    return file


def _rows(file: Path, needed: tuple[str, ...]) -> Iterator[tuple[JsonObject | BadLine, _Line]]:
    try:
        with file.open("rb") as stream:
            for line in _lines(stream, str(file)):
                if len(line.content) > LONGEST_LINE:
                    yield line.bad(f"it is longer than {LONGEST_LINE:,} bytes; split it over several lines"), line
                elif line.content.strip():
                    yield _parsed(line, needed), line
    except OSError as error:
        raise CorpusError(f"cannot read {str(file)!r}: {error.strerror or error}") from error


def _lines(stream: BinaryIO, file: str) -> Iterator[_Line]:
    number = 0
    while content := stream.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            content = content.removeprefix(_BYTE_ORDER_MARK)
        yield _Line(file, number, content)
        while len(content) > LONGEST_LINE and not content.endswith(b"\n"):  # to the end of a line that is too long
            rest = stream.readline(_SKIPPED_AT_ONCE)
            if not rest or rest.endswith(b"\n"):
                break


def _parsed(line: _Line, needed: tuple[str, ...]) -> JsonObject | BadLine:
    try:
        value = json.loads(line.content.decode(), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        return line.bad(
            f"byte {error.object[error.start]:#04x} at position {error.start + 1} is not UTF-8; save the file as UTF-8"
        )
    except json.JSONDecodeError as error:
        return line.bad(
            f"this is no JSON ({error.msg} at column {error.colno}); expected one object such as {_example(needed)}"
        )
    except _Refused as error:
        return line.bad(str(error))
    except (ValueError, RecursionError):  # an integer of thousands of digits; thousands of brackets
        return line.bad(f"its numbers or its nesting are too large; expected one object such as {_example(needed)}")
    if not isinstance(value, dict):
        return line.bad(f"found {_KINDS[type(value)]}, expected an object such as {_example(needed)}")
    missing = [column for column in needed if column not in value]
    if missing:
        return line.bad(f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing; it has {_listed(value)}")
    return value


def _modelled(row: JsonObject | BadLine, line: _Line, model: type[Model]) -> Model | BadLine:
    if isinstance(row, BadLine):
        return row
    try:
        return model.model_validate_json(line.content)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        return line.bad(
            "; ".join(_fault(fault["loc"], fault["type"], fault["msg"], fault["input"], row) for fault in faults[:3])
        )


def _fault(place: tuple[int | str, ...], kind: str, message: str, found: object, row: JsonObject) -> str:
    column = ".".join(str(step) for step in place)
    if kind == "missing":
        return f"{column!r} is missing; it has {_listed(row)}"
    if not column or found is row:
        return message
    return f"{column!r}: {_lowered(message)}, found {_shown(found)}"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _shown(value: object) -> str:
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}…"


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in list(names)[:8])
    return (shown or "no columns") + (", …" if len(names) > 8 else "")


def _example(needed: tuple[str, ...]) -> str:
    return "{" + ", ".join(f'"{column}": …' for column in needed or ("text",)) + "}"


def _no_constant(name: str) -> float:
    raise _Refused(f"found {name}, which is no JSON number; expected a finite number or null")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _Refused(f"found {digits[:40]}, which is beyond the largest number; expected a finite number or null")
    return number
