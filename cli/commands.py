"""The `coterie` command: its subcommands and what it says of itself."""

import typer

from .doctor import doctor
from .exits import EXIT_CODES
from .graph import graph
from .models import models
from .run import run

app = typer.Typer(
    help=f"Teams of small local models in typed asynchronous workflows.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(graph)
app.add_typer(models, name="models")
app.command()(doctor)


def main() -> None:
    """The `coterie` command."""
    app()
