"""`coterie export`: the facts of a log as lines of JSON, as they are read, however many there are."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from sqlalchemy import Connection

from ..agents.errors import CoterieError
from ..orchestration.queries import RunFilter, export
from .exits import EXIT_CODES, Exit, clear_errors
from .logs import (
    DEFAULT_LOG,
    FlowName,
    JsonOption,
    KeyOption,
    LogOption,
    SinceOption,
    StateOption,
    ThreadOption,
    UntilOption,
    existing,
    read_log,
    run_filter,
)


class CannotWrite(CoterieError):
    """The file cannot be written. No `OSError`, so that the log is not blamed for it."""


class ReaderGone(CoterieError):
    """Whoever reads standard output has had enough, as `head` has; no error of ours."""


def export_log(
    jsonl: Annotated[str, typer.Option(metavar="FILE", help="Where to write; - for standard output.")],
    log: LogOption = DEFAULT_LOG,
    flow: FlowName = None,
    state: StateOption = None,
    thread: ThreadOption = None,
    key: KeyOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the latest N runs.")] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        wanted = run_filter(flow, state, thread, key, since, until, limit)
        existing(log)  # before a file of an earlier export is overwritten
        try:
            with _opened(jsonl) as file:
                count = read_log(log, lambda connection: _write(connection, wanted, jsonl, file))
        except ReaderGone:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
            raise typer.Exit(Exit.DONE) from None
    told = json.dumps({"facts": count, "file": jsonl}) if as_json else f"{count:,} facts"
    typer.echo(told, err=jsonl == "-")


export_log.__doc__ = f"""Write every fact of a log as a line of JSON, with its messages in place.

    coterie export --jsonl facts.jsonl --log desk.db --since 30d

{EXIT_CODES}
"""


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        with _blamed(name):
            yield sys.stdout
            sys.stdout.flush()
        return
    with _blamed(name), Path(name).open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Turns what a file raises into a sentence."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone(name) from error
    except OSError as error:
        if isinstance(error, CoterieError):
            raise
        raise CannotWrite(f"cannot write {name!r}: {error.strerror or error}") from error


def _write(connection: Connection, wanted: RunFilter, name: str, file: TextIO) -> int:
    count = 0
    for row in export(connection, wanted):
        line = _line(row)
        with _blamed(name):
            file.write(line)
        count += 1
    return count


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"  # ASCII: nothing in it can move a cursor or turn a line around
