"""Why something was or was not done: a subject's intents with everything signed for them, and its holds."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from keeper.journal.database import Database
from keeper.journal.ledger import attempts_with_plans, read_attempts
from keeper.journal.records import Attempt, Intent
from keeper.journal.rows import intent_from
from keeper.journal.schema import attempts, holds, intents, ticks
from keeper.journal.slot_records import Slot, SlotAttempt
from keeper.journal.slot_rows import read_attempts_of, slots_by_id
from keeper.journal.slot_schema import slot_attempts, slot_intents
from keeper.plans import Held, TakeAuction


@dataclass(frozen=True, slots=True)
class Trail:
    """One nonce with everything signed for it, oldest first; the chain takes one at most."""

    slot: Slot
    attempts: tuple[SlotAttempt, ...]

    @property
    def winner(self) -> SlotAttempt | None:
        """The one the chain took, as far as is known."""
        return next((a for a in self.attempts if a.tx_hash == self.slot.standing.winner_hash), None)

    @property
    def share(self) -> int | None:
        """Wei that each of the slot's intents was charged, rounded up; None while it is not mined or not known."""
        cost = self.slot.standing.cost
        return None if cost is None else -(-cost // max(len(self.slot.intents), 1))

    def fate(self, attempt: SlotAttempt) -> str:
        """Return where one of the siblings stands: the slot's state, or that another one was taken."""
        taken = self.slot.standing.winner_hash
        return self.slot.state if taken in (None, attempt.tx_hash) else "not taken"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a tick decided about a subject: an intent with what was signed for it, or a hold. One of the two is set."""

    tick_id: int
    block_number: int
    timestamp: int
    intent: Intent | None
    trails: tuple[Trail, ...]
    older: tuple[Attempt, ...]  # signed by a keeper from before the slots
    hold: Held | None

    @property
    def cost(self) -> int | None:
        """Wei the intent was charged so far, reverted tries included; None: nothing mined, or not known."""
        shares = [trail.share for trail in self.trails if trail.share is not None]
        return sum(shares) if shares else None

    @property
    def gain_usd(self) -> float | None:
        """What an achieved plan that states a profit was expected to earn, None for all others."""
        if self.intent is None or self.intent.status != "achieved" or not isinstance(self.intent.plan, TakeAuction):
            return None
        return self.intent.plan.profit


class Decisions:
    """Questions; none of them changes anything."""

    _database: Database

    def decisions(self, subject: str, limit: int = 100) -> tuple[Decision, ...]:
        """Return up to `limit` intents and `limit` holds about an account or parameter, newest tick first.

        Within a tick intents come before holds.
        """
        with self._database.reading() as connection:
            found = (*_intended(connection, subject, limit), *_held(connection, subject, limit))
        return tuple(sorted(found, key=lambda decision: decision.tick_id, reverse=True))


def _intended(connection: Connection, subject: str, limit: int) -> list[Decision]:
    query = (
        select(intents, ticks.c.block_number, ticks.c.timestamp)
        .join(ticks, ticks.c.id == intents.c.tick_id)
        .where(intents.c.subject == subject)
        .order_by(intents.c.id.desc())
        .limit(limit)
    )
    rows = connection.execute(query).mappings().all()
    ids = [row["id"] for row in rows]
    trails, older = _trails(connection, ids), _older(connection, ids)
    return [
        Decision(
            tick_id=row["tick_id"],
            block_number=row["block_number"],
            timestamp=row["timestamp"],
            intent=intent_from(row),
            trails=trails.get(row["id"], ()),
            older=older.get(row["id"], ()),
            hold=None,
        )
        for row in rows
    ]


def _held(connection: Connection, subject: str, limit: int) -> list[Decision]:
    query = (
        select(holds, ticks.c.block_number, ticks.c.timestamp)
        .join(ticks, ticks.c.id == holds.c.tick_id)
        .where(holds.c.subject == subject)
        .order_by(holds.c.id.desc())
        .limit(limit)
    )
    return [
        Decision(row["tick_id"], row["block_number"], row["timestamp"], None, (), (), Held(subject, row["reason"]))
        for row in connection.execute(query).mappings()
    ]


def _trails(connection: Connection, intent_ids: list[int]) -> dict[int, tuple[Trail, ...]]:
    query = select(slot_intents).where(slot_intents.c.intent_id.in_(intent_ids)).order_by(slot_intents.c.slot_id)
    pairs = [(slot_id, intent_id) for slot_id, intent_id in connection.execute(query)]
    held = slots_by_id(connection, {slot_id for slot_id, _ in pairs})
    signed: dict[int, list[SlotAttempt]] = {slot_id: [] for slot_id in held}
    for attempt in read_attempts_of(connection, slot_attempts.c.slot_id.in_(list(held))):
        signed[attempt.slot_id].append(attempt)
    found: dict[int, tuple[Trail, ...]] = {}
    for slot_id, intent_id in pairs:
        found[intent_id] = (*found.get(intent_id, ()), Trail(held[slot_id], tuple(signed[slot_id])))
    return found


def _older(connection: Connection, intent_ids: list[int]) -> dict[int, tuple[Attempt, ...]]:
    made: dict[int, tuple[Attempt, ...]] = {}
    for attempt in read_attempts(connection, attempts_with_plans().where(attempts.c.intent_id.in_(intent_ids))):
        made[attempt.intent_id] = (*made.get(attempt.intent_id, ()), attempt)
    return made
