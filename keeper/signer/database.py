"""The signer's SQLite file: durable or refused, one writer, every block one transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from keeper.errors import SignerStoreError
from keeper.signer.schema import METADATA, VERSION

BUSY_TIMEOUT_MS = 2_000
"""How long another process's lock is waited for; then nothing is signed."""

_FULL = 2  # PRAGMA synchronous, as SQLite numbers it: every commit is on the disk before it returns

_ADVICE = {
    "locked": "stop the other process that writes to it",
    "full": "free disk space; nothing is signed until the store can be written",
    "readonly": "make the file and its folder writable",
    "unable to open": "create the folder and make it writable",
    "not a database": "name another file as store",
    "malformed": "restore a backup and reconcile; do not sign from this one",
}


class Database:
    def __init__(self, path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        """Open or create the file, readable by its owner only. Raises SignerStoreError if it would not be durable."""
        self._path = path
        with self._explained():
            path.touch(mode=0o600)
        self._engine = create_engine(
            f"sqlite:///{path}", hide_parameters=True, poolclass=QueuePool, pool_size=1, max_overflow=0
        )

        def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
            connection.isolation_level = None  # the driver's own BEGIN would come too late
            for pragma in (f"busy_timeout={busy_timeout_ms}", "journal_mode=WAL", "synchronous=FULL"):
                connection.cursor().execute(f"PRAGMA {pragma}")

        event.listen(self._engine, "connect", configure)
        event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        with self.transaction() as connection:
            self._require_durable(connection)
            self._require_version(connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection whose changes are all on the disk when the block ends, or none after an exception."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _require_durable(self, connection: Connection) -> None:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        if (mode, level) != ("wal", _FULL):
            raise SignerStoreError(
                f"signer store {self._path}: expected journal_mode wal and synchronous {_FULL}, found {mode} and "
                f"{level}; put it on a local disk that SQLite can lock"
            )

    def _require_version(self, connection: Connection) -> None:
        found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if found not in (0, VERSION):
            raise SignerStoreError(
                f"signer store {self._path}: expected schema {VERSION}, found {found}; use the release that wrote it"
            )
        METADATA.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the driver says into a SignerStoreError with a remedy; parameters are never shown."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            found = str(getattr(error, "orig", None) or error).strip()
            advice = next((remedy for words, remedy in _ADVICE.items() if words in found), "look at the disk")
            raise SignerStoreError(
                f"signer store {self._path}: expected a store that can be written, found {found!r}; {advice}"
            ) from error
