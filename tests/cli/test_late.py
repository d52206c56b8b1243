"""Subcommands that are imported when they are chosen."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from coterie.cli.commands import Commands, app
from coterie.cli.late import Late, LateCommands
from coterie.cli.review.app import ReviewCommands

ALL = {**Commands.late, **{f"review {name}": late for name, late in ReviewCommands.late.items()}}


@pytest.mark.parametrize("command", [pytest.param(command, id=command) for command in ALL])
def test_every_subcommand_is_where_it_is_said_to_be(command: str) -> None:
    """And says what it is for, in the first line of its help."""
    shown = CliRunner().invoke(app, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert f" {command} [OPTIONS]" in shown.output


def test_help_lists_every_subcommand() -> None:
    """In their order, each with a line of its own."""
    listed = [
        line.split()[0]
        for line in CliRunner().invoke(app, ["--help"]).output.partition("Commands:")[2].split("\n  ")[1:]
    ]
    assert listed == list(Commands.late)


def test_a_subcommand_that_is_misspelt_is_told_what_it_may_be() -> None:
    """Which needs no more than the names."""
    done = CliRunner().invoke(app, ["reviw"])
    assert done.exit_code == 2
    assert "No such command 'reviw'. Did you mean 'review'?" in " ".join(done.stderr.split())


def test_a_fault_of_a_chosen_module_is_not_taken_for_its_absence() -> None:
    """An error of an import is an error, not an unknown command."""
    broken = LateCommands({"run": Late("cli.run", "no_such_name")})
    assert "run" in broken
    with pytest.raises(AttributeError, match="no_such_name"):
        broken["run"]


def test_only_what_is_chosen_is_imported() -> None:
    """`coterie review list` opens without what runs flows, counts or draws."""
    program = (
        "import sys; from coterie.cli import main; sys.argv[1:] = ['review', 'list', '--log', 'no-such-log']\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "coterie.cli.review.waiting" in loaded
    unwanted = {"coterie.cli.run", "coterie.cli.review.stats", "coterie.orchestration.runtime", "rapidfuzz", "filelock"}
    assert unwanted & set(loaded) == set()
