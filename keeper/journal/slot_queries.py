"""Questions to the transaction ledger; none of them changes anything."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, Select, func, null, select

from keeper.journal.database import Database
from keeper.journal.lifecycle import OPEN
from keeper.journal.records import Intent
from keeper.journal.rows import intent_from
from keeper.journal.schema import INTENT_IS_LIVE, attempts, intents, meta
from keeper.journal.slot_records import CALLS, Earlier, Exposure, Slot, SlotAttempt
from keeper.journal.slot_rows import read_attempts_of, read_slots, slots_by_id
from keeper.journal.slot_schema import carried, slot_attempts, slot_intents, slots, steps

_IS_OPEN = slots.c.state.in_(OPEN)  # an index is of use to IN, and none to NOT IN


class SlotQueries:
    """Slots, their attempts and offers."""

    _database: Database

    @property
    def ledger_id(self) -> str:
        """Return what the signer knows this ledger by: 32 hexadecimal digits, made when the journal was created."""
        with self._database.reading() as connection:
            found: str = connection.execute(select(meta.c.ledger_id)).scalar_one()
            return found

    def slot(self, slot_id: int) -> Slot:
        """Return one slot. Raises JournalError if it is unknown."""
        with self._database.reading() as connection:
            return slots_by_id(connection, [slot_id])[slot_id]

    def open_slots(self, sender: str | None = None) -> tuple[Slot, ...]:
        """Return the slots still to be seen through, of one sender or of all, by sender and nonce."""
        mine = _IS_OPEN if sender is None else _IS_OPEN & (slots.c.sender == sender)
        with self._database.reading() as connection:
            return read_slots(connection, mine)

    def slots_from(self, sender: str, nonce: int) -> tuple[Slot, ...]:
        """Return every slot of a sender at `nonce` or above, open or not, by nonce: what an audit looks at.

        Without those released: nothing was ever signed for them, and while the signer refuses each block adds some.
        """
        mine = (slots.c.sender == sender) & (slots.c.nonce >= nonce)
        with self._database.reading() as connection:
            return read_slots(connection, mine & (slots.c.state != "released"))

    def closed_since(self, sender: str, block_number: int) -> tuple[Slot, ...]:
        """Return a sender's slots that a reorg down to `block_number` would open again, by nonce.

        Those final whose block is above it, and those lost that were found lost above it.
        """
        with self._database.reading() as connection:
            return read_slots(connection, (slots.c.sender == sender) & _closed_above(block_number))

    def earlier(self, effects: Collection[str], block_number: int) -> tuple[Earlier, ...]:
        """Return the bytes given up for these effects, of all senders, that a reorg down to `block_number` could let
        land: calls whose nonce a stranger or a cancel has, and calls that were mined without their effect."""
        with self._database.reading() as connection:
            found = connection.execute(_displaced(effects, block_number)).all()
            failed = connection.execute(_failed(effects, block_number)).all()
        return tuple(Earlier(*row) for row in (*found, *failed))

    def reopened(self, sender: str) -> tuple[Slot, ...]:
        """Return a sender's open slots that were closed before a reorg deeper than finality, by nonce."""
        ended = select(steps.c.id).where(steps.c.slot_id == slots.c.id, steps.c.state.in_(("final", "lost"))).exists()
        with self._database.reading() as connection:
            return read_slots(connection, _IS_OPEN & (slots.c.sender == sender) & ended)

    def nonces_given(self, sender: str) -> tuple[int, int] | None:
        """Return the lowest and the highest nonce a sender ever had a slot for, released ones too; None for none."""
        query = select(func.min(slots.c.nonce), func.max(slots.c.nonce)).where(slots.c.sender == sender)
        with self._database.reading() as connection:
            lowest, highest = connection.execute(query).one()
            return None if lowest is None else (lowest, highest)

    def highest_nonce(self, sender: str) -> int | None:
        """Return the highest nonce with a slot that is not released, None if there is none."""
        query = select(slots.c.nonce).where(slots.c.sender == sender, slots.c.state != "released")
        with self._database.reading() as connection:
            return connection.execute(query.order_by(slots.c.nonce.desc()).limit(1)).scalar_one_or_none()

    def live_attempts(self, sender: str | None = None) -> tuple[SlotAttempt, ...]:
        """Return all bytes that may still change their fate: those of every open slot, siblings together."""
        mine = _IS_OPEN if sender is None else _IS_OPEN & (slots.c.sender == sender)
        with self._database.reading() as connection:
            return read_attempts_of(connection, slot_attempts.c.slot_id.in_(select(slots.c.id).where(mine)))

    def siblings(self, slot_id: int) -> tuple[SlotAttempt, ...]:
        """Return the attempts of a slot in the order in which they were stored; the chain takes one at most."""
        with self._database.reading() as connection:
            return read_attempts_of(connection, slot_attempts.c.slot_id == slot_id)

    def siblings_of(self, slot_ids: Collection[int]) -> tuple[SlotAttempt, ...]:
        """Return the attempts of these slots, siblings together in the order in which they were stored."""
        with self._database.reading() as connection:
            return read_attempts_of(connection, slot_attempts.c.slot_id.in_(slot_ids))

    def intents_of(self, slot_ids: Collection[int]) -> tuple[Intent, ...]:
        """Return the intents that these slots carry, live or closed, oldest first."""
        carried = select(slot_intents.c.intent_id).where(slot_intents.c.slot_id.in_(slot_ids))
        with self._database.reading() as connection:
            query = select(intents).where(intents.c.id.in_(carried)).order_by(intents.c.id)
            return tuple(intent_from(row) for row in connection.execute(query).mappings())

    def exposure(self, sender: str | None = None) -> Exposure:
        """Return the most that the open slots of one sender, or of all, can still cost, wei."""
        with self._database.reading() as connection:
            return exposure_of(connection, sender)

    def intents_without_slot(self) -> tuple[Intent, ...]:
        """Return live intents that nothing was reserved for, here or by an older keeper, oldest first."""
        held = (
            select(slot_intents.c.intent_id)
            .join(slots, slots.c.id == slot_intents.c.slot_id)
            .where(slots.c.state != "released")
        )
        older = select(attempts.c.intent_id).where(attempts.c.status.in_(("signed", "broadcast")))
        free = INTENT_IS_LIVE, intents.c.id.not_in(held), intents.c.id.not_in(older)
        with self._database.reading() as connection:
            rows = connection.execute(select(intents).where(*free).order_by(intents.c.id)).mappings()
            return tuple(intent_from(row) for row in rows)

    def effects_under_way(self) -> frozenset[str]:
        """Return the effect keys that no new intent may carry: those live, and those of every open slot."""
        with self._database.reading() as connection:
            live = connection.execute(select(intents.c.effect).where(INTENT_IS_LIVE)).scalars()
            return frozenset(live) | frozenset(connection.execute(select(carried(_IS_OPEN).c.effect)).scalars())


