"""The connection: opening, upgrading, transactions, and the one place where SQL errors become JournalErrors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from keeper.errors import JournalError
from keeper.journal.durability import require_durable
from keeper.journal.schema import meta

BUSY_TIMEOUT_MS = 5_000
"""How long a connection waits for another's write before it gives up."""

_DIALECTS = ("sqlite", "postgresql")  # those with partial unique indexes: one live intent per effect hangs on them
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x6B656570  # any constant; PostgreSQL's advisory lock while one process upgrades

_FULL = "free disk space; nothing is sent until the journal can be written"
_ADVICE = {
    "locked": "stop the other process that writes to it",
    "lock timeout": "stop the other process that writes to it",
    "full": _FULL,
    "No space left": _FULL,
    "disk I/O error": "see whether the disk is full or failing; nothing is sent until the journal can be written",
    "readonly": "make the file and its folder writable",
    "unable to open": "create the folder and make it writable",
    "not a database": "name another file in [journal] url",
    "malformed": "restore a backup; do not send from this one",
}


class Database:
    """An open, upgraded journal database, usable from several threads; every block is one transaction."""

    def __init__(self, url: str) -> None:
        """Connect lazily. Raises JournalError for a URL that names no supported database."""
        self._url = _parse(url)
        self.shown_url = _shown(self._url)
        self.in_memory = self._url.get_backend_name() == "sqlite" and self._url.database in (None, "", ":memory:")
        self._engine = self._create_engine()
        self._writer = self._engine.execution_options(keeper_writes=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state and writes nothing."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose changes are all durable when the block ends, or none after an exception."""
        with self._explained(), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def prepare(self, chain_id: int, venue: str) -> None:
        """Bring the schema up to date and claim the database for one venue on one chain, or raise JournalError.

        Refuses a database that could lose a commit in a power cut.
        """
        with self.writing() as connection:
            require_durable(connection, self.shown_url, in_memory=self.in_memory)
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            self._upgrade(connection)
            self._claim(connection, chain_id, venue)

    def _create_engine(self) -> Engine:
        try:
            # A SQLite database in memory lives and dies with its one connection, so the threads take turns.
            engine = (
                create_engine(
                    self._url,
                    hide_parameters=True,
                    poolclass=QueuePool,
                    pool_size=1,
                    max_overflow=0,
                    connect_args={"check_same_thread": False},
                )
                if self.in_memory
                else create_engine(self._url, hide_parameters=True, pool_pre_ping=True)
            )
        except (NoSuchModuleError, ImportError) as error:
            raise JournalError(
                f"journal {self.shown_url}: expected an installed database driver, found none ({error}); "
                "for PostgreSQL run `pip install 'psycopg[binary]'`"
            ) from error
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _configure_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            event.listen(engine, "connect", _configure_postgresql)
        return engine

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the driver says into a JournalError with a remedy; statements' parameters are never shown."""
        try:
            yield
        except IntegrityError as error:
            raise JournalError(
                f"journal {self.shown_url}: expected rows that keep its rules, found {error.orig}; nothing was written"
            ) from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            found = str(getattr(error, "orig", None) or error).strip()
            advice = next((remedy for words, remedy in _ADVICE.items() if words in found), "check that it is reachable")
            raise JournalError(
                f"journal {self.shown_url}: expected a database that answers, found {found!r}; {advice}"
            ) from error

    def _upgrade(self, connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        scripts = ScriptDirectory.from_config(config)
        current = MigrationContext.configure(connection).get_current_revision()
        known = [script.revision for script in scripts.walk_revisions()]
        if current is not None and current not in known:
            raise JournalError(
                f"journal {self.shown_url}: expected schema revision {known[0]} or older, found {current}, written by "
                "a newer keeper; upgrade this one or open another journal"
            )
        if current != known[0]:
            command.upgrade(config, "head")

    def _claim(self, connection: Connection, chain_id: int, venue: str) -> None:
        owner = connection.execute(select(meta.c.chain_id, meta.c.venue)).one_or_none()
        if owner is None:
            created = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute(
                insert(meta).values(chain_id=chain_id, venue=venue, created=created, ledger_id=uuid4().hex)
            )
        elif tuple(owner) != (chain_id, venue):
            raise JournalError(
                f"journal {self.shown_url}: expected the journal of {venue} on chain {chain_id}, found that of "
                f"{owner.venue} on chain {owner.chain_id}; set [journal] url to another database"
            )


def insert_new(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that skips rows which would break a unique constraint."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise JournalError(
            "journal url: expected a SQLAlchemy URL such as sqlite:///keeper.db, found something unreadable"
        ) from error
    if backend not in _DIALECTS:
        raise JournalError(
            f"journal {_shown(parsed)}: expected {' or '.join(_DIALECTS)}, found "
            f"{backend}; without partial unique indexes nothing prevents two live intents for one effect"
        )
    return parsed


def _shown(url: URL) -> str:
    """Return what a message may show: no password, and no query, which may carry one too."""
    return url.set(query={}).render_as_string(hide_password=True)


def _configure_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come too late; _begin_sqlite sends it
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _configure_postgresql(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")  # it waits for ever by default, and nobody would hear of it
    cursor.close()
    connection.commit()  # a setting made in a transaction would go with it


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read later fails immediately instead of waiting its turn.
    writes = connection.get_execution_options().get("keeper_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
