"""Real logs with reviews that wait in them, as docs/review_flow.py and a flow of hostile text make them."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, ClassVar, Literal

import anyio

from coterie.agents import Message, Passage
from coterie.orchestration import Review, Runtime, Workflow
from coterie.orchestration.review_desk import ReviewDesk

DOCS = Path(__file__).parents[3] / "docs"
SAME = "Profit rose to EUR 13.1 mn from EUR 8.7 mn in the corresponding period"
LINES = (
    "Raute won an order worth EUR 9 mn, and sales grew for the fifth quarter in a row, although the order is smaller",
    SAME,
    SAME,
    "Operating loss widened to EUR 2.3 mn",
    "Net sales fell by a third",
)


def documented(name: str) -> Any:
    """A module of docs/."""
    if name not in sys.modules:
        spec = spec_from_file_location(name, DOCS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def make_log(place: Path, lines: tuple[str, ...] = LINES) -> Path:
    """A log in which a review waits for each of `lines`."""
    flow = documented("review_flow")
    anyio.run(flow.ask, place, [flow.Headline(text=text) for text in lines])
    return place


class Wild(Message):
    """Text from anywhere."""

    max_bytes: ClassVar[int] = 4_000_000
    label: Literal["fine", "bad"]
    text: str
    passages: list[Passage]


def make_hostile_log(place: Path, text: str) -> Path:
    """A log in which one review waits whose every text is `text`."""
    builder = Workflow("wild", Wild, Wild)
    desk = Review[Wild, Wild]("desk", blind=0.0)
    builder.start(desk)
    builder.end(desk)
    flow = builder.build()
    passage = Passage(id="one", text=text[:900_000], source=text[:200])

    async def ask() -> None:
        async with Runtime(log=place) as runtime:
            run = await runtime.start(flow, Wild(label="fine", text=text, passages=[passage]), thread=text[:60])
            await run.wait_settled()

    anyio.run(ask)
    return place


def acts(place: Path) -> list[str]:
    """What was decided in a log, in order."""
    with ReviewDesk(place, "auditor") as desk:
        return [one.act for one in reversed(list(desk.decisions()))]
