"""Items whose right answer is known, shown again to see whether people still look. They look like any other item.

Known is what somebody else decided and nobody took back. An answer to such an item changes no run. Each function works
in a transaction that the caller has opened.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from .decisions import allow, append
from .errors import NoSuchReview
from .integrity import shown_again
from .review_deciding import about
from .review_items import Decision, Item
from .review_queue import Forms, as_check, items
from .review_rows import ReviewRow, one
from .schema import decisions, reviews
from .statements import hot

KNOWN = 200  # latest items with a known answer that are drawn from


def known_item(connection: Connection, forms: Forms, before: Item, by: str, now: float) -> Item | None:
    """The item with a known answer that `by` is shown before the item `before`; None: none is."""
    if not before.form.checks or not before.form.labels:
        return None
    place = shown_again(
        before.run, before.task, by, _known(connection, before, by), _seen(connection, by), before.form.checks
    )
    row = None if place is None else one(hot(connection), *place)
    if row is None:
        return None
    (item,) = items(connection, forms, [row], by, now)
    return as_check(item)


def check(
    connection: Connection, item: Item, label: str | None, by: str, at: float, more: Mapping[str, Any]
) -> Decision:
    """Keep what `by` said of an item whose answer is known.

    Raises:
        NoSuchReview: the item was forgotten meanwhile.
    """
    allow(connection, by, "decide")
    row: ReviewRow | None = one(hot(connection), item.run, item.task)
    if row is None:
        raise NoSuchReview(item.run, item.task)
    body = {**about(row, item.form), **more, "label": label, "known": row.label}
    return append(connection, at, by, "check", row.run, row.task, body)


def _known(connection: Connection, before: Item, by: str) -> list[tuple[str, str]]:
    chosen = (
        select(reviews.c.run, reviews.c.task)
        .where(
            reviews.c.state == "closed",
            reviews.c.flow == before.flow,
            reviews.c.node == before.node,
            reviews.c.label.is_not(None),
            reviews.c.decision.is_not(None),
            reviews.c.by != by,
        )
        .order_by(reviews.c.decision.desc())
        .limit(KNOWN)
    )
    return [(run, task) for run, task in connection.execute(chosen)]


def _seen(connection: Connection, by: str) -> set[tuple[str, str]]:
    chosen = select(decisions.c.run, decisions.c.task).where(decisions.c.by == by, decisions.c.act == "check")
    return {(run, task) for run, task in connection.execute(chosen)}
