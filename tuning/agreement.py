"""Whether reviewers agree with a role less than they did. Needs river; reached through `extra`, so nothing else does.

This file knows nothing of roles or reviewers, only of a run of yes and no.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from river.drift import ADWIN


@dataclass(frozen=True, slots=True)
class Change:
    """How often it was yes before the last change, and since."""

    before: float
    since: float
    at: int  # how many came before


def last_change(agreed: Sequence[bool], delta: float) -> Change | None:
    """The last change of how often `agreed`, oldest first, is true; None where there was none.

    ADWIN keeps the longest window whose parts do not differ; where it drops its older part, something changed. Bifet
    and Gavaldà 2007, "Learning from Time-Changing Data with Adaptive Windowing". `delta` bounds its false alarms.
    """
    window = ADWIN(delta=delta, clock=1)  # type: ignore[no-untyped-call]
    changed = False
    for one in agreed:
        window.update(int(one))  # type: ignore[no-untyped-call]
        changed = changed or window.drift_detected
    at = len(agreed) - round(window.width)
    if not changed or at <= 0:
        return None
    return Change(before=sum(agreed[:at]) / at, since=float(window.estimation), at=at)
