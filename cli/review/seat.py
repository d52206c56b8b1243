"""A reviewer's place at the terminal: keyboard, screen and session, from the first item to the farewell.

The import of what reads keys takes a tenth of a second, so commands that read none do without this file.
"""

from contextlib import nullcontext

from rich.console import Console

from ...orchestration.review_items import QueueFilter
from .desk import Desk
from .keys import Keyboard
from .plain import words
from .session import Session
from .terminal import Painted, Told, ascii_only, sit, wants_plain
from .views import page_of


def take_seat(desk: Desk, by: str, wanted: QueueFilter, *, plain: bool) -> tuple[list[str], bool]:
    """Sit until the reviewer leaves: what was done, in lines, and whether they were interrupted."""
    session = Session(desk, by)
    state = session.open(wanted)
    keyboard, console = Keyboard(), Console()
    lines = plain or wants_plain()
    painted = Painted(console, keyboard, ascii_only=ascii_only())
    with nullcontext() if lines else painted.opened():
        state, interrupted = sit(session, state, Told(console, keyboard) if lines else painted, keyboard)
    blocks = page_of(state.at("done"), 0.0).blocks
    return [words(row) for block in blocks for row in block.lines], interrupted
