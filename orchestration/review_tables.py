"""The tables that reviewers' work amounts to, as plain values. This file does no work; review_stats.py fills them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Spread:
    """How some lengths of time are spread."""

    count: int
    median: float | None  # seconds; None: there are none
    p90: float | None  # seconds, that nine of ten stay under


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of a number of cases; without the number a share says little."""

    hits: int
    of: int
    share: float | None  # None: there are no cases


@dataclass(frozen=True, slots=True)
class Tally:
    """What was done with items."""

    approved: int
    chosen: int
    edited: int
    rejected: int
    skipped: int

    @property
    def decided(self) -> int:
        """All but the skipped."""
        return self.approved + self.chosen + self.edited + self.rejected


@dataclass(frozen=True, slots=True)
class ReviewerStats:
    """One person's work."""

    by: str
    decided: int
    skipped: int
    undone: int
    per_hour: float | None  # decided in an hour spent on items; None: no time was measured
    seconds: Spread  # for an answer
    agreement: Rate  # with the model
    blind_agreement: Rate  # with the model, of choices made before its answer was shown
    shared: int  # items that somebody else answered, too
    kappa: float | None  # with the others, on shared items; see `cohens_kappa`
    caught: Rate  # of proposals that were wrong, by a known answer or a later decision, those not let pass
    checks: Rate  # of items with a known answer, those decided as known


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What was done with the proposals of one role at one review."""

    flow: str
    node: str
    role: str  # "": no model made the proposal
    done: Tally
    shares: Mapping[str, float]  # of decided and skipped together; they add up to 1


@dataclass(frozen=True, slots=True)
class LabelChange:
    """A label that was put in place of another."""

    before: str
    after: str
    count: int


@dataclass(frozen=True, slots=True)
class FieldStats:
    """How often a field of a role's messages was corrected, by an amendment or by choosing another label."""

    role: str  # "": plain code or a person had made the message
    field: str
    count: int
    labels: tuple[LabelChange, ...]  # the most frequent first; corrections of longer texts are only counted


@dataclass(frozen=True, slots=True)
class MarkStats:
    """Passages that a role found, as people judged them."""

    role: str
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Band:
    """How many answers took at most `up_to` seconds, and longer than the band before."""

    up_to: float | None  # seconds; None: any longer time
    count: int


@dataclass(frozen=True, slots=True)
class DayStats:
    """One day's decisions."""

    day: date
    done: Tally


@dataclass(frozen=True, slots=True)
class ReviewStats:
    """Everything that `coterie review stats` shows."""

    done: Tally
    undone: int
    refused: int  # answers that the flow could not take
    amended: int  # amendments upstream
    checks: int
    since: float | None  # seconds since the epoch, UTC, of the first act; None: there is none
    until: float | None  # of the latest
    seconds: Spread  # for an answer
    waited: Spread  # from asking to the answer
    reviewers: tuple[ReviewerStats, ...]  # who decided most comes first
    nodes: tuple[NodeStats, ...]  # by flow, node and role
    fields: tuple[FieldStats, ...]  # what was corrected most comes first
    marks: tuple[MarkStats, ...]
    bands: tuple[Band, ...]  # of seconds for an answer
    days: tuple[DayStats, ...]  # those on which something was done, in order
