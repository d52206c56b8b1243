"""What a role is tuned on, as plain values: a message that it made, what it saw, and what people said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .review_items import ShownMessage

Kind = Literal["gold", "approved", "edited", "rejected", "right", "wrong"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one person said of a message."""

    kind: Kind
    by: str
    at: float  # seconds since the epoch, UTC
    why: str  # the code, else the reason; "" where none was given
    before: Mapping[str, Any] | None  # fields, of a correction
    after: Mapping[str, Any] | None
    passage: str | None  # id of the one that is right or wrong
    decision: int  # its number; 0: it was given inside a program, not at a desk
    type: str | None = None  # of `after`, where it is another than the message's own


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A message that a role made."""

    run: str
    task: str
    index: int | None  # its position, where the task answered with a list
    thread: str | None
    role: str
    weights: str  # digest of the release that made it
    at: float  # seconds since the epoch, UTC
    inputs: tuple[ShownMessage, ...]  # the items of lists, one after another
    given: Mapping[str, ShownMessage]
    output: ShownMessage
    feedback: tuple[Feedback, ...] = ()  # in the order in which it was given

    @property
    def correction(self) -> Mapping[str, Any] | None:
        """The fields that the message should have had, by the last who corrected it; None: nobody did.

        An edit that sent on another type corrects the fields of the same names.
        """
        corrected = [one for one in self.feedback if one.kind in ("gold", "edited") and one.after is not None]
        if not corrected:
            return None
        after = corrected[-1].after or {}
        if corrected[-1].type is None:
            return after
        return {name: after.get(name, value) for name, value in self.output.fields.items()}
