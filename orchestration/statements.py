"""The statements that every step of every run needs, compiled once from the tables for a driver.

SQLAlchemy's own execution costs about as much as the disk does; these go to the driver's cursor as they are.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Connection, Dialect, String, bindparam, case, cast, func, null, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement

from .schema import definitions, facts, messages, runs


class Statement:
    """One compiled statement; its parameters are named."""

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)
        self.sql = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup if dialect.positional else None  # type: ignore[attr-defined]

    def execute(self, cursor: Any, **values: Any) -> None:
        cursor.execute(self.sql, self._parameters(values))

    def execute_many(self, cursor: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        cursor.executemany(self.sql, [self._parameters(row) for row in rows])

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        return values if self._order is None else [values[name] for name in self._order]


class Statements:
    """All of them, for one kind of database."""

    def __init__(self, dialect: Dialect) -> None:
        insert: Any = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        self.new_definition = Statement(insert(definitions).on_conflict_do_nothing(), dialect)
        self.find_key = Statement(
            select(runs.c.id).where(runs.c.flow == bindparam("flow"), runs.c.key == bindparam("key")), dialect
        )
        self.new_run = Statement(insert(runs), dialect)
        self.new_messages = Statement(insert(messages).on_conflict_do_nothing(), dialect)
        self.new_facts = Statement(insert(facts), dialect)
        ends = case((cast(bindparam("ends"), Boolean), null()), else_=runs.c.worker)
        self.new_head = Statement(
            update(runs)
            .where(
                runs.c.id == bindparam("run"),
                runs.c.fence == bindparam("held"),
                runs.c.head == bindparam("old_head"),
            )
            .values(
                head=bindparam("new_head"),
                hash=bindparam("new_hash"),
                updated=bindparam("now"),
                state=func.coalesce(cast(bindparam("new_state"), String), runs.c.state),
                asked=runs.c.asked + bindparam("more"),
                worker=ends,
            ),
            dialect,
        )


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
