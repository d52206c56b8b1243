"""`coterie verify`: whether every row of a log is as it was written."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..orchestration.database import Database
from ..orchestration.queries import Verdict, missing, verify
from ..orchestration.witness import WitnessFile
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .logs import DEFAULT_LOG, JsonOption, LogOption, with_log
from .text import safe

SHOWN = 20  # faults


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
            seen = WitnessFile(witness)
            found.faults += database.read(lambda connection: missing(connection, seen))
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
        for fault in verdict.faults[:SHOWN]:
            console.print(Text(safe(fault), style="red"), soft_wrap=True)
        if (count := len(verdict.faults)) > 1:
            console.print(f"{count:,} faults; the first is the place to look")
    if not verdict.sound:
        raise typer.Exit(Exit.FAILED)


verify_log.__doc__ = f"""Check every row of a log: numbers, hashes, messages, the file itself. Needs no key.

    coterie verify --log desk.db

{EXIT_CODES}
"""
