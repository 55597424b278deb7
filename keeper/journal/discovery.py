"""Which accounts exist, and how far the chain's events have been read to know it."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from keeper.chain import Block
from keeper.errors import JournalError
from keeper.journal.database import Database, insert_new
from keeper.journal.schema import accounts, scanned_heads

SCANNED_HEADS_KEPT = 256
"""How many scanned heads are remembered to find the fork of a reorg."""


class Discovery:
    """Accounts and the event cursor."""

    _database: Database

    def cursor(self) -> tuple[int, str] | None:
        """Return number and hash of the last scanned head; None: scan from the venue's first block."""
        with self._database.reading() as connection:
            return next(iter(_scanned(connection, limit=1)), None)

    def scanned(self) -> tuple[tuple[int, str], ...]:
        """Return (number, hash) of the last scanned heads, newest first, to compare with the chain's."""
        with self._database.reading() as connection:
            return _scanned(connection, limit=SCANNED_HEADS_KEPT)

    def discovered(self, found: Mapping[str, int], upto: Block) -> None:
        """Add accounts (address -> block first seen in) and advance the cursor to `upto`, together.

        Known accounts keep their first block. Raises JournalError if `upto` is not beyond the cursor.
        """
        with self._database.writing() as connection:
            _require_beyond(next(iter(_scanned(connection, limit=1)), None), upto)
            if found:
                rows = [{"address": address, "first_block": number} for address, number in found.items()]
                connection.execute(insert_new(connection, accounts), rows)
            connection.execute(
                insert_new(connection, scanned_heads), [{"block_number": upto.number, "block_hash": upto.hash}]
            )
            _forget_old_heads(connection)

    def rewind(self, to_number: int) -> int:
        """Forget scanned heads and accounts first seen above `to_number`; return how many accounts that were."""
        with self._database.writing() as connection:
            connection.execute(delete(scanned_heads).where(scanned_heads.c.block_number > to_number))
            return connection.execute(delete(accounts).where(accounts.c.first_block > to_number)).rowcount

    def accounts(self) -> tuple[str, ...]:
        """Return every known account, sorted."""
        with self._database.reading() as connection:
            return tuple(sorted(connection.execute(select(accounts.c.address)).scalars()))


def _scanned(connection: Connection, limit: int) -> tuple[tuple[int, str], ...]:
    query = (
        select(scanned_heads.c.block_number, scanned_heads.c.block_hash)
        .order_by(scanned_heads.c.block_number.desc())
        .limit(limit)
    )
    return tuple((row.block_number, row.block_hash) for row in connection.execute(query))


def _require_beyond(cursor: tuple[int, str] | None, upto: Block) -> None:
    if cursor is None or upto.number > cursor[0] or (upto.number, upto.hash) == cursor:
        return
    raise JournalError(
        f"event cursor: expected a head beyond block {cursor[0]} ({cursor[1]}), found {upto.number} ({upto.hash}); "
        "rewind to the fork first"
    )


def _forget_old_heads(connection: Connection) -> None:
    oldest_kept = (
        select(scanned_heads.c.block_number)
        .order_by(scanned_heads.c.block_number.desc())
        .offset(SCANNED_HEADS_KEPT - 1)
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(delete(scanned_heads).where(scanned_heads.c.block_number < oldest_kept))
