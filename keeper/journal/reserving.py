"""Which nonces may be given, to whom, and the rows of a slot at birth."""

from collections import Counter
from collections.abc import Sequence
from itertools import count, islice
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select, update

from keeper.errors import JournalError
from keeper.journal.lifecycle import OPEN
from keeper.journal.schema import attempts, intents
from keeper.journal.slot_records import Adopted, Moment, NewSlot
from keeper.journal.slot_rows import intent_rows
from keeper.journal.slot_schema import adopted_effects, carried, slot_intents, slots


def one_sender(wanted: Sequence[NewSlot]) -> str:
    """Return whose nonces they are. Raises ValueError for several senders: only one count is given."""
    senders = {new.sender for new in wanted}
    if len(senders) != 1:
        raise ValueError(f"expected slots of one sender, whose count is given, found {sorted(senders)}")
    return senders.pop()


def require_free(connection: Connection, wanted: Sequence[NewSlot]) -> None:
    """Refuse intents that are closed or under way, and effects that are under way in any open slot."""
    times = Counter(intent for new in wanted for intent in new.intents)
    rows = intent_rows(connection, times)
    effects = {effect: intent for intent, (_, effect) in rows.items()}
    for intent, (status, _) in rows.items():
        if status not in ("intended", "live") or times[intent] > 1:
            found = status if times[intent] == 1 else f"it {times[intent]} times"
            raise JournalError(f"intent {intent}: expected it live and in one slot, found {found}; send it once")
    has = carried(slots.c.state.in_(OPEN))
    busy = (
        select(has.c.effect, slots.c.id, slots.c.sender, slots.c.nonce)
        .join(slots, slots.c.id == has.c.slot_id)
        .where(has.c.effect.in_(list(effects)))
    )
    for effect, slot_id, sender, nonce in connection.execute(busy):
        raise JournalError(
            f"intent {effects[effect]}: expected its effect free, found it under way in slot {slot_id}, nonce {nonce} "
            f"of {sender}; replace or cancel that one"
        )
    older = select(attempts.c.tx_hash).where(
        attempts.c.intent_id.in_(list(rows)), attempts.c.status.in_(("signed", "broadcast"))
    )
    for tx_hash in connection.execute(older).scalars():
        raise JournalError(f"{tx_hash}: expected no open attempt of an older keeper, found one; settle it first")


def next_nonces(connection: Connection, sender: str, least: int, wanted: int) -> list[int]:
    """Return the lowest nonces that may be given: released ones from `least` on, then beyond the highest."""
    own = select(slots.c.nonce).where(slots.c.sender == sender, slots.c.nonce >= least)
    taken = set(connection.execute(own.where(slots.c.state != "released")).scalars())
    released = set(connection.execute(own.where(slots.c.state == "released")).scalars())
    older = select(func.max(attempts.c.nonce)).where(attempts.c.sender == sender, attempts.c.status != "lost")
    highest = connection.execute(older).scalar_one_or_none()
    beyond = max(least, 1 + max(taken, default=-1), 0 if highest is None else 1 + highest)
    gaps = sorted(nonce for nonce in released - taken if nonce < beyond)
    return [*gaps[:wanted], *islice(count(beyond), max(wanted - len(gaps), 0))]


def insert_slots(connection: Connection, wanted: Sequence[NewSlot], nonces: Sequence[int], at: Moment) -> Sequence[int]:
    rows = [
        {
            "sender": new.sender,
            "nonce": nonce,
            "purpose": new.purpose,
            "target": new.to,
            "data": new.data,
            "gas": new.gas,
            "request_id": uuid4().hex,
            "opened_block": at.block_number,
            "deadline_block": new.deadline_block,
            "state": "reserved",
        }
        for new, nonce in zip(wanted, nonces, strict=True)
    ]
    ids = connection.execute(insert(slots).returning(slots.c.id, sort_by_parameter_order=True), rows).scalars().all()
    pairs = [
        {"slot_id": slot_id, "intent_id": intent}
        for slot_id, new in zip(ids, wanted, strict=True)
        for intent in new.intents
    ]
    if pairs:
        connection.execute(insert(slot_intents), pairs)
        given = {pair["intent_id"] for pair in pairs}
        connection.execute(update(intents).where(intents.c.id.in_(given)).values(status="live"))
    return ids


def insert_adopted(connection: Connection, sender: str, adopted: Sequence[Adopted], at: Moment) -> Sequence[int]:
    rows = [
        {
            "sender": sender,
            "nonce": one.nonce,
            "purpose": one.purpose,
            "target": one.to,
            "data": one.data,
            "gas": one.gas,
            "request_id": one.request_id or uuid4().hex,
            "opened_block": at.block_number,
            "deadline_block": at.block_number,
            "state": "reserved",
        }
        for one in adopted
    ]
    returning = insert(slots).returning(slots.c.id, sort_by_parameter_order=True)
    ids = connection.execute(returning, rows).scalars().all()
    pairs = [(slot_id, effect) for slot_id, one in zip(ids, adopted, strict=True) for effect in one.effects]
    if pairs:
        connection.execute(insert(adopted_effects), [{"slot_id": i, "effect": effect} for i, effect in pairs])
    return ids
