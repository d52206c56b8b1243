"""`coterie review stats`: what the reviewers' work amounts to, as tables, as JSON and as a picture.

Counts nothing itself: orchestration/review_stats.py does. The picture needs `pip install 'coterie[plots]'`.
"""

import getpass
import json
import os
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console

from ...agents.loading import load
from ...orchestration.review_items import Decision
from ...orchestration.review_stats import review_stats
from ...orchestration.review_tables import ReviewStats
from ..exits import Exit, clear_errors, fail
from ..logs import DEFAULT_LOG, GroupLogOption, JsonOption, existing, moment, storable
from .desk import OpenDesk
from .stats_tables import parts

ByOption = Annotated[str | None, typer.Option("--by", help="Only what this person did.")]
FlowOption = Annotated[str | None, typer.Option("--flow", help="Only reviews of the flow of this name.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="Done since: 90m, 2h, 7d, or 2026-01-31 (your local time).")
]
PngOption = Annotated[
    Path | None, typer.Option("--png", help="Also draw a picture, 1200 x 800 pixels, into this file.")
]


def stats(
    context: typer.Context,
    log: GroupLogOption = None,
    since: SinceOption = None,
    by: ByOption = None,
    flow: FlowOption = None,
    as_json: JsonOption = False,
    png: PngOption = None,
) -> None:
    """Throughput, times, agreement, catch rate, and what was corrected.

    \b
        coterie review stats --log desk.db --since 7d --png stats.png
    """
    with clear_errors():
        plot = None if png is None else plots()
        began = None if since is None else moment("--since", since)
        done = decisions_in(log or context.obj or DEFAULT_LOG)
        found = review_stats(done, since=began, by=storable("--by", by), flow=storable("--flow", flow), zone=None)
    if plot is not None and png is not None:
        _draw(plot, found, png)
    if as_json:
        typer.echo(as_text(found))
        return
    console = Console()
    for part in parts(found, console.width):
        console.print(part)


def decisions_in(place: str) -> list[Decision]:
    """Every decision in the log at `place`."""
    opened: OpenDesk = load("orchestration.review_desk").ReviewDesk(existing(place), _reader())
    with opened as desk:
        return list(desk.decisions())


def as_text(found: ReviewStats) -> str:
    """The same as JSON, in the shape of `ReviewStats`; times in seconds, or seconds since the epoch in UTC."""
    return json.dumps(to_jsonable_python(asdict(found)), indent=2)


def plots() -> ModuleType:
    """The module that draws; without matplotlib the command ends."""
    try:
        return load("cli.review.stats_plot")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        fail("--png needs matplotlib, which is not installed: pip install 'coterie[plots]'", Exit.USAGE)


def _draw(plot: ModuleType, found: ReviewStats, png: Path) -> None:
    try:
        plot.draw(found, png)
    except OSError as error:
        fail(f"cannot write {str(png)!r}: {error.strerror or error}")
    typer.echo(f"drawn: {png}", err=True)


def _reader() -> str:
    """Who looks; what people may do in a log is told by name. `--by` says whose work is shown, not who looks."""
    try:
        return os.environ.get("COTERIE_BY", "").strip() or getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "reader"
