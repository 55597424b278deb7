"""The journal: what the keeper saw, decided, signed and sent, in one database that outlives the process."""

from types import TracebackType
from typing import Self

from keeper.errors import JournalError
from keeper.journal.database import Database
from keeper.journal.decisions import Decisions
from keeper.journal.discovery import Discovery
from keeper.journal.fates import Fates
from keeper.journal.ledger import Ledger
from keeper.journal.policy_queries import PolicyQueries
from keeper.journal.queries import Queries
from keeper.journal.slot_queries import SlotQueries
from keeper.journal.slots import Slots
from keeper.journal.ticks import Ticks


class Journal(Discovery, Ticks, Ledger, Slots, Fates, SlotQueries, PolicyQueries, Decisions, Queries):
    """One venue's journal on one chain. Methods may be called from several threads; each is one transaction.

    Every method raises JournalError when the database refuses (locked, full, unreachable).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str, *, chain_id: int, venue: str) -> Self:
        """Open or create the journal at a SQLAlchemy URL and bring its schema up to date.

        Raises JournalError if it cannot be opened, belongs to another chain or venue, or was written by a newer keeper.
        """
        database = Database(url)
        try:
            database.prepare(chain_id, venue)
        except BaseException:  # whatever it was, also an interrupt: no connection is left open; raised again
            database.close()
            raise
        return cls(database)

    def require_lasting(self) -> None:
        """Raise JournalError for a database in memory: what it promised before an offer would end with its process."""
        if self._database.in_memory:
            raise JournalError(
                f"journal {self._database.shown_url}: expected a database on a disk in mode live, found one in memory; "
                "set [journal] url to a file or a server"
            )

    def close(self) -> None:
        """Give the connections back; the journal must not be used afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
