"""Values of fields and figures, in words: for people to read. Knows nothing of where they are drawn."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...orchestration.review_items import Budget, Case, Decision, Item

HIDDEN = "hidden - choose first"


def shown(value: Any) -> str:
    """A field's value: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def spoken(value: Any) -> str:
    """A field's value as it is read aloud: a list of texts with commas between, passages by their names."""
    if not isinstance(value, list) or not value:
        return shown(value)
    if all(isinstance(one, str) for one in value):
        return ", ".join(value)
    if all(isinstance(one, dict) and isinstance(one.get("id"), str) and "text" in one for one in value):
        count = "1 passage" if len(value) == 1 else f"{len(value):,} passages"
        return f"{', '.join(one['id'] for one in value)} ({count})"
    return shown(value)


def share(value: float) -> str:
    """A part of one: "62%"."""
    return f"{value:.0%}"


def minutes(seconds: float) -> str:
    """About how long: "1 min" at least, "6 min", "2 h", "3 days"."""
    for unit, name in ((86_400, "days"), (3_600, "h")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(1.0, seconds / 60):.0f} min"


def clock(at: float) -> str:
    """A moment as people here read it: "11-24 16:40:05"."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%m-%d %H:%M:%S")


def budget(found: Budget) -> str:
    """How much is left."""
    return f"{found.left:,} left, about {minutes(found.seconds)}" if found.left else "none left"


def label_of(item: Item) -> str | None:
    """What the proposal says in the field that people choose; None: there is no such field."""
    name = item.form.label_field
    if name is None or name not in item.proposal.fields:
        return None
    return shown(item.proposal.fields[name])


def confidence(item: Item) -> float | None:
    """The model's own; None: no model said."""
    return None if item.doubt is None else 1 - item.doubt


def is_confidence(item: Item, value: Any) -> bool:
    """Whether a field only repeats how sure the model is."""
    sure = confidence(item)
    return isinstance(value, float) and sure is not None and abs(value - sure) < 1e-9


def alternatives(origin: Mapping[str, Any] | None) -> list[tuple[str, float]]:
    """What the model would have said, best first."""
    return [(str(label), float(chance)) for label, chance in (origin or {}).get("alternatives", ())]


def trust(case: Case) -> str:
    """How often such proposals were right, in words."""
    found = case.frequency
    return f"right about {10 * found.right / found.of:.0f} of 10 times at this level" if found else "not calibrated yet"


def told(decision: Decision) -> str:
    """What a decision did, in a few words."""
    details = {"label", "code", "reason", "type", "why", "right"}
    said = [
        f"{name} {shown(value)}" for name, value in decision.body.items() if name in details and value not in ("", None)
    ]
    return ", ".join([decision.act, *said])
