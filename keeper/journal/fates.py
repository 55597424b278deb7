"""The transaction ledger after the socket: what the chain made of a slot, and how its intents end.

The label follows the hash that was mined: a call that mined ends its intents by their own effects, a cancel cancels
them. Bytes are dead only by proof: a sibling or a stranger used the nonce at finality, or the signer never signed.
Closed slots stay open to audit, so a reorg deeper than finality leads back. Refusals are JournalErrors.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from keeper.errors import JournalError
from keeper.journal.database import Database
from keeper.journal.lifecycle import CLOSED, Change, Standing
from keeper.journal.schema import INTENT_IS_LIVE, intents
from keeper.journal.slot_records import CALLS, Closing, Loss, Mined, Moment, Outcome, Release, Slot, SlotAttempt
from keeper.journal.slot_rows import advance, end_intents, intent_rows, lock_ledger, read_attempts_of, slots_by_id
from keeper.journal.slot_schema import slot_attempts


class Fates:
    """Slots from the first block that holds them to the end."""

    _database: Database

    def mined(self, found: Sequence[Mined], at: Moment) -> None:
        """Note the blocks that hold siblings; the same hash in the same block again changes nothing.

        Another block, or another sibling, replaces what was noted: a reorg of the same height. Raises JournalError for
        a hash that is none of the slot's siblings, and for a closed slot: orphan that first.
        """
        with self._database.writing() as connection:
            lock_ledger(connection)
            held = slots_by_id(connection, _once(item.slot_id for item in found))
            kinds = _siblings(connection, held)
            changes = []
            for item in found:
                slot, block = held[item.slot_id], (item.block_number, item.block_hash)
                if item.tx_hash not in kinds[slot.id]:
                    raise JournalError(
                        f"{_named(slot)}: expected one of its attempts mined, found {item.tx_hash}; another hash is a "
                        "loss, once it is final"
                    )
                standing = slot.standing
                charged = item.gas_used, item.gas_price
                if standing != Standing("mined", item.tx_hash, *block, *charged):
                    cause = f"{kinds[slot.id][item.tx_hash].kind} mined"
                    changes.append((slot.id, standing, Change("mined", cause, item.tx_hash, *block, *charged)))
            advance(connection, changes, at)

    def orphaned(self, slot_ids: Sequence[int], cause: str, at: Moment) -> tuple[int, ...]:
        """Note that the blocks of these slots left the chain; their bytes may be offered again.

        A slot that was closed opens again, and with it its intents. Return those intents that must stay closed since
        another one carries their effect by now: their slots are to be cancelled.
        """
        with self._database.writing() as connection:
            lock_ledger(connection)
            held = slots_by_id(connection, _once(slot_ids))
            changes = [(i, held[i].standing, Change("orphaned", cause, held[i].standing.winner_hash)) for i in slot_ids]
            steps = advance(connection, changes, at)
            rivalled: list[int] = []
            for slot_id, step in zip(slot_ids, steps, strict=True):
                if held[slot_id].state in CLOSED:
                    rivalled += _reopen(connection, held[slot_id], step)
            return tuple(rivalled)

    def final(self, closing: Sequence[Closing], at: Moment) -> None:
        """Close slots whose mined sibling is deep enough, and their intents with them.

        Raises JournalError unless `winner` is the hash noted as mined and the outcomes fit it (see Closing).
        """
        with self._database.writing() as connection:
            lock_ledger(connection)
            held = slots_by_id(connection, _once(item.slot_id for item in closing))
            kinds = _siblings(connection, held)
            changes, endings = [], []
            for item in closing:
                slot = held[item.slot_id]
                if (slot.state, slot.standing.winner_hash) != ("mined", item.winner):
                    raise JournalError(
                        f"{_named(slot)}: expected {item.winner} noted as mined, found {slot.state} "
                        f"{slot.standing.winner_hash}; note the block first"
                    )
                kind = kinds[slot.id][item.winner].kind
                endings.append(_outcomes(slot, item, carried=kind in CALLS))
                changes.append((slot.id, slot.standing, Change("final", f"{kind} is final", item.winner)))
            steps = advance(connection, changes, at)
            ended = [(step, *pair) for step, pairs in zip(steps, endings, strict=True) for pair in pairs]
            end_intents(connection, ended, block_number=at.block_number)

    def lost(self, losses: Sequence[Loss], at: Moment) -> None:
        """Close slots whose nonce another hash used, and their intents as lost.

        Raises JournalError unless the sender's count at a final block is above the nonce, and for a winner that is one
        of the slot's own attempts.
        """
        with self._database.writing() as connection:
            lock_ledger(connection)
            held = slots_by_id(connection, _once(item.slot_id for item in losses))
            kinds = _siblings(connection, held)
            for item in losses:
                _require_loss(held[item.slot_id], item, kinds[item.slot_id])
            changes = [
                (item.slot_id, held[item.slot_id].standing, Change("lost", item.cause, item.winner)) for item in losses
            ]
            steps = advance(connection, changes, at)
            for item, step in zip(losses, steps, strict=True):
                ended = [(step, i, Outcome("lost", item.cause)) for i in held[item.slot_id].intents]
                end_intents(connection, ended, block_number=at.block_number)

    def released(self, releases: Sequence[Release], watermark: int, at: Moment) -> None:
        """Give nonces back that were never signed; `watermark` is the highest the signer has signed, -1 for none.

        Intents that are not closed with it are free for another slot. Raises JournalError unless the slot is reserved,
        without attempts, and above the watermark.
        """
        with self._database.writing() as connection:
            lock_ledger(connection)
            held = slots_by_id(connection, _once(item.slot_id for item in releases))
            for item in releases:
                _require_unsigned(held[item.slot_id], item, watermark)
            cause = f"; never signed: the signer's watermark is {watermark}"
            changes = [(i.slot_id, held[i.slot_id].standing, Change("released", i.cause + cause)) for i in releases]
            steps = advance(connection, changes, at)
            for item, step in zip(releases, steps, strict=True):
                end_intents(connection, [(step, *pair) for pair in item.closes.items()], block_number=at.block_number)
                kept = [i for i in _live(connection, held[item.slot_id]) if i not in item.closes]
                end_intents(connection, [(step, i, Outcome("live", item.cause)) for i in kept], block_number=None)


def _once(slot_ids: Iterable[int]) -> list[int]:
    """Return the ids. Raises ValueError if one comes twice: its second step would be judged by the first's standing."""
    listed = list(slot_ids)
    if len(set(listed)) != len(listed):
        raise ValueError(f"expected every slot once, found {sorted(listed)}")
    return listed


