"""The `coterie` command: its subcommands and what it says of itself."""

import gc
from collections.abc import Mapping
from typing import ClassVar

import typer

from .exits import EXIT_CODES
from .late import Late, LateGroup


class Commands(LateGroup):
    """All that `coterie` can do."""

    late: ClassVar[Mapping[str, Late]] = {
        "run": Late("cli.run", "run"),
        "graph": Late("cli.graph", "graph"),
        "doctor": Late("cli.doctor", "doctor"),
        "show": Late("cli.show", "show_run"),
        "resume": Late("cli.resume", "resume"),
        "replay": Late("cli.replay", "replay_run"),
        "fork": Late("cli.fork", "fork"),
        "verify": Late("cli.verify", "verify_log"),
        "export": Late("cli.export", "export_log"),
        "tune": Late("cli.tune", "tune"),
        "evaluate": Late("cli.evaluate", "evaluate"),
        "promote": Late("cli.promote", "promote"),
        "rollback": Late("cli.promote", "rollback"),
        "models": Late("cli.models", "models"),
        "runs": Late("cli.runs", "runs"),
        "dead": Late("cli.dead", "dead_letters"),
        "review": Late("cli.review.app", "review"),
    }


def coterie() -> None:
    """Nothing is done before a subcommand."""


app = typer.Typer(
    cls=Commands,
    callback=coterie,
    help=f"Teams of small local models in typed asynchronous workflows.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The `coterie` command."""
    try:
        app()
    finally:
        gc.freeze()  # else the interpreter, which is about to end, looks through all that was imported for garbage
