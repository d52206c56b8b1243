"""Questions that wait, in the order in which people should look at them, read from a log.

What a wrong answer may cost, times how unsure the model is, comes first; then what somebody or a rule disagrees about;
then what has waited longest. Near-duplicates follow each other. Needs none of the flow's code. Each function reads in a
transaction that the caller has opened.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, and_, func, or_, select
from sqlalchemy.sql import ColumnElement, Select

from ..agents.loading import load
from ..agents.messages import repair_text
from ..agents.registry import StoredMessage
from .answer_form import ReviewForm
from .asking import RuleVerdict
from .decisions import decision_of
from .integrity import STREAK, answers, drawn, pace, quick_limit, quick_streak, settle
from .likeness import Similarity
from .review_deciding import notes_of
from .review_form import read_form
from .review_items import Budget, Decision, Item, QueueFilter, ShownMessage
from .review_rows import ReviewRow, checked, one
from .run_rows import messages_of
from .schema import decisions, definitions, reviews
from .statements import hot

CLAIM = 300.0  # seconds that an item is held for whoever has it open, from their latest key on
RECENT = 120  # decisions of a person that say how fast they are, and whether they still read
USUAL = 25.0  # seconds for an item, as long as nobody's pace is known
TOGETHER = 25  # items that can be answered at once
ALIKE = 0.95  # how similar those must be, 0 to 1
COMPARED = 1_000  # first ones of a group that are looked at for that
FOUND = 200  # places of a text that are remembered
REMEMBERED = 60.0  # seconds
PAGE = 64  # rows that are read at a time
ALL = QueueFilter()


class Forms:
    """The forms of review nodes, each read once from its flow's definition."""

    def __init__(self) -> None:
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._forms: dict[tuple[str, str], ReviewForm] = {}

    def of(self, connection: Connection, row: ReviewRow) -> ReviewForm:
        """What can be answered at the review that `row` waits at."""
        around = row.task.rpartition("/")[0]
        place = row.definition, f"{around}/{row.node}"
        if place not in self._forms:
            self._forms[place] = read_form(self.definition(connection, row.definition), row.task, row.node)
        return self._forms[place]

    def definition(self, connection: Connection, digest: str) -> Mapping[str, Any]:
        """What a flow was made of."""
        if digest not in self._definitions:
            chosen = select(definitions.c.body).where(definitions.c.digest == digest)
            self._definitions[digest] = from_json(connection.execute(chosen).scalar_one())
        return self._definitions[digest]


def next_row(
    connection: Connection,
    by: str,
    wanted: QueueFilter,
    skip: Collection[tuple[str, str]],
    alike: str | None,
    now: float,
    sought: "Sought | None" = None,
) -> ReviewRow | None:
    """What `by` should look at: what they have open, else what is like `alike`, else what comes first."""
    mine = and_(_waits(now), reviews.c.claimed == by, reviews.c.claimed_until > now)
    open_here = rows(connection, _filtered(select(reviews).where(mine), wanted))  # few; sorted here, not by an index
    first = min((row for row in open_here if (row.run, row.task) not in skip), key=_place, default=None)
    if first is not None:
        return first
    waits = and_(_waits(now), _free(by, now))
    if alike is not None:
        first = _first(connection, _of_group(alike, waits, wanted), skip)
    if first is None and wanted.text is not None and sought is not None:
        return sought.first(connection, wanted, skip, by, now)
    return first or _first(connection, _ordered(waits, wanted), skip)


class Sought:
    """Where a text was found, in the queue's order, for a while: to look through all texts takes long.

    What has come since is found when the while is over.
    """

    def __init__(self) -> None:
        self._wanted: QueueFilter | None = None
        self._until = 0.0  # seconds since the epoch
        self._places: list[tuple[str, str]] = []
        self._more = False  # whether there may be others

    def first(
        self, connection: Connection, wanted: QueueFilter, skip: Collection[tuple[str, str]], by: str, now: float
    ) -> ReviewRow | None:
        """The first place that waits, is free for `by` and not to be skipped."""
        if wanted != self._wanted or now >= self._until:
            self._look(connection, wanted, (), now)
        found = self._first(connection, skip, by, now)
        if found is None and self._more:  # than what is remembered
            self._look(connection, wanted, skip, now)
            found = self._first(connection, skip, by, now)
        return found

    def _look(self, connection: Connection, wanted: QueueFilter, skip: Collection[tuple[str, str]], now: float) -> None:
        asked: Any = select(reviews.c.run, reviews.c.task)
        texts = _filtered(asked.where(_waits(now)), wanted)
        chosen = texts.order_by(_unsought(reviews.c.urgency).desc(), reviews.c.agrees, reviews.c.asked)
        places = ((str(row.run), str(row.task)) for row in connection.execute(chosen.limit(FOUND + len(skip))))
        self._places = list(islice((place for place in places if place not in skip), FOUND))
        self._more = len(self._places) == FOUND
        self._wanted, self._until = wanted, now + REMEMBERED

    def _first(
        self, connection: Connection, skip: Collection[tuple[str, str]], by: str, now: float
    ) -> ReviewRow | None:
        for place in [place for place in self._places if place not in skip]:
            row = one(hot(connection), *place)
            if row is None or row.state != "open":
                self._places.remove(place)  # nobody need look there again
            elif _is_free(row, by, now):
                return row
        return None


