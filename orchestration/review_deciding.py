"""What becomes of a review when somebody answers, takes the answer back, or its run takes it: rows and decisions.

Each function works in a transaction that the caller has opened. Every answer is a decision that is never changed; the
row says which one counts. This file knows nothing of queues, terminals and runs.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, and_, func, select

from ..agents.messages import repair_text
from .answer_form import ReviewForm
from .authors import check_author
from .decisions import allow, append, one_decision
from .errors import NoSuchReview, NothingToUndo, ReviewAnswerError, ReviewTaken
from .labels import label_text
from .log import Decided
from .review_answers import Answer, Edit
from .review_items import Decision
from .review_rows import WAITING, ReviewRow, held, one, put
from .schema import decisions, reviews
from .statements import Hot, hot

AHEAD = 3  # later answers of the same person after which one is taken into its run without waiting any longer
PAST = {"approve": "approved", "choose": "relabelled", "edit": "edited", "reject": "rejected"}


class Answered(NamedTuple):
    """An answer as it is stored."""

    decision: Decision
    final: bool  # False: others must give it, too


def answer(
    connection: Connection,
    row: ReviewRow,
    form: ReviewForm,
    by: str,
    act: str,
    said: Mapping[str, Any],
    at: float,
    more: Mapping[str, Any],
    batch: str | None = None,
) -> Answered:
    """Store an answer to an open review.

    Args:
        said: what the act says: `label`, or `type` and `fields`, or `code` and `reason`.
        more: what else is told of it, such as the seconds that it took.

    Raises:
        ReviewTaken: somebody was first, or has it open.
        NotAllowed: `by` may not decide, or not about this run.
        ReviewAnswerError: `by` has given this answer already, and others must.
    """
    allow(connection, by, "decide")
    check_author(row.author, by, form.author_may_decide)
    _check_open(row, by, at)
    vote = _vote(act, said)
    if (by, vote) in row.votes:
        raise ReviewAnswerError(f"you have answered so already; {form.approvals} people must, so another has to")
    agreeing = {who for who, other in row.votes if other == vote} | {by}
    final = act == "reject" or len(agreeing) >= form.approvals
    body = {**about(row, form), **said, **more}
    decision = append(connection, at, by, act, row.run, row.task, body, batch)  # type: ignore[arg-type]
    votes = to_json([*((who, other) for who, other in row.votes if who != by), (by, vote)]).decode()
    if not final:
        put(hot(connection), row, agreed=votes, claimed=None, claimed_until=None)
        return Answered(decision, final=False)
    label = said.get("label", row.proposed) if act in ("approve", "choose") else _edited_label(said, form)
    kept = act == "approve" or (act == "choose" and label == row.proposed)
    put(
        hot(connection), row, state="answered", decision=decision.seq, by=by, label=label, kept=int(kept),
        release=at + form.grace, agreed=votes, claimed=None, claimed_until=None,
    )  # fmt: skip
    _hurry(connection, by, at)
    return Answered(decision, final=True)


def answer_inside(
    connection: Connection, run: str, task: str, given: Answer, form: ReviewForm, at: float
) -> int | None:
    """Store the answer of a program that holds the run: its number; 0: there is no row; None: others must give it, too.

    Raises:
        ReviewTaken, NotAllowed, ReviewAnswerError: as `answer` does.
    """
    row = held(hot(connection), run, task)
    if row is None:
        return 0
    said = given.model_dump(mode="json", exclude={"kind", "by", "message"})
    if isinstance(given, Edit):
        said = {"type": given.message.schema_name, "fields": given.message.model_dump(mode="json")}
    stored = answer(connection, row, form, given.by, given.kind, said, at, {})
    return stored.decision.seq if stored.final else None


def about(row: ReviewRow, form: ReviewForm) -> dict[str, Any]:
    """What every decision says of what it is about."""
    return {
        "flow": row.flow,
        "node": row.node,
        "role": row.role,
        "asked": row.asked,
        "digest": row.digest,
        "proposed": row.proposed,
        "field": form.label_field,
    }


def take(connection: Connection, decided: Decided, at: float) -> None:
    """The run takes the answer now; from here on it cannot be taken back.

    Raises:
        ReviewTaken: it was taken back, or taken, meanwhile.
        LogCorrupt: the decision or the row is not as it was written.
    """
    row = held(hot(connection), decided.run, decided.task)
    if row is None or row.state != "answered" or row.decision != decided.decision:
        raise ReviewTaken(decided.run, decided.task, "was taken back, or answered anew, meanwhile")
    one_decision(connection, decided.decision)  # which must be as it was written
    put(hot(connection), row, state="closed", closed=at)


def expire(connection: Connection, run: str, task: str, at: float) -> None:
    """Nobody may answer any more.

    Raises:
        ReviewTaken: somebody has.
    """
    row = held(hot(connection), run, task)
    if row is not None and row.state == "answered":
        raise ReviewTaken(run, task, f"was answered by {row.by} in time")
    if row is not None and row.state == "open":
        put(hot(connection), row, state="closed", closed=at)


def refuse(connection: Connection, decided: Decided, problem: str, at: float) -> None:
    """Ask again, and tell whoever asks for the item why."""
    row = held(hot(connection), decided.run, decided.task)
    if row is None or row.state != "answered" or row.decision != decided.decision:
        return
    body = {"flow": row.flow, "node": row.node, "problem": problem, "undoes": decided.decision}
    append(connection, at, decided.by, "refused", row.run, row.task, body)
    note = f"{PAST[decided.act]} by {decided.by}, but the flow could not take it: {repair_text(problem)}"
    reopen(connection, row, notes=to_json([*notes_of(row), note]).decode())


def reopen(connection: Connection, row: ReviewRow, **changes: Any) -> ReviewRow:
    """The review waits again, as before its answer."""
    return put(hot(connection), row, **{**WAITING, **changes})


def undo_answer(connection: Connection, decision: Decision, by: str, at: float) -> None:
    """Take one answer back. The decision stays, and so does that it was taken back.

    Raises:
        NothingToUndo: the run has taken it.
    """
    row = held(hot(connection), decision.run, decision.task)
    if row is not None and row.state == "answered" and row.decision == decision.seq:
        others = [[who, vote] for who, vote in row.votes if who != by]
        reopen(connection, row, agreed=to_json(others).decode())
    elif row is not None and row.state == "open" and by in {who for who, _ in row.votes}:
        others = [[who, vote] for who, vote in row.votes if who != by]
        put(hot(connection), row, agreed=to_json(others).decode())
    else:
        raise NothingToUndo(_why_not(row, decision))
    append(connection, at, by, "undo", decision.run, decision.task, {"undoes": decision.seq}, undoes=decision.seq)


def decided_of(connection: Connection, runs: list[str]) -> list[Decided]:
    """The answers to reviews of `runs` that these have not taken.

    Raises:
        LogCorrupt: a decision is not as it was written.
    """
    found: list[Decided] = []
    for begin in range(0, len(runs), 500):
        chosen = (
            select(reviews.c.release, reviews.c.decision)
            .where(reviews.c.state == "answered", reviews.c.run.in_(runs[begin : begin + 500]))
            .order_by(reviews.c.release)
        )
        for release, seq in connection.execute(chosen).all():
            one_of = one_decision(connection, seq)
            found.append(Decided(one_of.run, one_of.task, seq, one_of.by, one_of.act, one_of.body, release))
    return found


def notes_of(row: ReviewRow) -> list[str]:
    """What became of earlier answers."""
    found: list[str] = from_json(row.notes)
    return found


def waiting(
    connection: Connection, run: str, task: str, found: Callable[[Hot, str, str], ReviewRow | None] = one
) -> ReviewRow:
    """The row of a review that waits or may be answered anew.

    Args:
        found: `held`, for whoever is about to change it.

    Raises:
        NoSuchReview: there is none, or its run has gone on.
    """
    row = found(hot(connection), run, task)
    if row is None:
        raise NoSuchReview(run, task)
    if row.state in ("closed", "ended"):
        raise NoSuchReview(run, task, f"{_became(row)}")
    return row


def _became(row: ReviewRow) -> str:
    if row.state == "ended":
        return "its run has ended"
    return f"it was decided by {row.by}, and its run has gone on" if row.by else "its run has gone on without it"


def _vote(act: str, said: Mapping[str, Any]) -> str:
    """What two people must both say, whatever the order of the fields in which they do."""
    return json.dumps([act, {name: value for name, value in said.items() if name != "before"}], sort_keys=True)


def _check_open(row: ReviewRow, by: str, at: float) -> None:
    if row.state == "answered":
        raise ReviewTaken(row.run, row.task, f"was answered by {row.by} first")
    if row.state != "open":
        raise ReviewTaken(row.run, row.task, f"waits no more: {_became(row)}")
    if row.deadline is not None and row.deadline <= at:
        raise ReviewTaken(row.run, row.task, "waits no more: its time is over")
    if row.claimed not in (None, by) and (row.claimed_until or 0.0) > at:
        raise ReviewTaken(row.run, row.task, f"is open at the desk of {row.claimed}")


def _edited_label(said: Mapping[str, Any], form: ReviewForm) -> str | None:
    return said.get("type") if form.label_field is None else label_text(said.get("fields", {}), form.label_field)


def _hurry(connection: Connection, by: str, at: float) -> None:
    """Answers that `by` has gone `AHEAD` others beyond wait no longer."""
    earliest = select(func.min(reviews.c.decision)).where(
        reviews.c.state == "answered", reviews.c.release > at, reviews.c.by == by
    )
    oldest = connection.execute(earliest).scalar()
    if oldest is None:
        return
    chosen = (
        select(decisions.c.run, decisions.c.task, decisions.c.seq, decisions.c.batch, reviews.c.release)
        .join(reviews, and_(reviews.c.run == decisions.c.run, reviews.c.task == decisions.c.task))
        .where(decisions.c.by == by, decisions.c.seq >= oldest)
        .where(reviews.c.state == "answered", reviews.c.decision == decisions.c.seq)
        .order_by(decisions.c.seq.desc())
    )
    later: list[str | int] = []  # answers that were given together count as one
    for run, task, seq, batch, release in connection.execute(chosen).all():
        group = batch or seq
        if group not in later:
            later.append(group)
        if len(later) > AHEAD and release > at:
            row = held(hot(connection), run, task)
            assert row is not None  # noqa: S101 - it has just been read
            put(hot(connection), row, release=at)


def _why_not(row: ReviewRow | None, decision: Decision) -> str:
    what = f"{PAST.get(decision.act, decision.act)} at {decision.task!r} of run {decision.run!r}"
    if row is None:
        return f"what was {what} cannot be taken back: the run was forgotten"
    if row.state == "closed":
        return f"what was {what} cannot be taken back: the run has taken it and gone on"
    return f"what was {what} cannot be taken back: {_became(row) if row.state == 'ended' else 'it is not what counts'}"
