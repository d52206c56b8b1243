"""`coterie doctor`: what this machine has, what is missing, and the command that mends it."""

import json
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..agents.checkpoints import home, installed, known
from ..agents.errors import CoterieError
from ..agents.loading import load
from ..orchestration.database import sqlite_note
from .exits import EXIT_CODES, Exit, clear_errors

NEEDED = ("torch", "transformers", "tokenizers", "pydantic", "anyio", "networkx", "rich", "bm25s", "llguidance")
OPTIONAL = {"trio": "pip install 'coterie[trio]'"}
FREE_BYTES = 1_000_000_000  # what the base checkpoints and their conversion take


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    good: bool = True
    mend: str = ""  # the command that mends it


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    with clear_errors():
        findings = [*_versions(), Finding("logs", sqlite_note()), *_storage(), *_bases(), _probe()]
    if as_json:
        rows: list[dict[str, Any]] = [
            {"what": one.what, "found": one.found, "good": one.good, "mend": one.mend} for one in findings
        ]
        typer.echo(json.dumps(rows, indent=2))
    else:
        _show(findings)
    if not all(finding.good for finding in findings):
        raise typer.Exit(Exit.FAILED)


doctor.__doc__ = f"""Look at this machine: versions, storage, base checkpoints, number types.

    coterie doctor

{EXIT_CODES}
"""


def _versions() -> list[Finding]:
    found = [Finding("python", f"{platform.python_version()} on {platform.platform()}")]
    for name in NEEDED:
        found.append(_package(name, f"{Path(sys.executable).name} -m pip install {name}", needed=True))
    return found + [_package(name, mend, needed=False) for name, mend in OPTIONAL.items()]


def _package(name: str, mend: str, needed: bool) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "missing" if needed else "missing (optional)", good=not needed, mend=mend)


def _storage() -> list[Finding]:
    folder = home()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    mend = "point COTERIE_HOME at another folder, as in: export COTERIE_HOME=/path/with/space"
    writable = os.access(nearest, os.W_OK)
    return [
        Finding("COTERIE_HOME", f"{folder}{'' if writable else ' (cannot be written)'}", writable, mend),
        Finding("free disk there", f"{free / 1e9:.1f} GB", free > FREE_BYTES, mend),
    ]


def _bases() -> list[Finding]:
    return [
        Finding(
            f"base {pin.name}",
            "on disk" if installed(pin) else "not fetched yet",
            good=installed(pin) is not None,
            mend=f"coterie models fetch {pin.name}",
        )
        for pin in known()
    ]


def _probe() -> Finding:
    try:
        profile = load("agents.devices").device_profile(home())
    except (CoterieError, OSError, ImportError) as error:
        return Finding("number types", f"the probe failed: {error}", good=False, mend="pip install --upgrade torch")
    return Finding("number types", f"{profile.device}: {profile.reason}")


def _show(findings: list[Finding]) -> None:
    console, table = Console(), Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        sign = Text("ok", style="green") if finding.good else Text("mend", style="bold red")
        table.add_row(sign, Text(finding.what, style="bold"), Text(finding.found))
    console.print(table)
    for finding in findings:
        if finding.mend and (not finding.good or "missing" in finding.found):
            console.print(Text(f"{finding.what}: {finding.mend}"), soft_wrap=True)
