"""The journal: ticks, intents, nonces and signed transactions. The only package that knows SQLAlchemy and Alembic."""

from keeper.journal.decisions import Decision, Trail
from keeper.journal.records import (
    Attempt,
    AttemptStatus,
    ClosedStatus,
    Counts,
    Intent,
    IntentStatus,
    MarginAt,
    MarginRow,
    MarginStatus,
    QuoteRow,
    Round,
    StoredTick,
    TickRecord,
    Volatility,
)
from keeper.journal.store import Journal

__all__ = [
    "Attempt",
    "AttemptStatus",
    "ClosedStatus",
    "Counts",
    "Decision",
    "Intent",
    "IntentStatus",
    "Journal",
    "MarginAt",
    "MarginRow",
    "MarginStatus",
    "QuoteRow",
    "Round",
    "StoredTick",
    "TickRecord",
    "Trail",
    "Volatility",
]
