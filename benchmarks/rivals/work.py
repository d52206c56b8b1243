"""The work that every candidate does: no-op nodes that each return a new, validated message.

A candidate is a module with the async functions of `Candidate`; each makes sure that its answer is right.
"""

from typing import Protocol

from pydantic import BaseModel

CHAIN, WIDTH, SHORT = 10, 64, 5  # nodes of the chain, width of the fan-out, nodes of each concurrent run
RUNS = 500  # runs at the same time
NODES = {"chain": CHAIN, "fan_out": WIDTH + 2, "concurrent": SHORT}  # nodes that one repeat of a workload runs


class Token(BaseModel):
    """What travels between nodes."""

    text: str
    count: int


class Candidate(Protocol):
    """A way to run graphs. What can be built once is built at import, or at the first call."""

    async def chain(self, repeats: int) -> None:
        """A chain of CHAIN nodes, `repeats` times, one run after the other."""

    async def fan_out(self, repeats: int) -> None:
        """One node, WIDTH nodes in parallel, and one that joins them, `repeats` times."""

    async def concurrent(self, repeats: int) -> None:
        """`repeats` runs, at most RUNS, of a chain of SHORT nodes, all at the same time."""


def check(found: int, expected: int) -> None:
    """Nobody cheats."""
    if found != expected:
        raise AssertionError(f"found {found}, expected {expected}")
