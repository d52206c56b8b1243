"""`coterie evaluate`: what a release of a role does on labelled rows, with intervals; nothing is changed."""

import json
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.table import Table

from ..agents.engine import Engine
from ..agents.releases import live_digest
from ..agents.releases import release as stored_release
from ..tuning.intervals import bootstrap
from ..tuning.outcomes import Measure, Outcome
from ..tuning.rows import Kind
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .logs import JsonOption
from .text import safe
from .tune import PassagesOption, RoleArgument, Task, TuneFlowOption, TuneLogOption
from .tuning_subject import Places, subject_of
from .tuning_view import TuningView


def evaluate(
    role: RoleArgument = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Labelled rows, JSON lines; may be repeated.")
    ] = None,
    passages: PassagesOption = None,
    log: TuneLogOption = None,
    flow: TuneFlowOption = None,
    task: Annotated[Task | None, typer.Option("--task", help="What the role does, where no flow says it.")] = None,
    base: Annotated[str | None, typer.Option(help="The base checkpoint, where no flow says it.")] = None,
    release: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Which release; `untuned` for none. Else the live one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        places = Places(data=tuple(data or ()), passages=tuple(passages or ()), log=log, flow=flow)
        kind: Kind | None = None if task is None else task.value
        anyio.run(_evaluate, role, places, kind, base, release, as_json)


evaluate.__doc__ = f"""What a release does on labelled rows, as it is served.

\b
    coterie evaluate bank/intent --data test.jsonl
    coterie evaluate bank/intent --data test.jsonl --release untuned

{EXIT_CODES}
"""


async def _evaluate(
    role: str | None, places: Places, kind: Kind | None, base: str | None, release: str | None, as_json: bool
) -> None:
    console = Console(stderr=as_json)
    async with Engine() as engine:
        subject = await subject_of(role, places, kind, base, engine)
        rows: Any = subject.dataset.rows
        if not rows:
            fail("there are no rows to evaluate on", Exit.BAD_INPUT)
        learner: Any = subject.learner
        digest = _chosen(learner.role, release)
        with TuningView(console) as view:
            outcomes = await learner.outcomes(engine, digest, rows, view.take)
    told = _told(learner.role, digest, learner.measure, outcomes)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(console, told)
    if subject.dataset.bad_lines:
        for line in subject.dataset.bad_lines:
            console.print(f"left out: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(Exit.BAD_INPUT)


def _chosen(role: str, release: str | None) -> str:
    if release is None:
        return live_digest(role)
    return "" if release == "untuned" else stored_release(role, release).digest


def _told(role: str, digest: str, measure: Measure, outcomes: list[Outcome]) -> dict[str, Any]:
    found = bootstrap(measure.sums(outcomes), measure.combine, threads=[one.thread for one in outcomes])
    names = sorted({name for outcome in outcomes for name in outcome.slices})
    slices = {}
    for name in names:
        inside = [outcome for outcome in outcomes if name in outcome.slices]
        slices[name] = {"rows": len(inside), "value": measure.value(inside)}
    return {
        "role": role,
        "release": digest,
        "measure": measure.name,
        "rows": len(outcomes),
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "slices": slices,
    }


def _show(console: Console, told: dict[str, Any]) -> None:
    table = Table("rows", told["measure"], "95 % interval", "on")
    table.add_row(f"{told['rows']:,}", f"{told['value']:.4f}", f"{told['low']:.4f} to {told['high']:.4f}", "all")
    for name, found in told["slices"].items():
        table.add_row(f"{found['rows']:,}", f"{found['value']:.4f}", "", safe(name))
    console.print(table)
    console.print(f"{told['role']}, release {told['release'][:12] or 'untuned'}", markup=False, highlight=False)
