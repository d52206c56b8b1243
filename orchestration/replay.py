"""Reading a run again: the same decisions, the same result, and no model and no node called.

async with DatabaseLog("desk.db") as log:
    replayed = await replay(log, flow, run)
    assert replayed.divergences == []
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..agents.loading import load
from ..agents.messages import Message
from .events import TERMINAL, Event, RunFinished
from .log import Log
from .workflow import Flow

if TYPE_CHECKING:
    from .rebuild import Rebuilt


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run as the program now reads it."""

    run: str
    facts: tuple[Event, ...]
    divergences: tuple[str, ...]  # where the program would now go another way; empty: it decides as it did

    @property
    def result(self) -> Message | None:
        """What the run answered, if it did."""
        last = self.facts[-1]
        return last.message if isinstance(last, RunFinished) else None

    @property
    def ended(self) -> bool:
        return isinstance(self.facts[-1], TERMINAL)


async def replay(log: Log, flow: Flow[Any, Any], run: str) -> Replayed:
    """`run` read again under `flow`. Every row is checked against its hash first.

    Raises:
        NoSuchRun: the log does not have it.
        LogCorrupt: a row is not as it was written.
        MessageError: a message does not fit the flow's types.
    """
    facts = await log.read(run, flow.registry)
    rebuilt: Rebuilt = load("orchestration.rebuild").rebuild(flow, facts)
    return Replayed(run, tuple(facts), tuple(rebuilt.divergences))
