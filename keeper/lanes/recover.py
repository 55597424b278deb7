"""Start-up is recovery: take the lease, ask the signer for everything it signed, import what the ledger lacks.

Only then are reserved nonces that were never signed given back. Nothing is sent here; what may be live is offered again
by the first block's rescue.
"""

import logging
from collections import Counter
from collections.abc import Sequence

from keeper.chain import Block
from keeper.errors import ChainError, SigningRefused
from keeper.journal.reconcile import SignerRecord, SignerView, Stop, reconcile, view_of
from keeper.journal.slot_records import Adopted, Release
from keeper.lanes.alarms import Alarms
from keeper.lanes.offering import moment
from keeper.lanes.ports import Facts, Ledger, Signer
from keeper.lanes.signing import SELF_TRANSFER_GAS
from keeper.lanes.watch import AUDIT_DEPTH
from keeper.signer.records import NONE_FINAL, Grant, LedgerState, SignedBytes
from keeper.submit.agreement import Agreed, Reading
from keeper.submit.raw import call_in, fees_in

log = logging.getLogger(__name__)


def counted(facts: Facts, address: str, block: Block, alarms: Alarms) -> Reading[int]:
    """Return how many nonces of a key are used up at `block`; who is not heard on that is told."""
    count = facts.nonce_without_dissent(address, block)
    if isinstance(count, Agreed) and count.aside:
        liars = ", ".join(count.aside)
        alarms.tell(f"{liars}: another nonce count of {address} than {count.answer}, set aside; replace it")
    return count


def is_overtaken(grant: Grant, count: Reading[int]) -> bool:
    """Say whether the chain has used nonces that the signer never signed: then somebody else has the key.

    What is not known says nothing: should a stranger have the next nonce, ours for it is lost (watch.py).
    """
    return isinstance(count, Agreed) and count.answer > grant.watermark + 1


def recover(ledger: Ledger, signer: Signer, count: Reading[int], block: Block) -> Grant:
    """Make ledger and signer agree. Raises SigningRefused with the command to run when they cannot both be right,
    or when `count`, the key's used nonces at `block`, shows somebody else's; ChainError where that is not known."""
    if not isinstance(count, Agreed):
        raise ChainError(f"nonce count of {signer.address}: {count}; asked again at the next block")
    final = _final(ledger, signer.address, count.answer, block)
    grant = signer.hello(_state(ledger, signer.address, final, count.answer))
    _adopt(ledger, signer, count.answer, grant, block)
    _import(ledger, signer, count.answer, grant, block)
    _release(ledger, signer.address, grant.watermark, block)
    return grant


def _state(ledger: Ledger, sender: str, final: int, count: int) -> LedgerState:
    """Return what the signer compares with its own store.

    A request is open while bytes may exist that are not stored: not where the slot was released, for then the signer's
    watermark proved that there are none, and a request of an older lease is refused.
    """
    slots = ledger.slots_from(sender, final + 1)
    attempts = ledger.siblings_of([slot.id for slot in slots])
    nonce_of = {slot.id: slot.nonce for slot in slots}
    stored = Counter(attempt.slot_id for attempt in attempts)
    highest = ledger.highest_nonce(sender)
    return LedgerState(
        ledger_id=ledger.ledger_id,
        chain_nonce=count,
        next_nonce=count if highest is None else highest + 1,
        final=final,
        open_requests=frozenset(slot.request(stored[slot.id]) for slot in slots),
        attempts=frozenset((nonce_of[a.slot_id], a.tx_hash) for a in attempts),
    )


def _final(ledger: Ledger, sender: str, count: int, block: Block) -> int:
    """Return the highest nonce up to which every slot is closed and beyond audit, NONE_FINAL if there is none."""
    given = ledger.nonces_given(sender)
    if given is None:
        return NONE_FINAL
    held = (*ledger.open_slots(sender), *ledger.closed_since(sender, block.number - AUDIT_DEPTH))
    return min(min((slot.nonce for slot in held), default=given[1] + 1), count) - 1


