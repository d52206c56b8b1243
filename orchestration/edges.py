"""The edges of a flow as plain, immutable facts. Nodes are named, so that edges can be compared, drawn and stored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..agents.type_forms import describe

START = "(start)"
END = "(end)"


@dataclass(frozen=True, slots=True)
class Link:
    """Every message of `source`, or only those of type `on` and those that `when` lets pass, goes to `target`."""

    source: str
    target: str
    on: type | None = None
    when: Callable[[Any], bool] | None = None
    max_visits: int | None = None  # times that it can be taken in one scope; None: no bound
    exhausted: str | None = None  # node that takes the message after that; None: the run fails

    def __str__(self) -> str:
        return self.told(describe)

    def told(self, described: Callable[[Any], str]) -> str:
        """The edge in words, in which `described` says what it follows."""
        return f"edge {self.source} -> {self.target}" + (f" on {described(self.on)}" if self.on else "")


@dataclass(frozen=True, slots=True)
class Fork:
    """One task of `target` for each item of the list that `source` answers with."""

    source: str
    target: str
    limit: int | None = None  # items at work at the same time; None: all

    def __str__(self) -> str:
        return f"map {self.source} -> {self.target}"


@dataclass(frozen=True, slots=True)
class Join:
    """The answers of `source` for all items of the innermost fork go to `target` as one list, in item order."""

    source: str
    target: str
    at_least: int = 0  # items without which the run fails
    within: float | None = None  # seconds from the fork, after which what is still open is cancelled

    def __str__(self) -> str:
        return f"join {self.source} -> {self.target}"


@dataclass(frozen=True, slots=True)
class Gather:
    """One answer of each of `sources` goes to `target` together, in this order."""

    sources: tuple[str, ...]
    target: str

    def __str__(self) -> str:
        return f"gather ({', '.join(self.sources)}) -> {self.target}"


@dataclass(frozen=True, slots=True)
class Catch:
    """When `source` fails with `error`, `target` is told about it in a `Failure`."""

    source: str
    target: str
    error: type[Exception] = Exception

    def __str__(self) -> str:
        return f"on_error {self.source} -> {self.target}"


Edge: TypeAlias = Link | Fork | Join | Gather | Catch


def sources_of(edge: Edge) -> tuple[str, ...]:
    """The nodes that an edge leaves."""
    return edge.sources if isinstance(edge, Gather) else (edge.source,)


def targets_of(edge: Edge) -> tuple[str, ...]:
    """The nodes that an edge may lead to."""
    if isinstance(edge, Link) and edge.exhausted is not None:
        return (edge.target, edge.exhausted)
    return (edge.target,)
