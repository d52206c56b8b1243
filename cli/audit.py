"""`coterie verify`, `export` and `dead`: what a log holds, whether it is as it was written, and what failed in it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from ..orchestration.database import Database
from ..orchestration.queries import RunFilter, Verdict, dead, export, missing, verify
from ..orchestration.witness import Witness
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .going_on import retry_run
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
    read_log,
    run_filter,
    with_log,
)
from .runs import local
from .text import safe


def verify_log(
    log: LogOption = DEFAULT_LOG,
    witness: Annotated[Path | None, typer.Option(help="Compare with this witness file, too.")] = None,
    as_json: JsonOption = False,
) -> None:
    def work(database: Database) -> Verdict:
        damage = database.damage()
        if damage is not None:
            return Verdict(faults=[f"the database: {damage}"])
        found = database.read(verify)
        if witness is not None:
            seen = Witness(witness)
            found.faults += database.read(lambda connection: missing(connection, seen))
            seen.close()
        return found

    with clear_errors():
        if witness is not None and not witness.is_file():
            fail(f"there is no witness {str(witness)!r}", Exit.BAD_INPUT)
        verdict = with_log(log, work)
    if as_json:
        typer.echo(json.dumps({**asdict(verdict), "sound": verdict.sound}, indent=2))
    elif verdict.sound:
        typer.echo(f"sound: {verdict.runs:,} runs, {verdict.facts:,} facts, {verdict.messages:,} messages")
    else:
        console = Console()
        for fault in verdict.faults[:20]:
            console.print(Text(safe(fault), style="red"), soft_wrap=True)
        console.print(f"{len(verdict.faults)} faults; the first is the place to look")
    if not verdict.sound:
        raise typer.Exit(Exit.FAILED)


verify_log.__doc__ = f"""Check every row of a log: numbers, hashes, messages, the file itself. Needs no key.

    coterie verify --log desk.db

{EXIT_CODES}
"""


def export_log(
    jsonl: Annotated[str, typer.Option(metavar="FILE", help="Where to write; - for standard output.")],
    log: LogOption = DEFAULT_LOG,
    flow: FlowName = None,
    state: StateOption = None,
    thread: ThreadOption = None,
    key: KeyOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        wanted = run_filter(flow, state, thread, key, since, until)
        try:
            if jsonl == "-":
                count = read_log(log, lambda connection: _write(connection, wanted, sys.stdout))
            else:
                with Path(jsonl).open("w", encoding="utf-8") as file:
                    count = read_log(log, lambda connection: _write(connection, wanted, file))
        except OSError as error:
            fail(f"cannot write {jsonl!r}: {error}")
    if as_json:
        typer.echo(json.dumps({"facts": count, "file": jsonl}), err=jsonl == "-")
    else:
        typer.echo(f"{count:,} facts", err=jsonl == "-")


export_log.__doc__ = f"""Write every fact of a log as a line of JSON, with its messages in place.

    coterie export --jsonl facts.jsonl --log desk.db --since 30d

{EXIT_CODES}
"""

dead_letters = typer.Typer(
    help="Runs that failed, and why; `retry` puts one back to work.\n\n    coterie dead --log desk.db\n\n" + EXIT_CODES,
    invoke_without_command=True,
)
dead_letters.command("retry")(retry_run)


@dead_letters.callback()
def list_dead(
    context: typer.Context,
    log: LogOption = DEFAULT_LOG,
    flow: FlowName = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: JsonOption = False,
) -> None:
    """Runs that failed, where nothing else is asked for."""
    context.obj = log
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        wanted = run_filter(flow, None, None, None, since, until)
        found = read_log(log, lambda connection: dead(connection, wanted))
    if as_json:
        typer.echo(json.dumps([{**asdict(run), "why": asdict(fact)} for run, fact in found], indent=2))
        return
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "flow", "failed", "task", "why"):
        drawn.add_column(name, overflow="fold")
    for run, fact in found:
        why = f"{fact.fields['error']}: {fact.fields['reason']}"
        task = str(fact.node or "")
        drawn.add_row(run.id, Text(safe(run.flow)), local(run.updated), Text(safe(task)), Text(safe(why, 300)))
    Console().print(drawn if found else "no run has failed")


def _write(connection: Connection, wanted: RunFilter, file: TextIO) -> int:
    count = 0
    for row in export(connection, wanted):
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count
