"""A sitting in a process of its own, over a desk in memory; each decision is a line of the file that it is given."""

import sys
from pathlib import Path

from rich.console import Console

from coterie.cli.review.keys import Keyboard
from coterie.cli.review.session import Session
from coterie.cli.review.terminal import Painted, Told, ascii_only, sit, wants_plain
from coterie.orchestration.review_items import Decision, QueueFilter
from tests.cli.review.fake_desk import FakeDesk, an_item


class WrittenDesk(FakeDesk):
    """Writes down what is stored."""

    def _store(self, act: str, item: object, body: dict[str, object]) -> Decision:
        with Path(sys.argv[1]).open("a") as written:
            written.write(f"{act}\n")
        return super()._store(act, item, body)


session = Session(WrittenDesk([an_item(number) for number in range(1, 6)]), "anna")
keyboard, console = Keyboard(), Console()
begin = session.open(QueueFilter())
if wants_plain():
    _, interrupted = sit(session, begin, Told(console, keyboard), keyboard)
else:
    face = Painted(console, keyboard, ascii_only=ascii_only())
    with face.opened():
        _, interrupted = sit(session, begin, face, keyboard)
sys.stdout.write("goodbye\n")
sys.exit(130 if interrupted else 0)