def _adopt(ledger: Ledger, signer: Signer, count: int, grant: Grant, block: Block) -> None:
    """Give slots to the nonces up to what an operator forgave that have none, as after an old backup of the ledger.

    Bytes signed for them may land, so they are imported and cancelled, and what they do counts as under way; where
    nothing was signed a filler is wanted. No plan may get such a nonce: the signer takes self-transfers only.
    """
    if grant.forgiven_to < count:
        return
    kept = {slot.nonce for slot in ledger.slots_from(signer.address, count)}
    holes = [nonce for nonce in range(count, grant.forgiven_to + 1) if nonce not in kept]
    if not holes:
        return
    signed: dict[int, list[SignedBytes]] = {nonce: [] for nonce in holes}
    for one in signer.signed(holes[0]):
        if one.nonce in signed:
            signed[one.nonce].append(one)
    log.warning("nonces %d to %d: no slots, up to what was forgiven; cancelled or filled", holes[0], holes[-1])
    found = [_adopted(signer.address, nonce, rows) for nonce, rows in signed.items()]
    ledger.adopted(signer.address, found, moment(block))


def _adopted(sender: str, nonce: int, rows: Sequence[SignedBytes]) -> Adopted:
    """Return the slot that these bytes were signed for, as far as they tell.

    Keepers before effect keys sent row ids of their own ledger, which mean nothing to another one.
    """
    if not rows:
        return Adopted(nonce, "filler", sender, b"", SELF_TRANSFER_GAS, None, ())
    first = next((one for one in rows if one.kind == "call"), rows[0])
    gas, _, _ = fees_in(first.raw)
    to, data = call_in(first.raw)
    effects = tuple(key for key in first.effects if not key.isdigit())
    if first.kind == "call" and not effects:
        log.error("nonce %d: its call's effects are not known, it was signed for an older keeper; look at it", nonce)
    return Adopted(nonce, "filler" if first.kind == "filler" else "call", to, data, gas, first.intent, effects)


def _import(ledger: Ledger, signer: Signer, count: int, grant: Grant, block: Block) -> None:
    first, _ = ledger.nonces_given(signer.address) or (count, count)
    lowest = min((s.nonce for s in ledger.open_slots(signer.address)), default=max(grant.final + 1, first))
    highest = ledger.highest_nonce(signer.address)
    slots = ledger.slots_from(signer.address, lowest if highest is None else min(lowest, highest))
    attempts = ledger.siblings_of([slot.id for slot in slots])
    known = signer.signed(lowest)
    view = SignerView(
        ledger_id=ledger.ledger_id,
        first_nonce=first,
        watermark=grant.watermark,
        signed_from=lowest,
        signed=tuple(_record(one) for one in known),
        forgiven_to=grant.forgiven_to,
    )
    answer = reconcile(view_of(ledger.ledger_id, signer.address, slots, attempts), view, count)
    if isinstance(answer, Stop):
        raise SigningRefused(answer.reason)
    if answer.attempts:
        log.warning("%d signed transactions were not in the ledger: imported as possibly live", len(answer.attempts))
        ledger.imported(answer.attempts, moment(block))


def _record(signed: SignedBytes) -> SignerRecord:
    gas, max_fee, tip = fees_in(signed.raw)
    return SignerRecord(signed.request_id, signed.nonce, signed.kind, signed.tx_hash, signed.raw, gas, max_fee, tip)


def _release(ledger: Ledger, sender: str, watermark: int, block: Block) -> None:
    """Give back nonces that were reserved when the keeper stopped and never signed; their intents may be sent anew."""
    unsigned = [s for s in ledger.open_slots(sender) if s.state == "reserved" and s.nonce > watermark]
    if unsigned:
        ledger.released([Release(s.id, "the keeper stopped", {}) for s in unsigned], watermark, moment(block))
