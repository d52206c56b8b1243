"""`coterie replay`: a run read again from its facts, and where the program would now decide otherwise."""

import json
from typing import Any

import anyio
import typer
from rich.console import Console
from rich.text import Text

from ..orchestration.database_log import DatabaseLog
from ..orchestration.replay import Replayed, replay
from ..orchestration.workflow import Flow
from .exits import EXIT_CODES, Exit, clear_errors
from .logs import DEFAULT_LOG, FlowOption, JsonOption, LogOption, RunArgument, existing, run_id
from .target import flow_at
from .text import safe


def replay_run(
    run: RunArgument,
    flow: FlowOption,
    log: LogOption = DEFAULT_LOG,
    as_json: JsonOption = False,
) -> None:
    async def read(target: Flow[Any, Any], identity: str) -> Replayed:
        async with DatabaseLog(existing(log)) as opened:
            return await replay(opened, target, identity)

    with clear_errors():
        found = anyio.run(read, flow_at(flow), run_id(log, run))
    if as_json:
        told = {"run": found.run, "facts": len(found.facts), "divergences": found.divergences, "result": _result(found)}
        typer.echo(json.dumps(told, indent=2))
    else:
        _print(found)
    if found.divergences:
        raise typer.Exit(Exit.FAILED)


replay_run.__doc__ = f"""Read a run again: the same decisions from the stored facts, and no model called.

    coterie replay 3f8b --flow examples/finance_desk.py:flow --log desk.db

{EXIT_CODES}
"""


def _print(found: Replayed) -> None:
    console, result = Console(), _result(found)
    ended = "it has not ended" if not found.ended else "it ended without a result"
    told = f"result: {safe(json.dumps(result, ensure_ascii=False))}" if result is not None else ended
    console.print(Text(f"replayed {len(found.facts):,} facts of {found.run}, no model called, {told}"), soft_wrap=True)
    for divergence in found.divergences:
        console.print(Text(safe(divergence), style="red"), soft_wrap=True)


def _result(found: Replayed) -> Any:
    return None if found.result is None else found.result.model_dump(mode="json")
