"""Reads for people: what was seen, and totals."""

from collections.abc import Mapping

from sqlalchemy import func, select

from keeper.journal.database import Database
from keeper.journal.lifecycle import CLOSED
from keeper.journal.records import (
    ClosedStatus,
    Counts,
    MarginAt,
    MarginRow,
    QuoteRow,
    Round,
    StoredTick,
    Volatility,
)
from keeper.journal.rows import latency_from, margin_from, quote_from, tick_from
from keeper.journal.schema import (
    INTENT_IS_LIVE,
    accounts,
    attempts,
    intents,
    margins,
    quotes,
    rounds,
    ticks,
    volatility,
)
from keeper.journal.slot_schema import slot_attempts, slots


class Queries:
    """Questions; none of them changes anything."""

    _database: Database

    def last_tick(self) -> StoredTick | None:
        """Return the newest tick, None before the first."""
        with self._database.reading() as connection:
            row = connection.execute(select(ticks).order_by(ticks.c.id.desc()).limit(1)).mappings().one_or_none()
            return None if row is None else tick_from(row)

    def margins(self, tick_id: int) -> tuple[MarginRow, ...]:
        """Return a tick's margins, sorted by account."""
        with self._database.reading() as connection:
            query = select(margins).where(margins.c.tick_id == tick_id).order_by(margins.c.account)
            return tuple(margin_from(row) for row in connection.execute(query).mappings())

    def quotes(self, tick_id: int) -> tuple[QuoteRow, ...]:
        """Return a tick's quotes, sorted by symbol and feed."""
        with self._database.reading() as connection:
            query = select(quotes).where(quotes.c.tick_id == tick_id).order_by(quotes.c.symbol, quotes.c.feed)
            return tuple(quote_from(row) for row in connection.execute(query).mappings())

    def history(self, account: str, limit: int) -> tuple[MarginAt, ...]:
        """Return an account's last `limit` margins with their blocks, newest first."""
        query = (
            select(margins, ticks.c.block_number, ticks.c.timestamp)
            .join(ticks, ticks.c.id == margins.c.tick_id)
            .where(margins.c.account == account)
            .order_by(margins.c.tick_id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return tuple(
                MarginAt(row["tick_id"], row["block_number"], row["timestamp"], margin_from(row))
                for row in connection.execute(query).mappings()
            )

    def rounds_of(self, feed: str, since_timestamp: int) -> tuple[Round, ...]:
        """Return each update of a feed once, updated at or after `since_timestamp`, strictly increasing in time.

        Made for volatility: pruning ticks does not shorten it.
        """
        query = (
            select(rounds)
            .where(rounds.c.feed == feed, rounds.c.updated_at >= since_timestamp)
            .order_by(rounds.c.updated_at)
        )
        with self._database.reading() as connection:
            return tuple(
                Round(row["feed"], row["updated_at"], row["answer"], row["decimals"], row["status"])
                for row in connection.execute(query).mappings()
            )

    def latency(self, limit: int = 1_000) -> tuple[Mapping[str, float], ...]:
        """Return the latencies (stage -> milliseconds) of the last `limit` ticks, oldest first."""
        query = select(ticks.c.latency_ms).order_by(ticks.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            newest_first = [latency_from(stored) for stored in connection.execute(query).scalars()]
        return tuple(reversed(newest_first))

    def latest_volatility(self, feed: str) -> Volatility | None:
        """Return the newest volatility of a feed, None if never measured."""
        query = select(volatility).where(volatility.c.feed == feed).order_by(volatility.c.computed_at.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Volatility(feed, row["computed_at"], row["annualised"], row["observations"])

    def last_achieved(self, effect: str) -> int | None:
        """Return the block timestamp of the newest tick whose intent for `effect` was achieved, None if there is none.

        It is the time of the decision, a few blocks before that of the effect.
        """
        query = (
            select(func.max(ticks.c.timestamp))
            .join(intents, intents.c.tick_id == ticks.c.id)
            .where(intents.c.effect == effect, intents.c.status == "achieved")
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def refused_since(self, block_number: int) -> frozenset[str]:
        """Return the effects of intents closed as refused at `block_number` or later."""
        return self._closed_since(block_number, "refused")

    def failed_since(self, block_number: int) -> frozenset[str]:
        """Return the effects of intents closed as failed, which is mined without effect, at `block_number` or later."""
        return self._closed_since(block_number, "failed")

    def _closed_since(self, block_number: int, status: ClosedStatus) -> frozenset[str]:
        query = select(intents.c.effect).where(intents.c.status == status, intents.c.closed_block >= block_number)
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def counts(self) -> Counts:
        """Return totals over what the journal still holds."""
        with self._database.reading() as connection:
            summed = connection.execute(
                select(
                    func.count(),
                    func.coalesce(func.sum(ticks.c.skipped_heads), 0),
                    func.coalesce(func.sum(ticks.c.endangered), 0),
                    func.coalesce(func.sum(ticks.c.unknown), 0),
                ).select_from(ticks)
            ).one()
            unsettled = attempts.c.status.in_(("signed", "broadcast"))
            waiting = select(slots.c.id).where(slots.c.state.not_in(CLOSED))
            bytes_open = slot_attempts.c.slot_id.in_(waiting)
            counted = [
                connection.execute(query).scalar_one()
                for query in (
                    select(func.count()).select_from(accounts),
                    select(func.count()).select_from(intents),
                    select(func.count()).select_from(intents).where(INTENT_IS_LIVE),
                    select(func.count()).select_from(attempts),
                    select(func.count()).select_from(attempts).where(unsettled),
                    select(func.count()).select_from(slot_attempts),
                    select(func.count()).select_from(slot_attempts).where(bytes_open),
                )
            ]
        *known, older, older_open, signed, signed_open = counted
        return Counts(*(int(total) for total in (*summed, *known, older + signed, older_open + signed_open)))