def _is_free(row: ReviewRow, by: str, now: float) -> bool:
    """What `_free` says, of a row that was read."""
    return row.claimed in (None, by) or (row.claimed_until or 0.0) <= now


def _first(connection: Connection, chosen: Select[Any], skip: Collection[tuple[str, str]]) -> ReviewRow | None:
    """The first of the rows that `chosen` gives but for those to `skip`, of which only the places are read."""
    placed = chosen.with_only_columns(reviews.c.run, reviews.c.task)
    with connection.execute(placed, execution_options={"yield_per": PAGE}) as places:  # of which most are not read
        place = next((place for place in map(tuple, places) if place not in skip), None)
    return None if place is None else one(hot(connection), *place)


def _place(row: ReviewRow) -> tuple[float, int, float]:
    """Where `row` stands in the queue, as `_ordered` says."""
    return -row.urgency, row.agrees, row.asked


def open_rows(connection: Connection, wanted: QueueFilter, now: float) -> Iterator[ReviewRow]:
    """What waits, in its order; of near-duplicates, all that wait follow the first."""
    if wanted.limit is None:  # all are read anyhow, so one question is enough
        groups: dict[str, list[ReviewRow]] = {}
        for row in rows(connection, _ordered(_waits(now), wanted)):
            groups.setdefault(row.alike, []).append(row)
        yield from chain.from_iterable(groups.values())
        return
    shown: set[str] = set()
    left = wanted.limit
    for first in rows(connection, _ordered(_waits(now), wanted)):
        if first.alike in shown:
            continue
        shown.add(first.alike)
        for row in rows(connection, _of_group(first.alike, _waits(now), wanted)):
            if left == 0:
                return
            left -= 1
            yield row


def items(connection: Connection, forms: Forms, found: Sequence[ReviewRow], by: str, now: float) -> list[Item]:
    """What people see of the rows `found`."""
    stored = messages_of(connection, {row.digest for row in found})
    counts = _open_in(connection, {row.alike for row in found}, now)
    nodding = is_nodding(connection, by)
    return [
        _item(row, stored[row.digest], forms.of(connection, row), counts.get(row.alike, 0), by, nodding, now)
        for row in found
    ]


def rows(connection: Connection, chosen: Select[Any]) -> Iterator[ReviewRow]:
    """The rows that `chosen` gives, as they were written, read a few at a time."""
    with connection.execute(chosen, execution_options={"yield_per": PAGE}) as found:  # which may be left half read
        for row in found:
            yield checked(ReviewRow(*row))


def budget(connection: Connection, by: str, wanted: QueueFilter, now: float) -> Budget:
    """How much waits, and how long `by` will need for it at their own pace."""
    waits = _filtered(select(func.count()).select_from(reviews).where(_waits(now)), wanted)
    mine = (
        select(func.count())
        .select_from(reviews)
        .where(_waits(now), reviews.c.claimed == by, reviews.c.claimed_until > now)
    )
    left = connection.execute(waits).scalar_one()
    seconds = pace(answers(settle(recent(connection, by)).standing)) or USUAL
    return Budget(left, connection.execute(mine).scalar_one(), left * seconds)


def together(connection: Connection, row: ReviewRow, by: str, now: float) -> list[ReviewRow]:
    """What can be answered together with `row`: the same proposal of the same role, in almost the same words."""
    same = and_(
        _waits(now),
        reviews.c.alike == row.alike,
        reviews.c.definition == row.definition,
        reviews.c.node == row.node,
        reviews.c.role == row.role,
        reviews.c.proposed.is_not_distinct_from(row.proposed),
        _free(by, now),
    )
    verdicts = from_json(row.asking)["rules"]
    similarity: Similarity = load("orchestration.similarity").similarity
    found = [row]
    chosen = _ordered(same, ALL).with_only_columns(reviews.c.run, reviews.c.task, reviews.c.asking, reviews.c.text)
    with connection.execute(chosen.limit(COMPARED), execution_options={"yield_per": PAGE}) as compared:
        for run, task, asking, text in compared:
            if len(found) == TOGETHER:
                break
            if (run, task) == (row.run, row.task) or from_json(asking)["rules"] != verdicts:
                continue
            if similarity(text, row.text, ALIKE) >= ALIKE and (other := one(hot(connection), run, task)) is not None:
                found.append(other)
    return found


