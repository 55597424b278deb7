"""The transaction ledger up to the socket: a nonce is reserved, signed bytes are stored, an offer is noted; then sent.

Every method is one transaction, all or nothing, and durable when it returns. What holds, whatever the callers do: one
slot that is not released per nonce of a sender; one open slot per effect; no offer for bytes that are not stored; no
bytes for a nonce that is closed. Refusals are JournalErrors.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from keeper.errors import JournalError
from keeper.journal.database import Database
from keeper.journal.lifecycle import OFFERABLE, STORABLE, Change
from keeper.journal.reserving import insert_adopted, insert_slots, next_nonces, one_sender, require_free
from keeper.journal.slot_queries import exposure_of
from keeper.journal.slot_records import (
    Adopted,
    Answer,
    AttemptKind,
    Moment,
    NewOffer,
    NewSlot,
    NewSlotAttempt,
    Offer,
    Slot,
    SlotAttempt,
)
from keeper.journal.slot_rows import (
    advance,
    lock_ledger,
    read_attempts_of,
    read_offers,
    slots_by_id,
)
from keeper.journal.slot_schema import ANSWER_LENGTH, offers, slot_attempts


class Slots:
    """Slots until their bytes are with the endpoints."""

    _database: Database

    def reserve(self, wanted: Sequence[NewSlot], least: int, at: Moment) -> tuple[Slot, ...]:
        """Give each, in order, the sender's next nonce and return the slots; their intents become live.

        `least` is the lowest nonce that may be given. Nonces that were released are given first, so that no gap
        remains; otherwise they follow the highest that is taken. Raises JournalError if an
        intent is closed, has an open slot already, or its effect is under way in another one.
        """
        if not wanted:
            return ()
        sender = one_sender(wanted)
        with self._database.writing() as connection:
            lock_ledger(connection)
            require_free(connection, wanted)
            nonces = next_nonces(connection, sender, least, len(wanted))
            ids = insert_slots(connection, wanted, nonces, at)
            reserved = Change("reserved", f"{len(wanted)} together, from nonce {least} on")
            advance(connection, [(slot_id, None, reserved) for slot_id in ids], at)
            found = slots_by_id(connection, ids)
            return tuple(found[slot_id] for slot_id in ids)

    def adopted(self, sender: str, found: Sequence[Adopted], at: Moment) -> None:
        """Reserve these nonces of a sender for slots that this ledger has forgotten, or never had, to be seen through.

        No plan is given such a nonce. Raises JournalError where one of them has a slot that is not released.
        """
        if not found:
            return
        with self._database.writing() as connection:
            lock_ledger(connection)
            ids = insert_adopted(connection, sender, found, at)
            change = Change("reserved", "its slot is forgotten, or never was: accepted by reconcile or enrol")
            advance(connection, [(slot_id, None, change) for slot_id in ids], at)

    def stored(self, signed: Sequence[NewSlotAttempt], at: Moment, *, exposure_cap: int) -> tuple[SlotAttempt, ...]:
        """Store signed bytes; once this returns they survive a crash and may be offered.

        `exposure_cap` (wei): most that all open slots of all senders may cost at worst, these included; equality is
        allowed, and so is what adds nothing. Raises JournalError for what leads beyond it, for a closed or mined slot,
        and for a kind that does not fit the slot.
        """
        with self._database.writing() as connection:
            lock_ledger(connection)
            found = slots_by_id(connection, (new.slot_id for new in signed))
            for slot in found.values():
                _require_state(slot, STORABLE, "no more bytes can be of use")
            before = exposure_of(connection).total
            stored = _store(connection, found, signed, at, imported=False)
            _require_below(connection, max(exposure_cap, before))
            return stored

    def imported(self, signed: Sequence[NewSlotAttempt], at: Moment) -> tuple[SlotAttempt, ...]:
        """Store bytes that the signer has and the ledger lacks: they may have been offered, so they count as live.

        What is known already is left as it is. No cap holds here, for the exposure exists. A closed slot keeps its
        state. Raises JournalError for a released slot: its release was proven, so the two stores contradict.
        """
        with self._database.writing() as connection:
            lock_ledger(connection)
            found = slots_by_id(connection, (new.slot_id for new in signed))
            for slot in found.values():
                if slot.state == "released":
                    raise JournalError(
                        f"nonce {slot.nonce} of {slot.sender}: expected nothing signed, for its slot {slot.id} was "
                        "released, found bytes at the signer; stop and run the reconcile command"
                    )
            hashes = {new.tx_hash: new.slot_id for new in signed}
            known = read_attempts_of(connection, slot_attempts.c.tx_hash.in_(list(hashes)))
            for attempt in known:
                if attempt.slot_id != hashes[attempt.tx_hash]:
                    raise JournalError(
                        f"{attempt.tx_hash}: expected an attempt of slot {hashes[attempt.tx_hash]}, found it stored "
                        f"for slot {attempt.slot_id}; stop and run the reconcile command"
                    )
            lacking = {new.tx_hash: new for new in signed if new.tx_hash not in {a.tx_hash for a in known}}
            return _store(connection, found, tuple(lacking.values()), at, imported=True)

    def offering(self, pairs: Sequence[NewOffer], at: Moment) -> tuple[Offer, ...]:
        """Note that each attempt is about to be handed to its endpoint: call it before the socket is written to.

        The rows are durable when this returns. Raises JournalError for an attempt that is not stored, and for one whose
        slot is mined or closed.
        """
        if not pairs:
            return ()
        with self._database.writing() as connection:
            lock_ledger(connection)
            wanted = {pair.attempt_id for pair in pairs}
            found = {a.id: a for a in read_attempts_of(connection, slot_attempts.c.id.in_(wanted))}
            if missing := wanted - found.keys():
                raise JournalError(f"attempts {sorted(missing)}: expected stored bytes, found none; store them first")
            held = slots_by_id(connection, (attempt.slot_id for attempt in found.values()))
            for slot in held.values():
                _require_state(slot, OFFERABLE, "nothing is to be sent for it")
            first = {found[p.attempt_id].slot_id: found[p.attempt_id].tx_hash for p in reversed(pairs)}
            changes = [
                (slot_id, held[slot_id].standing, Change("offered", f"to {len(pairs)} in all", tx_hash))
                for slot_id, tx_hash in first.items()
                if held[slot_id].state != "offered"
            ]
            advance(connection, changes, at)
            return _insert_offers(connection, pairs, at)

    def answered(self, answers: Sequence[Answer], wall_ms: int) -> None:
        """Write what the endpoints said, once each. Raises JournalError for an offer unknown or answered already."""
        with self._database.writing() as connection:
            lock_ledger(connection)
            listed = [answer.offer_id for answer in answers]
            unanswered = select(offers.c.id).where(offers.c.id.in_(listed), offers.c.answer_class.is_(None))
            waiting = set(connection.execute(unanswered).scalars())
            if len(waiting) != len(listed):
                wrong = [i for i in listed if i not in waiting or listed.count(i) > 1]
                raise JournalError(f"offers {wrong}: expected each waiting for its one answer, found another or none")
            if answers:
                cells: dict[str, object] = {name: bindparam(f"b_{name}") for name in ("answer_class", "answer_text")}
                statement = update(offers).where(offers.c.id == bindparam("b_id")).values(**cells, answered_ms=wall_ms)
                connection.execute(statement, [_said(answer) for answer in answers])


# --- storing -----------------------------------------------------------------------------------------


def _require_state(slot: Slot, allowed: Iterable[str], why: str) -> None:
    if slot.state not in allowed:
        raise JournalError(
            f"slot {slot.id}, nonce {slot.nonce} of {slot.sender}: expected {' or '.join(sorted(allowed))}, found "
            f"{slot.state}; {why}"
        )


def _store(
    connection: Connection, found: dict[int, Slot], signed: Sequence[NewSlotAttempt], at: Moment, *, imported: bool
) -> tuple[SlotAttempt, ...]:
    if not signed:
        return ()
    siblings: dict[int, list[AttemptKind]] = {slot_id: [] for slot_id in found}
    for attempt in read_attempts_of(connection, slot_attempts.c.slot_id.in_(list(found))):
        siblings[attempt.slot_id].append(attempt.kind)
    rows, newest = [], {}
    for new in signed:
        kinds = siblings[new.slot_id]
        if not imported:
            _require_kind(found[new.slot_id], new, kinds)
        rows.append({**_attempt_cells(new), "ordinal": len(kinds), "imported": imported})
        kinds.append(new.kind)
        newest[new.slot_id] = new
    statement = insert(slot_attempts).returning(slot_attempts.c.id, sort_by_parameter_order=True)
    ids = connection.execute(statement, rows).scalars().all()
    changes = []
    for slot_id, new in newest.items():
        standing = found[slot_id].standing
        state = "signed" if standing.state == "reserved" else standing.state
        cause = f"{new.kind} {'imported from the signer' if imported else 'stored'}"
        changes.append((slot_id, standing, Change(state, cause, new.tx_hash)))
    advance(connection, changes, at)
    by_id = {attempt.id: attempt for attempt in read_attempts_of(connection, slot_attempts.c.id.in_(ids))}
    return tuple(by_id[attempt_id] for attempt_id in ids)


def _require_kind(slot: Slot, new: NewSlotAttempt, earlier: Sequence[AttemptKind]) -> None:
    """Refuse what is no sibling: a first of its slot stored twice, a replacement of nothing, a cancelled filler."""
    first: AttemptKind = "filler" if slot.purpose == "filler" else "original"
    if new.kind == first:
        fits = not earlier
    elif new.kind == "replacement":
        fits = any(kind == first for kind in earlier)
    else:
        fits = new.kind == "cancel" and slot.purpose == "call"
    if not fits:
        raise JournalError(
            f"slot {slot.id}, a {slot.purpose}: expected {first} first, then replacements"
            f"{' or cancels' if slot.purpose == 'call' else ''}, found {new.kind} after {list(earlier) or 'nothing'}"
        )


def _attempt_cells(new: NewSlotAttempt) -> dict[str, object]:
    return {name: getattr(new, name) for name in ("slot_id", "kind", "tx_hash", "raw", "gas", "max_fee", "tip")}


def _require_below(connection: Connection, cap: int) -> None:
    exposure = exposure_of(connection)
    if exposure.total > cap:
        raise JournalError(
            f"journal: expected a worst case of at most {cap} wei over all open slots, found {exposure.total}; "
            "nothing was stored: wait until some are final, or raise the cap"
        )


# --- offering ----------------------------------------------------------------------------------------


def _insert_offers(connection: Connection, pairs: Sequence[NewOffer], at: Moment) -> tuple[Offer, ...]:
    rows = [
        {"attempt_id": p.attempt_id, "endpoint": p.endpoint, "block_number": at.block_number, "wall_ms": at.wall_ms}
        for p in pairs
    ]
    statement = insert(offers).returning(offers.c.id, sort_by_parameter_order=True)
    ids = connection.execute(statement, rows).scalars().all()
    written = {offer.id: offer for offer in read_offers(connection, offers.c.id.in_(ids))}
    return tuple(written[offer_id] for offer_id in ids)


def _said(answer: Answer) -> dict[str, object]:
    """Return the row: PostgreSQL's text holds no NUL, and a hostile answer may be of any length."""
    text = answer.text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:ANSWER_LENGTH]
    return {"b_id": answer.offer_id, "b_answer_class": answer.answer_class, "b_answer_text": text}
