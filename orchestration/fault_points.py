"""Named places around every write, at which a test may watch a process, or end it.

`crash_points.py` kills processes here. Where nobody watches, a place costs one call that looks at one name. This file
knows nothing of what happens at the places.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

Point: TypeAlias = Literal[
    "attempt-begins",  # the start of the attempt is kept; about: the run's id, the task
    "effect-intended",  # the intent is kept
    "node-called",  # at once; about: the task
    "node-answered",  # the node has run, and nothing of its outcome is kept
    "write-due",  # facts are made and not handed to the log
    "write-handed-in",  # the log has them; on a quick disk they are committed already
    "transaction-due",
    "run-inserted",
    "head-moved",
    "messages-inserted",
    "facts-inserted",
    "reviews-written",  # the rows of questions say what the facts do; only in runs that ask
    "actions-done",  # what nodes do in the log's database, before the facts that belong to it
    "commit-due",
    "committed",  # before anybody is told
    "told",  # whoever waits may know; about: the facts
    "claimed",  # the run is this process's to write
]
POINTS: tuple[Point, ...] = get_args(Point)

Watch: TypeAlias = Callable[[Point, tuple[Any, ...]], None]

_watching: Watch | None = None


def reached(point: Point, *about: Any) -> None:
    """The process is at `point`. What `about` holds is said beside each point."""
    if _watching is not None:
        _watching(point, about)


def watch(watching: Watch | None) -> None:
    """Have `watching` called at every point, in whichever thread reaches it; None: nobody."""
    global _watching
    _watching = watching
