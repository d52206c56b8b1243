"""A page as labelled lines, one after the other: for readers of the screen's text, and terminals that can do no more.

Nothing is drawn over and nothing is said by a sign or a colour alone.
"""

from collections.abc import Iterator

from ..text import safe
from .page import Line, Page, Piece

LONGEST = 10_000  # characters of one piece


def told(page: Page, before: Page | None = None) -> Iterator[str]:
    """The lines of `page`; of one that was told before, only what is new."""
    fresh = before is None or before.blocks != page.blocks
    if fresh:
        yield ""
        yield words(page.title)
        for block in page.blocks:
            for part in block.lines:
                yield f"{safe(block.label)}: {words(part)}"
    if page.notice[0].text:
        yield f"NOTICE: {words(page.notice)}"
    if fresh or (before is not None and before.keys != page.keys):
        yield f"KEYS: {', '.join(f'{key.key} {key.words}' for key in page.keys)}"


def words(pieces: Line) -> str:
    """The text of a line."""
    return "".join(_said(piece) for piece in pieces)


def _said(piece: Piece) -> str:
    if piece.symbol:
        return ", " if piece.text.strip() == "·" else ""
    return safe(piece.text, LONGEST)
