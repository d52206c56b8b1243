"""What waits and what became of decisions as JSON lines."""

import json
from typing import Any

from ...orchestration.review_items import Item


def listed(item: Item) -> dict[str, Any]:
    """An item as JSON values. The proposal of a blind item is kept back: only a label can be chosen."""
    shown = item.proposal
    proposal = {"type": shown.type, "fields": dict(shown.fields), "origin": shown.origin and dict(shown.origin)}
    rules = [{"name": rule.name, "agrees": rule.agrees, "sentence": rule.sentence} for rule in item.rules]
    return {
        "run": item.run, "task": item.task, "digest": shown.digest, "flow": item.flow, "node": item.node,
        "thread": item.thread, "asked": item.asked, "deadline": item.deadline, "blind": item.blind,
        "why": [] if item.blind else list(item.why), "proposal": None if item.blind else proposal,
        "rules": [] if item.blind else rules, "risk": item.risk, "doubt": item.doubt,
        "disagrees": None if item.blind else item.disagrees, "about": item.about,
        "alike": item.alike, "alike_open": item.alike_open, "claimed_by": item.claimed_by, "skipped": item.skipped,
        "approvals": item.form.approvals, "approved_by": list(item.approved_by), "notes": list(item.notes),
        "approves_to": item.form.approves_to, "types": {name: dict(one) for name, one in item.form.types.items()},
        "labels": list(item.form.labels), "codes": dict(item.form.codes), "causes": list(item.form.causes),
    }  # fmt: skip


def line_of(value: dict[str, Any]) -> str:
    """One JSON line. Other than ASCII is escaped: hidden characters reach no terminal."""
    return json.dumps(value, separators=(",", ":"))
