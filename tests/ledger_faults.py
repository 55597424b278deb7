"""A journal whose disk is full, or that another process has locked, for as long as a block of a test lasts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, event

from keeper.journal import Journal

MOST_PAGES = 2**31 - 2  # SQLite's own limit
WAIT_MS = 1
"""How long a locked journal is waited for in a test; the keeper waits seconds."""


@contextmanager
def full_disk(journal: Journal) -> Iterator[None]:
    """SQLite may not grow the file by one page more: what a full disk is to it, on a disk that others need too."""
    with journal._database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with _at_begin(journal, f"PRAGMA max_page_count={pages}"):
        yield
    with _at_begin(journal, f"PRAGMA max_page_count={MOST_PAGES}"), journal._database.reading():
        pass  # the connection that was limited is the pool's only idle one: it is given its room back


@contextmanager
def locked(journal: Journal, path: Path) -> Iterator[None]:
    """Another process is in the middle of a write to the file at `path`."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with _waiting(journal):
            yield
        other.execute("ROLLBACK")


@contextmanager
def _at_begin(journal: Journal, pragma: str) -> Iterator[None]:
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(pragma)

    engine = journal._database._engine
    event.listen(engine, "begin", limit)
    try:
        yield
    finally:
        event.remove(engine, "begin", limit)


@contextmanager
def _waiting(journal: Journal) -> Iterator[None]:
    """Let its connections give up at once: they are the pool's, so those made meanwhile are dropped with it."""
    with journal._database.reading() as connection:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={WAIT_MS}")
    yield
    journal._database.close()
