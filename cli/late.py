"""Subcommands whose modules are imported when one of them is chosen, so that each opens as fast as it can by itself.

Their names are known before. What needs more than names, such as `--help`, imports all of them.
"""

import gc
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

from ..agents.loading import HeavyModule, load


class Late(NamedTuple):
    """Where a subcommand is: a function, or a group of commands of its own."""

    module: HeavyModule
    name: str


class LateGroup(TyperGroup):
    """A group of commands; subclasses say which, in the order in which `--help` lists them."""

    late: ClassVar[Mapping[str, Late]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LateCommands(self.late)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names alone; the inherited way would import every module."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, made now if it was not yet; None: there is none of this name."""
        if cmd_name not in self.commands:
            return None
        return self.commands[cmd_name]


class LateCommands(MutableMapping[str, Any]):
    """Commands by name, each made when it is first read."""

    def __init__(self, late: Mapping[str, Late]) -> None:
        self._late = late
        self._made: dict[str, Any] = dict.fromkeys(late)

    def __getitem__(self, name: str) -> Any:
        if self._made[name] is None:
            self._made[name] = _made(name, self._late[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._made  # the inherited way would make it, and take a fault of its module for its absence

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def _made(name: str, late: Late) -> Any:
    """The command, with the settings that every command of ours has."""
    with _uncollected():
        found = getattr(load(late.module), late.name)
    around = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return get_group(around).commands[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """What an import makes stays, so looking for garbage among it is in vain; it would take a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