def _closed_above(block_number: int) -> ColumnElement[bool]:
    """Select slots that a reorg down to `block_number` would open again."""
    noted = select(steps.c.slot_id).where(steps.c.state == "lost", steps.c.block_number > block_number)
    final = (slots.c.state == "final") & (slots.c.mined_number > block_number)
    return final | ((slots.c.state == "lost") & slots.c.id.in_(noted))


def _displaced(effects: Collection[str], block_number: int) -> Select[str, str, str | None]:
    """Select calls whose nonce went to a stranger or to their cancel: no block is known to hold them."""
    has, winner = carried(_closed_above(block_number)), slot_attempts.alias("winner")
    return (
        select(has.c.effect, slot_attempts.c.tx_hash, null())
        .join(slots, slots.c.id == has.c.slot_id)
        .join(slot_attempts, slot_attempts.c.slot_id == slots.c.id)
        .outerjoin(winner, winner.c.tx_hash == slots.c.winner_hash)
        .where(has.c.effect.in_(effects), slot_attempts.c.kind.in_(CALLS))
        .where((slots.c.state == "lost") | winner.c.kind.not_in(CALLS))
        .order_by(slot_attempts.c.id)
    )


def _failed(effects: Collection[str], block_number: int) -> Select[str, str, str | None]:
    """Select calls that were mined and had no effect, with the block in which."""
    return (
        select(intents.c.effect, slots.c.winner_hash, slots.c.mined_hash)
        .join(slot_intents, slot_intents.c.intent_id == intents.c.id)
        .join(slots, slots.c.id == slot_intents.c.slot_id)
        .where(intents.c.effect.in_(effects), intents.c.status == "failed")
        .where(slots.c.state == "final", slots.c.mined_number > block_number)
        .order_by(slots.c.id)
    )


def exposure_of(connection: Connection, sender: str | None = None) -> Exposure:
    """Return the worst case of open slots, of one sender or of all: uint256 is text in SQL, so it is summed here."""
    mine = _IS_OPEN if sender is None else _IS_OPEN & (slots.c.sender == sender)
    query = (
        select(slots.c.id, slots.c.state, slot_attempts.c.gas, slot_attempts.c.max_fee)
        .join(slots, slots.c.id == slot_attempts.c.slot_id)
        .where(mine)
    )
    worst: dict[tuple[int, bool], int] = {}
    for slot_id, state, gas, max_fee in connection.execute(query):
        key = (slot_id, state == "mined")
        worst[key] = max(worst.get(key, 0), gas * max_fee)
    return Exposure(
        waiting=sum(cost for (_, mined), cost in worst.items() if not mined),
        mined=sum(cost for (_, mined), cost in worst.items() if mined),
    )
