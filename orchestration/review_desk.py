"""`ReviewDesk`: one person's place at a log, from which they see what waits and decide about it.

A desk is a process of its own: it needs neither the flow's code nor its models, nor the process that holds the run.
Each call is one transaction. What has been decided is stored when the call returns.
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from sqlalchemy import Connection

from . import desk_checks, desk_notes, desk_undo, review_queue
from .answer_form import FieldFault
from .database import Database
from .decisions import allow, take_turn
from .errors import LogUnavailable, NoSuchReview, ReviewAnswerError
from .labels import label_text
from .queries import decisions_since
from .review_answers import Approve, Choose, Reject
from .review_case import case_of
from .review_deciding import answer, waiting
from .review_form import faults_of
from .review_items import Budget, Case, Decision, EditFields, EvidenceItem, Item, LineageStep, QueueFilter
from .review_queue import CLAIM, Forms, Sought
from .review_rows import ReviewRow, held, one, put
from .statements import hot

T = TypeVar("T")

Answer: TypeAlias = Approve | Choose | EditFields | Reject
ALL = QueueFilter()


class ReviewDesk:
    """What waits in a log, as `by` sees it.

        with ReviewDesk("desk.db", "anna") as desk:
            item = desk.next()
            desk.answer(item, Approve(by="anna"), seconds=4.0)

    Args:
        place: the log: a file for SQLite, or a URL.
        by: the person; decisions carry their name, and the log's roles say what they may do.
        flow: only what runs of this flow ask.
    """

    def __init__(
        self, place: str | Path, by: str, *, flow: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.by = by
        self._flow = flow
        self._clock = clock
        self._place = place
        self._database: Database | None = None
        self._forms = Forms()
        self._sought = Sought()
        self._claimed_at = 0.0  # when the item that is shown was last claimed, seconds since the epoch
        self._alike: str | None = None  # group of what was decided last: its near-duplicates come next
        self._behind = ("", "")  # the item that waits behind the one that was shown last, or is it
        self._checked: set[tuple[str, str]] = set()  # items before which one with a known answer was shown

    def __enter__(self) -> Self:
        self._database = Database(self._place)
        try:
            self._read(lambda connection: allow(connection, self.by, "look"))
        except BaseException:
            self._database.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    # What waits.

    def next(self, wanted: QueueFilter = ALL, *, skip: Collection[tuple[str, str]] = ()) -> Item | None:
        """What to look at now, claimed for this person; None: nothing waits.

        What they have open already comes first, then near-duplicates of what they decided last, then the queue's order.
        """
        now = self._clock()

        def work(connection: Connection) -> Item | None:
            row = None
            while row is None:
                found = review_queue.next_row(
                    connection, self.by, self._narrowed(wanted), skip, self._alike, now, self._sought
                )
                if found is None:
                    return None
                row = held(hot(connection), *found.place)
                row = row if row == found else None  # else its run has just changed it
            claimed = put(hot(connection), row, claimed=self.by, claimed_until=now + CLAIM)
            self._claimed_at = now
            (item,) = review_queue.items(connection, self._forms, [claimed], self.by, now)
            again = None
            if item.place not in self._checked:
                again = desk_checks.known_item(connection, self._forms, item, self.by, now)
            self._behind = item.place
            return item if again is None else again

        return self._write(work)

    def ahead(self, item: Item, wanted: QueueFilter = ALL, *, skip: Collection[tuple[str, str]] = ()) -> Item | None:
        """What `next` will probably give once `item` is answered; it is not claimed."""
        passed = {*skip, item.place}

        def work(connection: Connection) -> Item | None:
            now = self._clock()
            row = review_queue.next_row(
                connection, self.by, self._narrowed(wanted), passed, item.alike, now, self._sought
            )
            found = [] if row is None else review_queue.items(connection, self._forms, [row], self.by, now)
            return next(iter(found), None)

        return self._read(work)

    def item(self, run: str, task: str) -> Item:
        """One item that waits.

        Raises:
            NoSuchReview: nothing waits there, or not any more.
        """

        def work(connection: Connection) -> Item:
            row = waiting(connection, run, task)
            if row.state != "open":
                raise NoSuchReview(run, task, f"it was answered by {row.by}")
            (item,) = review_queue.items(connection, self._forms, [row], self.by, self._clock())
            return item

        return self._read(work)

    def items(self, wanted: QueueFilter = ALL) -> list[Item]:
        """What waits, in the queue's order; nothing is claimed."""

        def work(connection: Connection) -> list[Item]:
            found = list(review_queue.open_rows(connection, self._narrowed(wanted), self._clock()))
            return review_queue.items(connection, self._forms, found, self.by, self._clock())

        return self._read(work)

    def case(self, item: Item) -> Case:
        """The item with what surrounds it.

        Raises:
            NoSuchReview: the log does not have it.
            LogCorrupt: its run is not as it was written.
        """

        def work(connection: Connection) -> Case:
            return case_of(connection, self._forms, self._row(connection, item), item)

        return self._read(work)

    def budget(self, wanted: QueueFilter = ALL) -> Budget:
        """How much waits, and how long it will take this person."""
        return self._read(
            lambda connection: review_queue.budget(connection, self.by, self._narrowed(wanted), self._clock())
        )

    def batch_of(self, item: Item) -> list[Item]:
        """`item`, and what can be answered together with it."""

        if item.check:
            return [item]

        def work(connection: Connection) -> list[Item]:
            now = self._clock()
            found = review_queue.together(connection, self._row(connection, item), self.by, now)
            return review_queue.items(connection, self._forms, found, self.by, now)

        return self._read(work)

    # What is decided.

    def answer(
        self, item: Item, given: Answer, *, seconds: float = 0.0, blind: bool = False, first: str | None = None
    ) -> Decision:
        """Store an answer.

        Args:
            seconds: that it took.
            blind: whether a choice was made before the proposal was shown: `first`.

        Raises:
            ReviewAnswerError: it does not fit the review; the text names each field and the reason.
            ReviewTaken: somebody was first, or has it open.
            NotAllowed: this person may not decide, or not about this run.
        """
        more: dict[str, Any] = {"seconds": seconds, "blind": blind, "first": first}
        decided = self._write(lambda connection: self._answer(connection, item, given, more, None))
        self._done_with(item)
        return decided

    def answer_batch(self, items: Sequence[Item], given: Answer, *, seconds: float) -> list[Decision]:
        """Store one answer to all `items`, or to none; they are taken back together."""
        batch = uuid.uuid4().hex[:12]
        more = {"seconds": seconds / max(1, len(items)), "blind": False}

        def work(connection: Connection) -> list[Decision]:
            return [self._answer(connection, item, given, more, batch) for item in items]

        decided = self._write(work)
        for item in items:
            self._done_with(item)
        return decided

    def check(self, item: Item, fields: Mapping[str, Any], type: str) -> list[FieldFault]:  # noqa: A002
        """What is wrong with `fields` as a message of `type` in place of the proposal."""
        if type not in item.form.types:
            return [FieldFault("(type)", f"is {type}, but must be one of {', '.join(item.form.types) or 'none'}")]
        return faults_of(item.form.types[type], fields)

    def skip(self, item: Item, seconds: float = 0.0) -> Decision:
        """Leave the item to others, or for later."""
        skipped = self._write(
            lambda connection: desk_notes.skip(connection, item, self.by, self._clock(), {"seconds": seconds})
        )
        if item.check:
            self._done_with(item)
        return skipped

    def amend(self, step: LineageStep, fields: Mapping[str, Any], why: str) -> Decision:
        """Correct a message upstream of a proposal; what its role learns from is the correction.

        Raises:
            ReviewAnswerError: `fields` do not fit the message's type; the text names each field and the reason.
        """
        return self._write(lambda connection: desk_notes.amend(connection, step, fields, why, self.by, self._clock()))

    def mark(self, evidence: EvidenceItem, right: bool, why: str = "") -> Decision:
        """Say that a passage is right, or wrong, for the case."""
        return self._write(lambda connection: desk_notes.mark(connection, evidence, right, why, self.by, self._clock()))

    def undo(self) -> list[Decision]:
        """Take back what this person did last: one decision, or all of a batch.

        Raises:
            NothingToUndo: nothing was done, or its run has taken it.
        """
        return self._write(lambda connection: desk_undo.undo(connection, self.by, self._clock()))

    def waiting_release(self) -> list[Decision]:
        """What this person can still take back, latest first."""
        return self._read(lambda connection: desk_undo.undoable(connection, self.by))

    def keep_claim(self, item: Item) -> None:
        """Hold the item on, for somebody who is still at it; written rarely, so it may be said at every key."""

        def work(connection: Connection) -> None:
            row = held(hot(connection), *item.place)
            if row is not None and row.state == "open" and row.claimed in (None, self.by):
                put(hot(connection), row, claimed=self.by, claimed_until=now + CLAIM)

        now = self._clock()
        if not item.check and now > self._claimed_at + CLAIM / 2:
            self._write(work)
            self._claimed_at = now

    def release_claim(self, item: Item) -> None:
        """Let others have the item."""

        def work(connection: Connection) -> None:
            row = held(hot(connection), *item.place)
            if row is not None and row.state == "open" and row.claimed == self.by:
                put(hot(connection), row, claimed=None, claimed_until=None)

        self._write(work)

    def decisions(self, since: float | None = None, by: str | None = None) -> Iterator[Decision]:
        """What was decided, latest first.

        Args:
            since: seconds since the epoch, UTC.
        """
        yield from self._read(lambda connection: decisions_since(connection, since, by))

    def _answer(
        self, connection: Connection, item: Item, given: Answer, more: Mapping[str, Any], batch: str | None
    ) -> Decision:
        said = self._said(item, given)
        if item.check:
            return desk_checks.check(connection, item, _label(item, given), self.by, self._clock(), more)
        row = held(hot(connection), *item.place)
        if row is None:
            raise NoSuchReview(*item.place)
        acted = {Approve: "approve", Choose: "choose", EditFields: "edit", Reject: "reject"}[type(given)]
        return answer(connection, row, item.form, self.by, acted, said, self._clock(), more, batch).decision

    def _said(self, item: Item, given: Answer) -> dict[str, Any]:
        """What an answer says, where it fits the review."""
        form = item.form
        match given:
            case Approve() if form.approves_to is None:
                raise ReviewAnswerError(f"what {item.node!r} asks cannot be approved as it is; edit it instead")
            case Choose(label=label):
                if label not in form.labels:
                    known = ", ".join(form.labels) or "none"
                    raise ReviewAnswerError(f"{item.node!r} has no label {label!r} to choose; its labels are: {known}")
                return {"label": label}
            case EditFields(type=kind, fields=fields):
                _refuse(self.check(item, fields, kind), kind)
                return {"type": kind, "fields": dict(fields), "before": dict(item.proposal.fields)}
            case Reject(code=code, reason=reason):
                if code and code not in form.codes:
                    raise ReviewAnswerError(
                        f"{code!r} is no reason code of {item.node!r}; they are {', '.join(form.codes)}"
                    )
                return {"code": code, "reason": reason or form.codes.get(code, "")}
            case _:
                return {}

    def _done_with(self, item: Item) -> None:
        if item.check:
            self._checked.add(self._behind)  # one before an item is enough
        else:
            self._alike = item.alike

    def _row(self, connection: Connection, item: Item) -> ReviewRow:
        row = one(hot(connection), item.run, item.task)
        if row is None:
            raise NoSuchReview(item.run, item.task)
        return row

    def _narrowed(self, wanted: QueueFilter) -> QueueFilter:
        return wanted if self._flow is None or wanted.flow is not None else replace(wanted, flow=self._flow)

    def _read(self, work: Callable[[Connection], T]) -> T:
        return self._opened().read(work)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with self._opened().write() as connection:
            take_turn(connection)
            return work(connection)

    def _opened(self) -> Database:
        if self._database is None:
            raise LogUnavailable("the desk is not open; use `with ReviewDesk(…) as desk`")
        return self._database


def _refuse(faults: Sequence[FieldFault], kind: str) -> None:
    if faults:
        told = "; ".join(f"{fault.field} {fault.problem}" for fault in faults)
        raise ReviewAnswerError(f"this is no {kind}: {told}; nothing was stored")


def _label(item: Item, given: Answer) -> str | None:
    """The label that an answer stands for."""
    match given:
        case Choose(label=label):
            return label
        case EditFields(type=kind, fields=fields):
            return label_text(fields, item.form.label_field) or kind
        case Approve():
            return label_text(item.proposal.fields, item.form.label_field)
        case _:
            return None
