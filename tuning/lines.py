"""A line of a labelled file, and what its columns hold, or in one sentence why they cannot be used.

This file does not know which columns a format has.
"""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..agents.jsonlines import BadLine, JsonObject
from ..agents.messages import repair_text
from .rows import Source, Split


class Refused(ValueError):
    """A line cannot be used; the text says what was found against what was expected."""


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a file, and the part that its file belongs to."""

    file: str
    number: int  # counted from 1, blank lines included
    content: JsonObject
    part: Split | None  # None: its text decides

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.number}"

    def bad(self, reason: str) -> BadLine:
        """This line as one that could not be used."""
        return BadLine(self.file, self.number, reason)

    def source(self, thread: str) -> Source:
        """Where a row of this line is known from."""
        return Source(self.where, thread)

    def text(self, *columns: str) -> str:
        """The text in the first of these columns that is there.

        Raises:
            Refused: none is there, or it holds something else or nothing.
        """
        column = next((one for one in columns if one in self.content), None)
        if column is None:
            raise Refused(f"{' or '.join(map(repr, columns))} is missing; it has {listed(self.content)}")
        return text_from(self.content[column], repr(column))


def text_from(value: Any, place: str) -> str:
    """A text that says something, repaired where it could not be stored.

    Raises:
        Refused: it is none.
    """
    if not isinstance(value, str):
        raise Refused(f"{place} is {shown(value)}, expected a text")
    if not value.strip():
        raise Refused(f"{place} is empty, expected a text; leave the row out")
    return repair_text(value)


def number_from(value: Any, place: str) -> float:
    """A finite number.

    Raises:
        Refused: it is none.
    """
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise Refused(f"{place} is {shown(value)}, expected a finite number")
    return number


def texts_from(value: Any, place: str) -> list[str]:
    """One text or a list of texts, as a list.

    Raises:
        Refused: it is neither.
    """
    items = value if isinstance(value, list) else [value]
    return [text_from(item, f"{place}[{number}]" if value is items else place) for number, item in enumerate(items)]


def shown(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    written = json.dumps(value, ensure_ascii=False, default=str)
    return written if len(written) <= 60 else f"{written[:57]}…"


def listed(names: Collection[str], most: int = 8) -> str:
    """Names in quotes, the first few of many."""
    told = ", ".join(repr(name[:40]) for name in list(names)[:most]) or "no columns"
    return told + (f" and {len(names) - most:,} more" if len(names) > most else "")
