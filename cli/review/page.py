"""What is shown, as plain values: pieces of text in a tone, lines of them, blocks under a label, and a page of blocks.

Both ways of drawing take a page, so that they cannot say different things. This file knows no terminal.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Tone = Literal["plain", "strong", "dim", "good", "bad", "note", "key", "shared", "model"]
PART = 4_000  # characters of one text that are shown at a time where all of it can be seen


@dataclass(frozen=True, slots=True)
class Piece:
    """Text in one tone. A symbol only doubles a word, so a drawing may leave it out."""

    text: str
    tone: Tone = "plain"
    symbol: bool = False


Line: TypeAlias = tuple[Piece, ...]
DOT = Piece(" · ", "dim", symbol=True)  # between two parts of a line


@dataclass(frozen=True, slots=True)
class Block:
    """Lines under a label."""

    label: str
    lines: tuple[Line, ...]
    selected: bool = False  # keep it in view


@dataclass(frozen=True, slots=True)
class KeyHint:
    """A key, what it does, and why it cannot do it now."""

    key: str  # as it is shown
    words: str
    act: str
    refusal: str = ""
    others: tuple[str, ...] = ()  # keys that do the same and are not shown
    footer: bool = True  # shown below every page, not only among all keys

    @property
    def keys(self) -> tuple[str, ...]:
        shown = tuple(str(number) for number in range(1, 10)) if self.act == "choose" else (self.key,)
        return (*shown, *self.others)


@dataclass(frozen=True, slots=True)
class Page:
    """All that is shown at one time."""

    title: Line
    blocks: tuple[Block, ...]
    notice: Line
    keys: tuple[KeyHint, ...]


def line(*parts: str | Piece) -> Line:
    """A line of plain texts and pieces."""
    return tuple(Piece(part) if isinstance(part, str) else part for part in parts)


def lines(texts: Iterable[str], tone: Tone = "plain") -> tuple[Line, ...]:
    """A line for each text."""
    return tuple((Piece(text, tone),) for text in texts)


def joined(parts: Sequence[Line]) -> Line:
    """The lines as one, with a dot between."""
    return tuple(_between(parts))


def _between(parts: Sequence[Line]) -> Iterator[Piece]:
    for number, part in enumerate(parts):
        if number:
            yield DOT
        yield from part


def cut(text: str, most: int, where: str) -> str:
    """`text`, or its beginning and where the rest can be seen."""
    if len(text) <= most:
        return text
    return f"{text[:most].rstrip()} (cut: {len(text) - most:,} more characters, see {where})"


def part(text: str, number: int) -> str:
    """One part of a long text, from 0."""
    return text[number * PART : (number + 1) * PART]


def parts(text: str) -> int:
    """How many parts a text has, at least one."""
    return max(1, -(-len(text) // PART))
