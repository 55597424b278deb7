"""What limits, quarantine and rescue ask of the ledger: what was spent, what came to nothing, what nodes last said.

None of it changes anything, and none of it is kept elsewhere: a restart forgets no cap and no quarantine.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from keeper.journal import plan_text
from keeper.journal.database import Database
from keeper.journal.lifecycle import CLOSED, SlotState, Standing
from keeper.journal.schema import intents, ticks
from keeper.journal.slot_schema import offers, slot_attempts, slot_intents, slots

SIMULATED = "simulation: "
"""How a cause begins where the intent's own call failed in simulation; a node that could not say is nobody's fault."""
HAS_THEM = frozenset({"ACCEPTED", "ALREADY_KNOWN"})
"""Answers of an endpoint that has the bytes it was offered."""
SAYS_NOTHING = frozenset({"NODE_UNAVAILABLE", "UNKNOWN"})
"""Answers that say nothing about the bytes: no connection, a time-out, words no fact knows."""


@dataclass(frozen=True, slots=True)
class SlotSpend:
    """What one nonce may cost at worst or, once closed, did cost, at the time of the decision it was signed for."""

    slot_id: int
    state: SlotState
    opened_block: int
    timestamp: int  # block time, seconds, of the newest tick that decided one of its intents
    gas: int  # limit of its call
    wei: int  # closed: as charged, where that is stored; else of the dearest attempt, cancels included
    kinds: tuple[str, ...]  # of its intents' plans; none for a filler
    in_vain: bool = False  # closed, and none of its intents was achieved: reverted, cancelled, lost

    @property
    def is_open(self) -> bool:
        return self.state not in CLOSED


@dataclass(frozen=True, slots=True)
class Failure:
    """An intent that came to nothing by its own doing: mined without effect, or refused by the simulation."""

    subject: str
    effect: str
    at_risk_usd: float  # as its plan stated it, >= 0
    cause: str
    on_chain: bool  # mined: its gas is paid
    timestamp: int  # block time, seconds, of the newest tick up to the block that closed it


class PolicyQueries:
    """Questions; none of them changes anything."""

    _database: Database

    def spends(self, sender: str | None, since_timestamp: int) -> tuple[SlotSpend, ...]:
        """Return every signed nonce, of one sender or of all, that is open or was decided on after `since_timestamp`,
        by slot."""
        chosen = _recent(sender, since_timestamp)
        with self._database.reading() as connection:
            worst = _worst(connection, chosen)
            decided = _decided(connection, chosen)
            achieved = _achieved(connection, chosen)
            spends = [
                SlotSpend(
                    slot_id=row.id,
                    state=row.state,
                    opened_block=row.opened_block,
                    timestamp=max(at for _, at in decided[row.id]) if row.id in decided else _seen(connection, row),
                    gas=row.gas,
                    wei=_cost(row, worst[row.id]),
                    kinds=tuple(kind for kind, _ in decided.get(row.id, ())),
                    in_vain=row.state in CLOSED and row.id not in achieved,
                )
                for row in connection.execute(select(slots).where(chosen).order_by(slots.c.id)).all()
                if row.id in worst
            ]
        return tuple(one for one in spends if one.is_open or one.timestamp > since_timestamp)

    def failures(self, since_timestamp: int) -> tuple[Failure, ...]:
        """Return what failed after `since_timestamp` and since the last success of the same subject, oldest first."""
        then = ticks.alias()
        closed_at = (
            select(then.c.timestamp)
            .where(then.c.block_number <= intents.c.closed_block)
            .order_by(then.c.block_number.desc(), then.c.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        simulated = and_(intents.c.status == "refused", intents.c.cause.startswith(SIMULATED, autoescape=True))
        better = intents.alias()
        since_then = select(better.c.id).where(
            better.c.subject == intents.c.subject, better.c.status == "achieved", better.c.id > intents.c.id
        )
        query = (
            select(
                intents.c.subject,
                intents.c.effect,
                intents.c.plan,
                intents.c.cause,
                intents.c.status,
                closed_at.label("closed_at"),
            )
            .join(ticks, ticks.c.id == intents.c.tick_id)
            .where(
                ticks.c.timestamp > since_timestamp,
                or_(intents.c.status == "failed", simulated),
                ~since_then.exists(),
            )
            .order_by(intents.c.id)
        )
        with self._database.reading() as connection:
            return tuple(
                Failure(
                    subject=row.subject,
                    effect=row.effect,
                    at_risk_usd=plan_text.at_risk_usd(row.plan),
                    cause=row.cause,
                    on_chain=row.status == "failed",
                    timestamp=row.closed_at,
                )
                for row in connection.execute(query)
            )

    def last_answers(self, attempt_ids: Collection[int]) -> dict[int, dict[str, str]]:
        """Return attempt → endpoint → class of what it last said of it. Who never answered is left out.

        An endpoint that said it has the bytes is not out of that word by silence or by what nobody understands.
        """
        query = (
            select(offers.c.attempt_id, offers.c.endpoint, offers.c.answer_class)
            .where(offers.c.attempt_id.in_(list(attempt_ids)), offers.c.answer_class.is_not(None))
            .order_by(offers.c.id)
        )
        said: dict[int, dict[str, str]] = {}
        with self._database.reading() as connection:
            for attempt_id, endpoint, answer in connection.execute(query):
                before = said.setdefault(attempt_id, {})
                if not (answer in SAYS_NOTHING and before.get(endpoint) in HAS_THEM):
                    before[endpoint] = answer
        return said

    def gaps(self, sender: str, chain_count: int) -> tuple[int, ...]:
        """Return nonces from `chain_count` on that were given back below one that is held, lowest first."""
        own = select(slots.c.nonce).where(slots.c.sender == sender, slots.c.nonce >= chain_count)
        with self._database.reading() as connection:
            taken = set(connection.execute(own.where(slots.c.state != "released")).scalars())
            released = set(connection.execute(own.where(slots.c.state == "released")).scalars())
        return tuple(sorted(nonce for nonce in released - taken if nonce < max(taken, default=0)))


def _recent(sender: str | None, since_timestamp: int) -> ColumnElement[bool]:
    """Return which slots may count: open ones, and those of a block that no tick saw before the time asked for."""
    later = ticks.alias()
    first = select(func.min(later.c.block_number)).where(later.c.timestamp > since_timestamp).scalar_subquery()
    recent = or_(slots.c.state.not_in(CLOSED), slots.c.opened_block >= first)
    return recent if sender is None else (slots.c.sender == sender) & recent


def _worst(connection: Connection, chosen: ColumnElement[bool]) -> dict[int, int]:
    """Return slot → its dearest attempt, wei: uint256 is text in SQL, so it is multiplied here."""
    query = (
        select(slots.c.id, slot_attempts.c.gas, slot_attempts.c.max_fee)
        .join(slots, slots.c.id == slot_attempts.c.slot_id)
        .where(chosen)
    )
    worst: dict[int, int] = {}
    for slot_id, gas, max_fee in connection.execute(query):
        worst[slot_id] = max(worst.get(slot_id, 0), gas * max_fee)
    return worst


def _cost(slot: Row[Any], worst: int) -> int:
    """Return what a closed slot was charged, its worst at most; the worst while its block may leave the chain."""
    standing = Standing(slot.state, gas_used=slot.gas_used, gas_price=slot.gas_price)
    return worst if slot.state not in CLOSED or standing.cost is None else min(standing.cost, worst)


def _achieved(connection: Connection, chosen: ColumnElement[bool]) -> frozenset[int]:
    """Return the slots with an achieved intent."""
    query = (
        select(slot_intents.c.slot_id)
        .join(slots, slots.c.id == slot_intents.c.slot_id)
        .join(intents, intents.c.id == slot_intents.c.intent_id)
        .where(chosen, intents.c.status == "achieved")
    )
    return frozenset(connection.execute(query).scalars())


def _decided(connection: Connection, chosen: ColumnElement[bool]) -> dict[int, list[tuple[str, int]]]:
    """Return slot → kind and time of decision of each of its intents; such ticks are never pruned."""
    query = (
        select(slots.c.id, intents.c.kind, ticks.c.timestamp)
        .join(slot_intents, slot_intents.c.slot_id == slots.c.id)
        .join(intents, intents.c.id == slot_intents.c.intent_id)
        .join(ticks, ticks.c.id == intents.c.tick_id)
        .where(chosen)
        .order_by(slots.c.id, intents.c.id)
    )
    found: dict[int, list[tuple[str, int]]] = {}
    for slot_id, kind, timestamp in connection.execute(query):
        found.setdefault(slot_id, []).append((kind, timestamp))
    return found


def _seen(connection: Connection, slot: Row[Any]) -> int:
    """Return when a filler was opened, which no tick decided on: by the first tick after it, so never too early."""
    after = select(func.min(ticks.c.timestamp)).where(ticks.c.block_number >= slot.opened_block).scalar_subquery()
    newest = select(func.max(ticks.c.timestamp)).scalar_subquery()
    found: int | None = connection.execute(select(func.coalesce(after, newest))).scalar_one()
    return found or 0
