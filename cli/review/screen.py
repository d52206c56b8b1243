"""A page as rows of a terminal: labels at the left, what does not fit below the edge, keys at the bottom.

Colours only double words and signs. Where a terminal knows ASCII only, other characters are written as escapes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from ..text import safe
from .page import DOT, Block, KeyHint, Line, Page, Piece, Tone

LABEL = 12  # columns of a block's label
LEAST = 3  # rows of a page's body
LONGEST = 10_000  # characters of one piece
STYLES: dict[Tone, str] = {
    "plain": "", "strong": "bold", "dim": "dim", "good": "green", "bad": "bold red", "note": "yellow",
    "key": "bold cyan", "shared": "bold yellow", "model": "",
}  # fmt: skip
ASCII = {"✓ ": "+ ", "✗ ": "x ", " · ": " - "}


@dataclass(frozen=True, slots=True)
class Screen:
    """How large a screen is, and whether it has ASCII only."""

    console: Console
    width: int
    height: int
    ascii: bool

    def rows(self, page: Page, scroll: int) -> tuple[list[Text], int]:
        """Exactly `height` rows, and by how many rows the body is really scrolled down from where it begins."""
        head = self._wrapped(page.title, self.width)
        foot = [*(self._wrapped(page.notice, self.width) if page.notice[0].text else []), *self._keys(page.keys)]
        room = max(LEAST, self.height - len(head) - len(foot) - 2)
        body, begin, end = self._body(page.blocks)
        base = min(begin, max(0, end - room)) if end > room else 0
        top = max(0, min(base + scroll, len(body) - room))
        shown = body[top : top + room]
        blank = [Text("")] * (room - len(shown))
        rest = len(body) - top - len(shown)
        found = [*head, self._rule(""), *shown, *blank, self._rule(self._more(top, rest)), *foot]
        return found[: self.height], top - base

    def _body(self, blocks: tuple[Block, ...]) -> tuple[list[Text], int, int]:
        """All rows, and where the selected block begins and ends."""
        rows: list[Text] = []
        begin = end = 0
        for block in blocks:
            start = len(rows)
            rows += self._block(block)
            if block.selected:
                begin, end = start, len(rows)
        return rows, begin, end

    def _block(self, block: Block) -> Iterator[Text]:
        label = self._text((Piece(block.label, "strong"),))
        if label.cell_len >= LABEL:
            yield from label.wrap(self.console, self.width)
            label = Text("")
        label.pad_right(LABEL - label.cell_len)
        for part in block.lines:
            for row in self._wrapped(part, max(LEAST, self.width - LABEL)):
                yield label + row
                label = Text(" " * LABEL)

    def _keys(self, keys: tuple[KeyHint, ...]) -> list[Text]:
        rows = [Text("")]
        for key in keys:
            tone: Tone = "dim" if key.refusal else "plain"
            shown = self._text((Piece(key.key, "dim" if key.refusal else "key"), Piece(f" {key.words}", tone)))
            if rows[-1].cell_len and rows[-1].cell_len + shown.cell_len + 2 > self.width:
                rows.append(Text(""))
            gap = "  " if rows[-1].cell_len else ""
            rows[-1] = Text.assemble(rows[-1], gap, shown)
        return [row for long in rows for row in long.wrap(self.console, self.width)]

    def _more(self, above: int, below: int) -> str:
        told = [f"above ({above}): pageup" if above else "", f"more below ({below}): space" if below else ""]
        return ", ".join(part for part in told if part)

    def _rule(self, words: str) -> Text:
        bar = "-" if self.ascii else "─"
        text = f" {words} " if words else ""
        return Text((bar * 3 + text + bar * self.width)[: self.width], style="dim")

    def _wrapped(self, pieces: Line, width: int) -> list[Text]:
        text = self._text(pieces)
        return [text] if text.cell_len <= width else list(self._rows(pieces, width))

    def _rows(self, pieces: Line, width: int) -> Iterator[Text]:
        """Broken at a dot between two parts where that is possible, else between words."""
        row = Text("")
        for part in _parts(pieces):
            added = self._text(part)
            dot = self._text((DOT,)) if row.cell_len else Text("")
            if row.cell_len + dot.cell_len + added.cell_len <= width:
                row = Text.assemble(row, dot, added)
                continue
            if row.cell_len:
                yield from row.wrap(self.console, width)
            row = added
        yield from row.wrap(self.console, width)

    def _text(self, pieces: Line) -> Text:
        return Text.assemble(*((self._characters(piece), STYLES[piece.tone]) for piece in pieces))

    def _characters(self, piece: Piece) -> str:
        shown = safe(piece.text, LONGEST)
        if not self.ascii:
            return shown
        return (ASCII.get(shown, shown) if piece.symbol else shown).encode("ascii", "backslashreplace").decode()


def _parts(pieces: Line) -> Iterator[Line]:
    """What stands between the dots."""
    found: list[Piece] = []
    for piece in pieces:
        if piece is DOT:
            yield tuple(found)
            found = []
        else:
            found.append(piece)
    yield tuple(found)
