"""Which log a command reads, and which runs: the options that all commands over logs share.

A log that is only read is never made: a file that does not exist is an error.
"""

import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import anyio
import typer
from sqlalchemy import Connection

from ..agents.loading import load
from ..agents.messages import repair_text
from ..orchestration.database import Database, url_of
from ..orchestration.queries import RunFilter, RunState, full_id
from .exits import Exit, fail

if TYPE_CHECKING:
    from ..orchestration.database_log import DatabaseLog

T = TypeVar("T")

LENGTH = re.compile(r"[0-9]{1,9}[smhdw]")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}  # seconds

LogOption: TypeAlias = Annotated[
    str, typer.Option("--log", envvar="COTERIE_LOG", help="A file for SQLite, or a URL for PostgreSQL.")
]
DEFAULT_LOG = "coterie.db"
GroupLogOption: TypeAlias = Annotated[
    str | None, typer.Option("--log", help="As of the command before it; may stand here, too.")
]
RunArgument: TypeAlias = Annotated[str, typer.Argument(help="The run's id, or how it begins.")]
FlowOption: TypeAlias = Annotated[
    str, typer.Option("--flow", metavar="MODULE:FLOW", help="As in examples/finance_desk.py:flow.")
]
FlowName: TypeAlias = Annotated[str | None, typer.Option("--flow", help="Only runs of the flow of this name.")]
StateOption: TypeAlias = Annotated[RunState | None, typer.Option("--state", help="Only runs in this state.")]
ThreadOption: TypeAlias = Annotated[str | None, typer.Option("--thread", help="Only runs of this conversation.")]
KeyOption: TypeAlias = Annotated[str | None, typer.Option("--key", help="Only the run with this idempotency key.")]
SinceOption: TypeAlias = Annotated[
    str | None, typer.Option("--since", help="Started since: 90m, 2h, 7d, or 2026-01-31 (your local time).")
]
UntilOption: TypeAlias = Annotated[str | None, typer.Option("--until", help="Started before; as --since.")]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def existing(place: str) -> str:
    """`place`, where there is a log; else the command ends."""
    url = url_of(place)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        fail(f"there is no log {str(url.database)!r}; name one by --log or COTERIE_LOG", Exit.BAD_INPUT)
    return place


def read_log(place: str, work: Callable[[Connection], T]) -> T:
    """What `work` reads from the log at `place`."""
    return with_log(place, lambda database: database.read(work))


def with_log(place: str, work: Callable[[Database], T]) -> T:
    """What `work` does with the database of the log at `place`."""

    async def open_and_work() -> T:
        opened: DatabaseLog = load("orchestration.database_log").DatabaseLog(existing(place))
        async with opened as log:
            return await log.call(work)

    return anyio.run(open_and_work)


def group_log(context: typer.Context, log: str) -> bool:
    """Keeps `log` for the subcommand of a group of commands; False: there is none.

    Filters that stand before a subcommand are refused: who writes `runs --flow a prune` must not lose all of b.
    """
    context.obj = log
    if context.invoked_subcommand is None:
        return False
    sources = {name: context.get_parameter_source(name) for name in context.params if name != "log"}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        names = ", ".join(f"--{name.removeprefix('as_')}" for name in given)
        fail(f"{names} stands before {context.invoked_subcommand!r}, which it says nothing to", Exit.USAGE)
    return True


def storable(option: str, told: str | None) -> str | None:
    """`told`, where a database can hold it; else the command ends."""
    if told is not None and repair_text(told) != told:
        fail(f"{option} {told!r} holds bytes that are no UTF-8 text", Exit.BAD_INPUT)
    return told


def write_page(path: Path, page: str) -> None:
    """Write an HTML page; where that cannot be done, the command ends."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {str(path)!r}: {error.strerror or error}")


def run_id(place: str, beginning: str) -> str:
    """The one run whose id begins so."""
    return read_log(place, lambda connection: full_id(connection, beginning))


def run_filter(
    flow: str | None,
    state: RunState | None,
    thread: str | None,
    key: str | None,
    since: str | None,
    until: str | None,
    limit: int | None = None,
) -> RunFilter:
    """The filter that a command's options make."""
    return RunFilter(
        flow=flow,
        state=state,
        thread=thread,
        key=key,
        since=None if since is None else moment("--since", since),
        until=None if until is None else moment("--until", until),
        limit=limit,
    )


def moment(option: str, told: str) -> float:
    """Seconds since the epoch, from "2h" (ago) or a date with or without a time."""
    if LENGTH.fullmatch(told):
        return time.time() - seconds(option, told)
    try:
        return datetime.fromisoformat(told).astimezone().timestamp()
    except (ValueError, OverflowError):
        fail(f"{option} {told!r} is no time; write 90m, 2h, 7d, 2026-01-31 or 2026-01-31T18:00", Exit.USAGE)


def seconds(option: str, told: str) -> int:
    """A length of time such as 90d."""
    if not LENGTH.fullmatch(told):
        fail(f"{option} {told!r} is no length of time; write 90m, 2h, 30d or 12w", Exit.USAGE)
    return int(told[:-1]) * UNITS[told[-1]]