def recent(connection: Connection, by: str) -> list[Decision]:
    """The latest decisions of `by`, latest first."""
    chosen = select(decisions).where(decisions.c.by == by).order_by(decisions.c.seq.desc()).limit(RECENT)
    return [decision_of(row) for row in connection.execute(chosen)]


def is_nodding(connection: Connection, by: str) -> bool:
    """Whether `by` has approved so quickly, so often in a row, that the next item is to be shown blind."""
    given = answers(settle(recent(connection, by)).standing)
    return quick_streak(given, quick_limit(given)) >= STREAK


def shown_message(digest: str, stored: StoredMessage) -> ShownMessage:
    """A stored message, for people."""
    origin = None if stored.origin is None else from_json(stored.origin)
    return ShownMessage(stored.kind, stored.version, digest, from_json(stored.body), origin)


def as_check(item: Item) -> Item:
    """An item whose right answer is known, so that it looks as it did when it waited."""
    return replace(item, check=True, claimed_by=None, notes=(), approved_by=())


def _item(
    row: ReviewRow, stored: StoredMessage, form: ReviewForm, alike_open: int, by: str, nodding: bool, now: float
) -> Item:
    asking = from_json(row.asking)
    others = row.claimed not in (None, by) and (row.claimed_until or 0.0) > now
    return Item(
        run=row.run,
        task=row.task,
        flow=row.flow,
        node=row.node,
        thread=row.thread,
        asked=row.asked,
        why=tuple(asking["why"]),
        about=asking["case"],
        proposal=shown_message(row.digest, stored),
        rules=tuple(RuleVerdict(**verdict) for verdict in asking["rules"]),
        risk=row.risk,
        doubt=row.doubt,
        disagrees=not row.agrees,
        alike=row.alike,
        alike_open=alike_open,
        deadline=row.deadline,
        approved_by=tuple(who for who, vote in row.votes if from_json(vote)[0] == "approve"),
        claimed_by=row.claimed if others else None,
        skipped=row.skipped,
        notes=(*notes_of(row), *_votes(row, form)),
        form=form,
        blind=nodding or drawn("blind", row.run, row.task, by, form.blind),
    )


def _votes(row: ReviewRow, form: ReviewForm) -> Iterator[str]:
    """Answers that others must give, too; approvals are told elsewhere."""
    for who, vote in row.votes:
        act, said = from_json(vote)
        if act != "approve":
            what = said.get("label") or said.get("type") or ""
            yield f"{who} would {act} {what}".rstrip() + f"; {form.approvals} people must say the same"


def _open_in(connection: Connection, groups: Collection[str], now: float) -> dict[str, int]:
    found: dict[str, int] = {}
    listed = sorted(groups)
    for begin in range(0, len(listed), 500):
        part = listed[begin : begin + 500]
        chosen = select(reviews.c.alike, func.count()).where(reviews.c.alike.in_(part), _waits(now))
        found.update((alike, count) for alike, count in connection.execute(chosen.group_by(reviews.c.alike)))
    return found


def _waits(now: float) -> ColumnElement[bool]:
    return and_(reviews.c.state == "open", or_(reviews.c.deadline.is_(None), reviews.c.deadline > now))


def _free(by: str, now: float) -> ColumnElement[bool]:
    return or_(reviews.c.claimed.is_(None), reviews.c.claimed == by, reviews.c.claimed_until <= now)


def _ordered(condition: ColumnElement[bool], wanted: QueueFilter) -> Select[Any]:
    chosen = _filtered(select(reviews).where(condition), wanted)
    return chosen.order_by(reviews.c.urgency.desc(), reviews.c.agrees, reviews.c.asked)


def _of_group(alike: str, condition: ColumnElement[bool], wanted: QueueFilter) -> Select[Any]:
    """The near-duplicates of one group, in the queue's order, found by the group and not by the flow."""
    chosen = _ordered(and_(reviews.c.alike == alike, condition), replace(wanted, flow=None))
    return chosen if wanted.flow is None else chosen.where(_unsought(reviews.c.flow) == repair_text(wanted.flow))


def _unsought(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The value of `column`, but not by an index over it: SQLite cannot know that another leaves fewer rows to read."""
    return func.coalesce(column, column)


def _filtered(chosen: Select[Any], wanted: QueueFilter) -> Select[Any]:
    for column, value in (
        (reviews.c.flow if wanted.text is None else _unsought(reviews.c.flow), wanted.flow),
        (reviews.c.node, wanted.node),
        (reviews.c.role, wanted.role),
        (reviews.c.thread, wanted.thread),
    ):
        if value is not None:
            chosen = chosen.where(column == repair_text(value))
    if wanted.text is not None:  # all that wait are read: in the order in which they lie in the file, by `release`
        chosen = chosen.where(
            reviews.c.release.is_(None), reviews.c.text.contains(repair_text(wanted.text).casefold(), autoescape=True)
        )
    return chosen
