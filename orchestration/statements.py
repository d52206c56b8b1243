"""The statements that every step of every run needs, compiled once from the tables for a driver.

SQLAlchemy's own execution costs about as much as the disk does; these go to the driver's cursor as they are.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Connection, Dialect, bindparam, case, cast, delete, null, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from ..agents.loading import load
from .schema import definitions, facts, messages, reviews, runs


class Statement:
    """One compiled statement; its parameters are named."""

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)
        self.sql = str(compiled)
        positions: Sequence[str] | None = compiled.positiontup if dialect.positional else None  # type: ignore[attr-defined]
        self._order = None if positions is None else tuple(positions)

    def execute(self, cursor: Any, **values: Any) -> None:
        cursor.execute(self.sql, self._parameters(values))

    def execute_one(self, cursor: Any, names: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """For `row`, whose columns have these `names`."""
        if names == self._order:
            cursor.execute(self.sql, row)
        else:
            self.execute(cursor, **dict(zip(names, row, strict=True)))

    def execute_many(self, cursor: Any, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        """For each of `rows`, whose columns have these `names`."""
        if self._order is None:
            cursor.executemany(self.sql, [dict(zip(names, row, strict=True)) for row in rows])
        elif names == self._order:
            cursor.executemany(self.sql, rows)
        else:
            places = [names.index(name) for name in self._order]
            cursor.executemany(self.sql, [[row[place] for place in places] for row in rows])

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        return values if self._order is None else [values[name] for name in self._order]


class Statements:
    """All of them, for one kind of database."""

    def __init__(self, dialect: Dialect) -> None:
        insert: Any = sqlite.insert if dialect.name == "sqlite" else load("orchestration.postgresql_insert").insert
        self.new_definition = Statement(insert(definitions).on_conflict_do_nothing(), dialect)
        self.find_key = Statement(
            select(runs.c.id).where(runs.c.flow == bindparam("flow"), runs.c.key == bindparam("key")), dialect
        )
        self.new_run = Statement(insert(runs).on_conflict_do_nothing(), dialect)
        self.new_messages = Statement(insert(messages).on_conflict_do_nothing(), dialect)
        self.new_facts = Statement(insert(facts), dialect)
        at_head = (
            runs.c.id == bindparam("run"),
            runs.c.fence == bindparam("held"),
            runs.c.head == bindparam("old_head"),
        )
        moved = {
            "head": bindparam("new_head"),
            "hash": bindparam("new_hash"),
            "updated": bindparam("now"),
            "asked": runs.c.asked + bindparam("more"),
        }
        ends = case((cast(bindparam("ends"), Boolean), null()), else_=runs.c.worker)
        # The state is in an index, which a statement that names it rewrites even where it stays the same.
        self.new_head = Statement(update(runs).where(*at_head).values(**moved), dialect)
        changed = {**moved, "state": bindparam("new_state"), "worker": ends}
        self.new_head_and_state = Statement(update(runs).where(*at_head).values(**changed), dialect)
        self._for_reviews(insert, dialect)

    def _for_reviews(self, insert: Any, dialect: Dialect) -> None:
        of_run = reviews.c.run == bindparam("run")
        at_task = reviews.c.task == bindparam("task")
        self.new_review = Statement(insert(reviews), dialect)
        self.find_review = Statement(select(reviews).where(of_run, at_task), dialect)
        self.hold_reviews = Statement(select(reviews).where(of_run).order_by(reviews.c.task).with_for_update(), dialect)
        self.hold_review = Statement(select(reviews).where(of_run, at_task).with_for_update(), dialect)
        self.forget_review = Statement(delete(reviews).where(of_run, at_task), dialect)
        names = list(reviews.c.keys())
        mutable: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names[names.index("state") :]}
        as_it_was = (
            reviews.c.run == bindparam("at_run"),
            reviews.c.task == bindparam("at_task"),
            reviews.c.hash == bindparam("old_hash"),
        )
        self.put_review = Statement(update(reviews).where(*as_it_was).values(**mutable), dialect)


@lru_cache(maxsize=8)
def statements(dialect: Dialect) -> Statements:
    """The statements for `dialect`."""
    return Statements(dialect)


class Hot(NamedTuple):
    """An open transaction, for the compiled statements."""

    cursor: Any
    sql: Statements


def hot(connection: Connection) -> Hot:
    """The transaction that `connection` has open."""
    return Hot(connection.connection.cursor(), statements(connection.dialect))
