"""What surrounds a question: the messages upstream, passages, earlier decisions, how often such proposals were right.

Read from stored rows; needs none of the flow's code. Each function reads in a transaction that the caller has opened.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from ..agents.loading import load
from .decisions import decision_of
from .evidence import evidence_of
from .integrity import settle
from .likeness import Similarity
from .lineage import lineage_of
from .queries import show
from .review_items import Amendment, Case, Decision, EarlierDecision, Frequency, Item
from .review_queue import Forms
from .review_rows import ReviewRow
from .schema import decisions, reviews

EARLIER = 3  # similar decisions that are shown
LOOKED_AT = 300  # latest decisions at the same node that are compared
NEAR = 0.5  # how similar an earlier case must be, 0 to 1
LEVEL = 0.1  # width of a level of confidence
ENOUGH = 10  # decided cases without which nothing is said of a level


def case_of(connection: Connection, forms: Forms, row: ReviewRow, item: Item) -> Case:
    """The item and what surrounds it."""
    standing = settle(decisions_in(connection, row.run)).standing
    schemas = forms.definition(connection, row.definition).get("schemas", {})
    steps = lineage_of(row.run, show(connection, row.run), row.task, schemas, amendments_in(standing))
    return Case(
        item=item,
        lineage=steps,
        evidence=evidence_of(steps, item.proposal, marks_in(standing)),
        earlier=_earlier(connection, row),
        frequency=_frequency(connection, row),
        runner_up=_runner_up(item, row),
    )


def decisions_in(connection: Connection, run: str) -> list[Decision]:
    """Everything that was decided about one run."""
    chosen = select(decisions).where(decisions.c.run == run).order_by(decisions.c.seq)
    return [decision_of(found) for found in connection.execute(chosen)]


def amendments_in(standing: Sequence[Decision]) -> dict[tuple[str, str], tuple[Amendment, ...]]:
    """Amendments, by the run and the digest of the message that they correct."""
    found: dict[tuple[str, str], tuple[Amendment, ...]] = {}
    for one in standing:
        if one.act == "amend":
            body = one.body
            made = Amendment(one.seq, one.by, one.at, body["why"], body["before"], body["after"])
            place = one.run, body["digest"]
            found[place] = (*found.get(place, ()), made)
    return found


def marks_in(standing: Sequence[Decision]) -> dict[tuple[str, int], bool]:
    """What people said of passages, by the digest of their message and their position in it; the latest counts."""
    return {(one.body["digest"], one.body["index"]): one.body["right"] for one in standing if one.act == "mark"}


def _earlier(connection: Connection, row: ReviewRow) -> tuple[EarlierDecision, ...]:
    chosen = (
        select(reviews.c.text, reviews.c.kept, decisions)
        .join(decisions, decisions.c.seq == reviews.c.decision)
        .where(reviews.c.flow == row.flow, reviews.c.node == row.node, reviews.c.decision.is_not(None))
        .where(reviews.c.state.in_(("answered", "closed")))
        .order_by(reviews.c.decision.desc())
        .limit(LOOKED_AT)
    )
    similarity: Similarity = load("orchestration.similarity").similarity
    near = []
    for found in connection.execute(chosen):
        likeness = similarity(found.text, row.text, NEAR)
        if likeness >= NEAR:
            near.append((likeness, decision_of(found)))
    near.sort(key=lambda pair: (-pair[0], -pair[1].seq))
    return tuple(
        EarlierDecision(one.run, one.task, one.act, _label(one.body), likeness, one.by, one.at)
        for likeness, one in _with_a_different_one(near)
    )


def _with_a_different_one(near: list[tuple[float, Decision]]) -> list[tuple[float, Decision]]:
    """The most similar ones; the last of them is one that was decided otherwise, where there is any."""
    first = near[:EARLIER]
    if not first or any(_what(one) != _what(first[0][1]) for _, one in first):
        return first
    other = next((pair for pair in near[EARLIER:] if _what(pair[1]) != _what(first[0][1])), None)
    return first if other is None else [*first[:-1], other]


def _what(decision: Decision) -> tuple[str, str]:
    return decision.act, _label(decision.body)


def _label(body: Mapping[str, Any]) -> str:
    for name in ("label", "proposed", "code", "type"):
        if body.get(name):
            return str(body[name])
    return ""


def _frequency(connection: Connection, row: ReviewRow) -> Frequency | None:
    """How often proposals of the same role, as sure as this one, were let stand."""
    if row.doubt is None or not row.role:
        return None
    chosen = select(func.sum(reviews.c.kept), func.count()).where(
        reviews.c.role == row.role,
        reviews.c.kept.is_not(None),
        reviews.c.doubt >= row.doubt - LEVEL / 2,
        reviews.c.doubt <= row.doubt + LEVEL / 2,
    )
    right, of = connection.execute(chosen).one()
    return Frequency(int(right), of) if of >= ENOUGH else None


def _runner_up(item: Item, row: ReviewRow) -> tuple[str, float] | None:
    """What the model would have said next."""
    origin = item.proposal.origin or {}
    ranked = [(str(label), float(chance)) for label, chance in origin.get("alternatives", ())]
    others = [pair for pair in ranked if pair[0] != row.proposed] if row.proposed is not None else ranked[1:]
    return others[0] if len(ranked) > 1 and others else None
