"""The `coterie` command: its subcommands and what it says of itself."""

import typer

from .dead import dead_letters
from .doctor import doctor
from .exits import EXIT_CODES
from .export import export_log
from .fork import fork
from .graph import graph
from .models import models
from .replay import replay_run
from .resume import resume
from .review.app import review
from .run import run
from .runs import runs
from .show import show_run
from .verify import verify_log

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
app.add_typer(runs, name="runs")
app.command("show")(show_run)
app.command()(resume)
app.command("replay")(replay_run)
app.command()(fork)
app.command("verify")(verify_log)
app.command("export")(export_log)
app.add_typer(dead_letters, name="dead")
app.add_typer(review, name="review")


def main() -> None:
    """The `coterie` command."""
    app()
