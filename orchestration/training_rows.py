"""What a role is tuned on: each message that it made, all that it saw, and what people said of it.

A pure function over the facts and the decisions of one run. Feedback lands on the one row whose message it is about,
and so on the role that made it: a correction of what plain code or a person made lands nowhere. This file knows no
message types, weighs nothing and drops nothing; what a row is worth is decided by whoever tunes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from math import inf
from typing import Any

from .integrity import ANSWERS, settle
from .queries import ShownFact
from .review_items import Act, Decision, ShownMessage
from .task_facts import Turn, messages_in, nearest, role_of, turns_of
from .training_items import Feedback, Kind, TrainingRow

KINDS: Mapping[Act, Kind] = {
    "amend": "gold",
    "choose": "gold",
    "approve": "approved",
    "edit": "edited",
    "reject": "rejected",
}


@dataclass(frozen=True, slots=True)
class _Made:
    """A row and the task that it is of."""

    turn: Turn
    row: TrainingRow


def training_rows(
    run: str, thread: str | None, facts: Sequence[ShownFact], decisions: Iterable[Decision], role: str | None = None
) -> Iterator[TrainingRow]:
    """A row for each message that `role` made in `run`, in the order in which its tasks began.

    Args:
        facts: all of the run, in order.
        decisions: all that may concern the run, also those that were undone; those of other runs are left out.
        role: None: every role.
    """
    turns = turns_of(facts)
    made = [one for turn in turns for one in _made(run, thread, turn)]
    desk = [one for one in settle(decisions).standing if one.run == run]
    inside = list(_answered_inside(run, facts, turns))
    said: defaultdict[int, list[Feedback]] = defaultdict(list)
    for decision in merge(desk, inside, key=lambda one: one.at):
        number = _place(decision, turns, made)
        if number is not None:
            said[number].append(_feedback(decision, made[number].row.output))
    for number, one in enumerate(made):
        if role is None or one.row.role == role:
            yield replace(one.row, feedback=tuple(said[number]))


def _made(run: str, thread: str | None, turn: Turn) -> Iterator[_Made]:
    for index, output in turn.made:
        role = role_of(output)
        if role is not None and output.origin is not None:
            weights = str(output.origin["weights"])
            yield _Made(
                turn,
                TrainingRow(run, turn.task, index, thread, role, weights, turn.at, turn.inputs, turn.given, output),
            )


def _place(decision: Decision, turns: Sequence[Turn], made: Sequence[_Made]) -> int | None:
    """The number of the row that `decision` is about; None: it is about none."""
    asked = None
    if decision.act in ANSWERS:
        asked = next((turn for turn in reversed(turns) if turn.task == decision.task), None)
    elif decision.act not in ("amend", "mark"):
        return None
    digest = decision.body.get("digest") or (asked.inputs[0].digest if asked is not None and asked.inputs else None)
    fitting = {number: one for number, one in enumerate(made) if one.row.output.digest == digest}
    if decision.act == "amend":
        fitting = {number: one for number, one in fitting.items() if _named(decision.body, one.row)}
    turn = nearest([one.turn for one in fitting.values()], decision.task, inf if asked is None else asked.began)
    return next((number for number, one in fitting.items() if one.turn is turn), None)


def _named(body: Mapping[str, Any], row: TrainingRow) -> bool:
    """Whether the task and the position in `body`, where it has them, are those of `row`."""
    return body.get("task") in (None, row.task) and body.get("index") in (None, row.index)


def _feedback(decision: Decision, output: ShownMessage) -> Feedback:
    body = decision.body
    kind = KINDS[decision.act] if decision.act != "mark" else "right" if body["right"] else "wrong"
    before, after = _change(decision, output)
    return Feedback(
        kind=kind,
        by=decision.by,
        at=decision.at,
        why=str(body.get("code") or body.get("reason") or body.get("why") or ""),
        before=before,
        after=after,
        passage=body.get("passage"),
        decision=decision.seq,
        type=body["type"] if decision.act == "edit" and body.get("type", output.type) != output.type else None,
    )


def _change(decision: Decision, output: ShownMessage) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The fields before and after, where the decision is a correction."""
    body, before, after = decision.body, decision.body.get("before"), decision.body.get("after")
    match decision.act:
        case "amend":
            return before or output.fields, after
        case "edit":
            return before or output.fields, body.get("fields") if after is None else after
        case "choose" if body.get("field") in output.fields:
            chosen = (after or {}).get(body["field"], body.get("label"))
            return output.fields, {**output.fields, body["field"]: chosen}
        case "choose":
            return output.fields, after
        case _:
            return None, None


def _answered_inside(run: str, facts: Sequence[ShownFact], turns: Sequence[Turn]) -> Iterator[Decision]:
    """The answers that did not come from a desk, as decisions."""
    outcomes = {turn.task: turn.outputs for turn in turns}
    for fact in facts:
        answer = fact.fields.get("answer", {})
        if fact.kind == "review-answered" and not fact.fields.get("decision") and answer["kind"] in ANSWERS:
            body = _body(answer, outcomes.get(str(fact.task), ()))
            yield Decision(0, fact.at, answer.get("by", ""), answer["kind"], run, str(fact.task), body)


def _body(answer: Mapping[str, Any], outcome: Sequence[ShownMessage]) -> dict[str, Any]:
    """What the decision at a desk that `answer` equals would say."""
    body = {name: answer[name] for name in ("field", "label", "reason", "code") if name in answer}
    for message in messages_in(answer.get("message")):
        body |= {"type": message.type, "fields": message.fields}
    if answer["kind"] == "choose" and "field" not in body and outcome:
        fields = outcome[0].fields
        body["field"] = next((name for name, value in fields.items() if value == answer.get("label")), None)
    return body
