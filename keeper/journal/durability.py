"""What the database promises about a power cut, read back from it and refused if it is less.

An offer is made only after the commit that stored its bytes has returned, so a commit must mean "on the disk".
"""

from sqlalchemy import Connection

from keeper.errors import JournalError

_FULL = 2  # sqlite.org/pragma.html#pragma_synchronous: the WAL is synced at every commit; EXTRA is 3

_POSTGRESQL = {
    "fsync": ("on",),
    "full_page_writes": ("on",),  # a page torn by the cut could not be repaired
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),  # each waits for the local disk
}


def require_durable(connection: Connection, shown_url: str, *, in_memory: bool) -> None:
    """Raise JournalError if a commit could be lost in a power cut. A database in memory is let pass: it is for tests.

    SQLite: journal_mode WAL with synchronous FULL or EXTRA. PostgreSQL: fsync and full_page_writes on,
    synchronous_commit not off.
    """
    if connection.dialect.name == "sqlite":
        _require_sqlite(connection, shown_url, in_memory=in_memory)
    else:
        _require_postgresql(connection, shown_url)


def _require_sqlite(connection: Connection, shown_url: str, *, in_memory: bool) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    synchronous = int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    if mode != "wal" and not in_memory:
        raise JournalError(
            f"journal {shown_url}: expected journal_mode wal, found {mode}; put the file on a local disk (network "
            "file systems have no shared memory) and close other programs that use it"
        )
    if synchronous < _FULL:
        raise JournalError(
            f"journal {shown_url}: expected synchronous {_FULL} (FULL) or more, found {synchronous}; use a SQLite "
            "that was not built to ignore it"
        )


def _require_postgresql(connection: Connection, shown_url: str) -> None:
    for name, durable in _POSTGRESQL.items():
        found = connection.exec_driver_sql(f"SHOW {name}").scalar_one()
        if found not in durable:
            raise JournalError(
                f"journal {shown_url}: expected {name} {' or '.join(durable)}, found {found}; what a power cut takes "
                f"would be sent again, so set {name} = on for the server, the database and this role"
            )
