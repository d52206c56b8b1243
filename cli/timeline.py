"""A run's facts as a table: when, which task, what became of it, how long it took, and what was said.

Knows facts as the log shows them (plain JSON values), no message types and no flows.
"""

import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ..orchestration.queries import ShownFact
from .runs import length
from .text import safe

NAMES = {"task-started": "at work", "task-finished": "answered", "task-failed": "failed"}
STYLES = {"task-started": "cyan", "task-finished": "", "run-finished": "green", "run-started": "", "run-resumed": ""}
ALARMS = ("task-failed", "run-failed", "effect-unknown")
WIDEST = 18  # characters of the columns that name a task and what became of it
LINES = 3  # of what was said
LEAST = 24  # characters of a line of what was said


def timeline(facts: Sequence[ShownFact], width: int) -> Table:
    """A row for each fact, within `width` characters; a task is shown where it ends, or last if it has not ended."""
    last = {fact.task: fact.seq for fact in facts if fact.task is not None}
    began: dict[str, ShownFact] = {}  # the latest attempt of each task, or the question to a person
    rows = []
    for fact in facts:
        if fact.task is not None and fact.kind in ("task-started", "review-requested"):
            began[fact.task] = fact
        if fact.kind != "task-started" or last[str(fact.task)] == fact.seq:
            before = began.get(fact.task or "")
            rows.append((_clock(fact.at - facts[0].at), safe(fact.task or "", 200), _what(fact, before),
                         _took(fact, before), fact))  # fmt: skip
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:4]]
    widths[1:3] = [min(wanted, WIDEST) for wanted in widths[1:3]]
    rest = max(LEAST, width - sum(max(one, 4) for one in widths) - 2 * len(widths))
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for name, wide in zip(("at", "task", "what", "took"), widths, strict=True):
        right = name in ("at", "took")
        drawn.add_column(
            name, justify="right" if right else "left", width=max(wide, 4), overflow="ellipsis", no_wrap=True
        )
    drawn.add_column("", width=rest, overflow="fold")
    for at, task, what, took, fact in rows:
        style = "red" if fact.kind in ALARMS else STYLES.get(fact.kind, "yellow")
        drawn.add_row(at, Text(task), Text(what, style=style), took, Text(_told(fact, rest * LINES - 8)))
    return drawn


def _clock(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 10_000 else f"{seconds:.0f}"


def _what(fact: ShownFact, began: ShownFact | None) -> str:
    name = NAMES.get(fact.kind, fact.kind.replace("-", " "))
    attempt = began.fields.get("attempt", 1) if began is not None else 1
    return f"{name}, try {attempt}" if attempt > 1 and fact.kind in NAMES else name


def _took(fact: ShownFact, began: ShownFact | None) -> str:
    ends = fact.kind in ("task-finished", "task-failed")
    return length(fact.at - began.at) if ends and began is not None else ""


def _told(fact: ShownFact, most: int) -> str:
    """What the fact says besides its kind and its task, in at most about `most` characters."""
    found = fact.fields
    match fact.kind:
        case "task-failed" | "run-failed":
            again = found.get("retry_in")
            reason = f"{found['error']}: {found['reason']}"
            return (f"again in {again:.2g} s; " if again is not None else "") + safe(reason, most)
        case "run-started" | "run-finished" | "review-requested" | "input-swapped":
            return _message(found["message"], most)
        case "task-finished":
            return _message(found["output"], most)
        case "effect-intended" | "effect-unknown":
            return safe(f"key {found['key']}", most)
        case "effect-settled":
            return safe(f"it {'happened' if found['happened'] else 'did not happen'}, says {found['by']}", most)
        case "review-answered":
            return _answer(found["answer"], most)
        case "task-retried":
            return safe(f"by {found['by']}", most)
        case "run-resumed":
            pins = [f"{role} {digest[:12] or 'zero-shot'}" for role, digest in found["releases"].items()]
            return safe(f"pinned: {', '.join(pins)}", most) if pins else ""
        case "timer-fired":
            return safe(f"the time of {found['fork']} is over", most)
        case _:
            return ""


def _answer(answer: dict[str, Any], most: int) -> str:
    said = safe(f"{answer['kind']} by {answer['by']}", most)
    if "message" in answer:
        return f"{said}: {_message(answer['message'], most - len(said))}"
    return f"{said}: {safe(answer['reason'], most)}" if "reason" in answer else said


def _message(value: Any, most: int) -> str:
    """A message with the role and the weights that made it; of several, how many, and the first."""
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"{len(value)}: {_message(value[0], most)}" if value else "none"
    origin = value["origin"]
    weights = f"{origin['role']} {origin['weights'][:12] or 'zero-shot'}: " if origin else ""
    body = f"{value['type']} {json.dumps(value['fields'], ensure_ascii=False)}"
    return safe(weights, 80) + safe(body, max(20, most - len(weights)))
