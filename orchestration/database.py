"""One connection to a log's database, as it must be for nothing to be lost: SQLite in a file, or PostgreSQL by URL.

SQLite: write-ahead log, `synchronous=FULL`, file mode 0600. Versions 3.7.0 to 3.51.2 can corrupt a write-ahead log when
two connections write or check-point it at the same moment (https://sqlite.org/wal.html, "the WAL-reset bug"). So
whatever the version, processes take turns under a lock of their own, which also makes waiting fair, and nobody ever
reads "database is locked".

This file knows nothing of facts. Everything in it blocks, and belongs to one thread.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ..agents.errors import CoterieError
from ..agents.loading import load
from .errors import LogUnavailable
from .fault_points import reached
from .liveness import AdvisoryLiveness, FileLiveness, Liveness, WriteTurns
from .schema import HEAD, REVISIONS
from .statements import Hot, statements

T = TypeVar("T")

BUSY = 60_000  # milliseconds that SQLite waits for a writer that is not one of ours
FIXED = (3, 51, 3)  # the first SQLite without the WAL-reset bug
READ = "coterie_read"


class Database:
    """The database of a log, opened and up to date.

    Args:
        place: a file for SQLite, or a URL.

    Raises:
        LogUnavailable: it cannot be opened, or was made by a newer Coterie.
    """

    def __init__(self, place: str | Path) -> None:
        self.url = url_of(place)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turns: WriteTurns | None = None
        self.liveness: Liveness
        with refused(self.url):
            self.engine = _engine(self.url)
            if self.is_sqlite:
                file = Path(str(self.url.database)).resolve()
                self._turns = WriteTurns(file.with_name(f"{file.name}-lock"))
                file.touch(mode=0o600)
                self.liveness = FileLiveness(file.with_name(f"{file.name}-workers"))
            else:
                self.liveness = AdvisoryLiveness(self.engine)
            self._statements = statements(self.engine.dialect)
            self._patience = BUSY  # of the connection, in milliseconds
            with self._turn():
                self._connection = self.engine.connect()
            self._upgrade()

    @property
    def dialect(self) -> Dialect:
        return self.engine.dialect

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: all of it is on the disk when the block ends, or nothing is.

        Raises:
            LogUnavailable: the database did not take it.
        """
        with refused(self.url), self._turn():
            connection = self._opened()
            try:
                with connection.begin():
                    yield connection
                    reached("commit-due")
                reached("committed")
            except DBAPIError as error:
                self._discard()  # after a failed write nothing that the connection remembers can be trusted
                raise error

    def write_hot(self, work: Callable[[Hot], None], wait: bool) -> None:
        """Commits what `work` writes with compiled statements, without what SQLAlchemy does around a transaction.

        Raises:
            BlockingIOError: another process is writing, and `wait` is false.
            LogUnavailable: the database did not take it.
        """
        turns = self._turns
        try:
            if turns is not None:
                turns.take(wait)
            try:
                self._commit_hot(work, wait)
            finally:
                if turns is not None:
                    turns.give()
        except (CoterieError, BlockingIOError):
            raise
        except Exception as error:
            with refused(self.url):
                raise error

    def _commit_hot(self, work: Callable[[Hot], None], wait: bool) -> None:
        raw: Any = self._opened().connection.driver_connection
        cursor = raw.cursor()
        if self.is_sqlite:
            self._begin_hot(cursor, wait)
        try:
            work(Hot(cursor, self._statements))
            reached("commit-due")
            raw.commit()
            reached("committed")
        except BaseException:
            with suppress(Exception):  # the connection may be beyond that
                cursor.close()
                raw.rollback()
            self._discard()
            raise

    def _begin_hot(self, cursor: Any, wait: bool) -> None:
        patience = BUSY if wait else 0
        if patience != self._patience:
            cursor.execute(f"PRAGMA busy_timeout={patience}")
            self._patience = patience
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not wait and error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise BlockingIOError("somebody else is writing") from error
            raise

    def read(self, function: Callable[[Connection], T]) -> T:
        """What `function` reads, in one transaction.

        Raises:
            LogUnavailable: the database cannot be read.
        """
        with refused(self.url):
            connection = self._opened().execution_options(**{READ: True})
            try:
                with connection.begin():
                    return function(connection)
            except DBAPIError as error:
                self._discard()
                raise error
            finally:
                if not connection.closed:
                    connection.execution_options(**{READ: False})

    def compact(self) -> None:
        """Gives what was deleted back to the disk."""
        with refused(self.url), self._turn():
            raw = self._opened().connection.driver_connection
            if self.is_sqlite:
                raw.execute("VACUUM")  # type: ignore[union-attr]
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
                return
        with refused(self.url), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM"))

    def damage(self) -> str | None:
        """What the database itself finds wrong in its file."""
        if not self.is_sqlite:
            return None
        try:
            found = self.read(lambda connection: connection.execute(text("PRAGMA integrity_check(1)")).scalar_one())
        except LogUnavailable as error:
            return str(error)
        return None if found == "ok" else str(found)

    def close(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(self._turn())  # the last connection to be closed writes a check-point
            self.liveness.close()
            self._connection.close()
            self.engine.dispose()
        if self._turns is not None:
            self._turns.close()

    def _turn(self) -> Any:
        return nullcontext() if self._turns is None else self._turns.turn()

    def _opened(self) -> Connection:
        if self._connection.closed or self._connection.invalidated:
            self._connection.close()
            self._connection = self.engine.connect()
        return self._connection

    def _discard(self) -> None:
        self._patience = BUSY
        self._connection.invalidate()
        self._connection.close()

    def _upgrade(self) -> None:
        found = self.read(_revision)
        if found == HEAD:
            return
        if found is not None and found not in REVISIONS:
            raise LogUnavailable(
                f"the log {shown(self.url)} has the tables of version {found}, but this Coterie knows "
                f"only {', '.join(REVISIONS)}; use the Coterie that made it, or a newer one"
            )
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(7238231)"))  # one process migrates
            if _revision(connection) != HEAD:
                load("orchestration.upgrading").upgrade(connection, Path(__file__).with_name("migrations"))


def url_of(place: str | Path) -> URL:
    """Where a log is.

    Raises:
        LogUnavailable: it is neither a file nor the URL of an SQLite or PostgreSQL database.
    """
    if isinstance(place, Path) or "://" not in place:
        return URL.create("sqlite", database=str(place))
    try:
        url = make_url(place)
    except ArgumentError as error:
        raise LogUnavailable(f"{place!r} is no URL of a database: {error}") from error
    if url.get_backend_name() not in ("sqlite", "postgresql") or (url.drivername == "sqlite" and not url.database):
        raise LogUnavailable(
            f"a log is kept in SQLite or PostgreSQL, not in {url.drivername!r}; give a file, or a URL such as "
            f"'postgresql+psycopg://user@host/desk'"
        )
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def sqlite_note() -> str:
    """What the SQLite library here means for logs, for people."""
    version = ".".join(map(str, sqlite3.sqlite_version_info))
    if sqlite3.sqlite_version_info >= FIXED:
        return f"SQLite {version}; processes take turns to write a log"
    return f"SQLite {version}, which has the WAL-reset bug; guarded, since processes take turns to write a log"


@contextmanager
def refused(url: URL) -> Iterator[None]:
    """Turns what a database or its file raises into `LogUnavailable`."""
    try:
        yield
    except (CoterieError, BlockingIOError):  # NotAllowed is an OSError, too
        raise
    except Exception as error:
        # SQLite repeats the damaged text that it stumbles over, which need not be text any more.
        if not isinstance(error, (SQLAlchemyError, OSError, UnicodeDecodeError, *_driver_errors(url))):
            raise
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        if isinstance(error, NoSuchModuleError):
            cause = ModuleNotFoundError(f"{error}; install coterie[postgresql]")
        raise LogUnavailable(f"the log {shown(url)} cannot be used: {_told(cause)}") from error


def shown(url: URL) -> str:
    """Where a log is, for people; never its password."""
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _driver_errors(url: URL) -> tuple[type[Exception], ...]:
    dialect = url.get_dialect()
    try:
        return (dialect.import_dbapi().Error,)
    except ImportError:  # the driver is not installed, which whoever connects is told
        return ()


def _told(cause: BaseException) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    hint = "; make room on the disk, then resume" if "full" in str(cause) or "No space" in str(cause) else ""
    return (lines[0] if lines else type(cause).__name__) + hint


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool)
    engine = create_engine(url, poolclass=NullPool, connect_args={"check_same_thread": False, "isolation_level": None})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    for pragma in (f"busy_timeout={BUSY}", "journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READ)
    raw: Any = connection.connection.driver_connection
    raw.execute("BEGIN" if reads else "BEGIN IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
