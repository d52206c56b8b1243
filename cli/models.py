"""`coterie models`: base checkpoints and releases, with their sizes and digests; `fetch` gets a base, once."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..agents.checkpoints import fetch, home, installed, known, weights_digest
from ..agents.releases import live, releases, roles
from .exits import EXIT_CODES, clear_errors
from .logs import JsonOption

models = typer.Typer(
    help=f"Base checkpoints and releases of roles.\n\n    coterie models fetch\n\n{EXIT_CODES}",
    invoke_without_command=True,
)


@models.callback()
def list_models(context: typer.Context, as_json: JsonOption = False) -> None:
    """What is on this machine, where nothing else is asked for."""
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        bases, stored = _bases(), _releases()
    if as_json:
        typer.echo(json.dumps({"home": str(home()), "bases": bases, "releases": stored}, indent=2))
        return
    console = Console()
    console.print(_table("Base checkpoints", bases, "fetch one with `coterie models fetch NAME`"))
    console.print(_table("Releases", stored, f"under {home() / 'releases'}") if stored else "No releases yet.")


@models.command("fetch")
def fetch_base(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of base checkpoints; all of them unless given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch base checkpoints that are not there yet, and verify them.

    coterie models fetch minilm-l6
    """
    with clear_errors():
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        fetched = {}
        with Progress(*columns, console=Console(stderr=as_json)) as progress:
            for name in names or [pin.name for pin in known()]:
                bar = progress.add_task(name, total=None)
                fetched[name] = fetch(name, partial(_advance, progress, bar))
                progress.update(bar, description=f"{name} is there", completed=1, total=1)
        rows = [{"name": name, "folder": str(at), "digest": weights_digest(at)} for name, at in fetched.items()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))


def _advance(progress: Progress, bar: TaskID, label: str, done_bytes: int, total_bytes: int) -> None:
    progress.update(bar, description=label, completed=done_bytes, total=total_bytes or None)


def _bases() -> list[dict[str, Any]]:
    rows = []
    for pin in known():
        folder = installed(pin)
        rows.append(
            {
                "name": pin.name,
                "what": pin.summary,
                "parameters": pin.parameters,
                "megabytes": round(_bytes(folder) / 1e6, 1) if folder else round(pin.wheel_bytes / 1e6, 1),
                "on disk": folder is not None,
                "digest": weights_digest(folder) if folder else None,
            }
        )
    return rows


def _releases() -> list[dict[str, Any]]:
    rows = []
    for role in roles():
        serving = live(role)
        for release in releases(role):
            row = {"role": role, "digest": release.digest, "live": serving is not None and release == serving}
            rows.append(row)
    return rows


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _table(title: str, rows: list[dict[str, Any]], caption: str) -> Table:
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    return table


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "digest":
        return value[:12] if value else ""
    return f"{value:,}" if isinstance(value, int) else str(value)
