"""Draws the pictures of review.md: a real sitting over a real log, with a clock and names that stand still.

    make screens

Run twice, it makes the same bytes.
"""

import io
import itertools
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import anyio
from review_flow import Headline, ask
from rich.console import Console, Group

from coterie.cli.review.screen import Screen
from coterie.cli.review.session import Session
from coterie.cli.review.state import State
from coterie.cli.review.views import page_of
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_items import QueueFilter

HERE = Path(__file__).parent
NOW = 1_790_000_000.0  # seconds since the epoch; 2026-09-21
WIDTH, HEIGHT = 100, 30
SAME = "Profit rose to EUR 13.1 mn from EUR 8.7 mn in the corresponding period"
LINES = ("Raute won an order worth EUR 9 mn, and sales grew", SAME, SAME, "Net sales fell by a third")
PICTURES = {  # picture -> keys that lead to it from the first item on
    "item": "",
    "lineage": "ljjj",
    "why": "w",
    "reject": "x",
    "diff": "e3y",
    "batch": "b",
    "done": "by3s",
}


def main() -> None:
    """Each picture beside this file."""
    for name, text in pictures().items():
        (HERE / f"review-{name}.svg").write_text(text, encoding="utf-8")


def pictures() -> dict[str, str]:
    """Name -> SVG; each of its own log, so that none knows what another has decided."""
    with tempfile.TemporaryDirectory() as folder, standing_still():
        return {name: drawn(name, keys, Path(folder, f"{name}.db")) for name, keys in PICTURES.items()}


def drawn(name: str, keys: str, log: Path) -> str:
    """One sitting."""
    anyio.run(ask, log, [Headline(text=text) for text in LINES])
    with ReviewDesk(log, "anna", clock=lambda: NOW + 90) as desk:
        session = Session(desk, "anna", lambda: NOW + 90)
        state = session.open(QueueFilter())
        for key in keys:
            state = session.press(state, key)
        return picture(f"coterie review: {name}", session.prepare(state))


def picture(title: str, state: State) -> str:
    console = Console(
        record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    rows, _ = Screen(console, WIDTH, HEIGHT, ascii=False).rows(page_of(state, NOW + 90), 0)
    console.print(Group(*rows))
    drawn = console.export_svg(title=title, unique_id="review")
    return drawn.replace("<svg ", '<svg xml:space="preserve" ', 1)  # some readers of SVG drop spaces otherwise


@contextmanager
def standing_still() -> Iterator[None]:
    """No clock goes on, ids count up, and the time is told in UTC."""
    numbers = itertools.count(0x5EED_0000_0001)
    zone = os.environ.get("TZ")
    with ExitStack() as stack:
        stack.enter_context(patch("time.time", lambda: NOW))
        stack.enter_context(patch("uuid.uuid4", lambda: uuid.UUID(int=next(numbers) << 80)))
        os.environ["TZ"] = "UTC"
        time.tzset()
        try:
            yield
        finally:
            os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
            time.tzset()


if __name__ == "__main__":
    main()