def _named(slot: Slot) -> str:
    return f"slot {slot.id}, nonce {slot.nonce} of {slot.sender}"


def _siblings(connection: Connection, held: dict[int, Slot]) -> dict[int, dict[str, SlotAttempt]]:
    found: dict[int, dict[str, SlotAttempt]] = {slot_id: {} for slot_id in held}
    for attempt in read_attempts_of(connection, slot_attempts.c.slot_id.in_(list(held))):
        found[attempt.slot_id][attempt.tx_hash] = attempt
    return found


def _live(connection: Connection, slot: Slot) -> list[int]:
    rows = intent_rows(connection, slot.intents)
    return [intent for intent in slot.intents if rows[intent][0] in ("intended", "live")]


def _outcomes(slot: Slot, item: Closing, *, carried: bool) -> list[tuple[int, Outcome]]:
    """Return how each intent ends; `carried`: the winner carries the slot's call.

    One that stayed closed when the slot opened again is told anew: its old label was that of another hash.
    """
    expected = set(slot.intents) if carried else set()
    said = {outcome.status for outcome in item.outcomes.values()}
    if set(item.outcomes) != expected or not said <= {"achieved", "failed"}:
        raise JournalError(
            f"{_named(slot)}: expected achieved or failed for each of the intents {sorted(expected)}, found "
            f"{ {intent: outcome.status for intent, outcome in item.outcomes.items()} }; the mined hash decides"
        )
    if carried:
        return sorted(item.outcomes.items())
    return [(intent, Outcome("cancelled", f"its cancel {item.winner} was mined")) for intent in slot.intents]


def _require_loss(slot: Slot, item: Loss, siblings: dict[str, SlotAttempt]) -> None:
    if item.final_count <= slot.nonce:
        raise JournalError(
            f"{_named(slot)}: expected a final count above its nonce, found {item.final_count}; its bytes may land"
        )
    if item.winner in siblings:
        raise JournalError(f"{_named(slot)}: expected a stranger's hash, found its own {item.winner}; note it as mined")


def _require_unsigned(slot: Slot, item: Release, watermark: int) -> None:
    if slot.state != "reserved" or slot.nonce <= watermark:
        raise JournalError(
            f"{_named(slot)}: expected it reserved and above the signer's watermark, found {slot.state} and watermark "
            f"{watermark}; signed bytes may be live, so fill or cancel the nonce instead"
        )
    said = {outcome.status for outcome in item.closes.values()}
    if not set(item.closes) <= set(slot.intents) or not said <= {"refused", "expired", "shadow"}:
        raise JournalError(
            f"{_named(slot)}: expected intents of its {slot.intents} refused, expired or shadow, found {item.closes}"
        )


def _reopen(connection: Connection, slot: Slot, step: int) -> list[int]:
    """Make the slot's closed intents live again; return those whose effect another live one carries by now."""
    opened, rivalled = [], []
    for intent, (status, effect) in sorted(intent_rows(connection, slot.intents).items()):
        query = select(intents.c.id).where(intents.c.effect == effect, INTENT_IS_LIVE)
        rival = connection.execute(query).scalar_one_or_none()
        if rival is None:
            opened.append((step, intent, Outcome("live", f"was {status}; its block left the chain")))
        elif rival != intent:
            rivalled.append(intent)
    end_intents(connection, opened, block_number=None)
    return rivalled
