"""Whether ledger and signer can have lived through the same history: what start-up asks before anything is sent.

The ledger allocates the nonce, the signer disposes. A slot is committed before its signature is asked for, and an
attempt before the next one of its slot is. So after a crash the signer may know, per slot, one string more than the
ledger: that is imported as possibly live. Anything else means that one of the two was restored from a backup, or that
somebody else used the key: nobody can tell what is live, so the keeper stops. Who runs the reconcile command accepts
that for the nonces of then: about those the two may differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from keeper.journal.lifecycle import CLOSED, SlotState
from keeper.journal.slot_records import AttemptKind, NewSlotAttempt, Purpose, Slot, SlotAttempt

_REMEDY = "nothing is sent; find out which of the two is older, then run `keeper signer reconcile`"


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot as far as it matters here. `hashes`: its siblings', in the order in which they were stored."""

    id: int
    nonce: int
    purpose: Purpose
    request_id: str
    state: SlotState
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What the ledger knows of one sender.

    `slots` has every one that is not released from nonce `SignerView.signed_from` on, or more; `highest` is the highest
    nonce with such a slot, -1 for none.
    """

    ledger_id: str
    sender: str
    highest: int
    slots: tuple[SlotView, ...]


@dataclass(frozen=True, slots=True)
class SignerRecord:
    """One byte string the signer has signed."""

    request_id: str
    nonce: int
    kind: Literal["call", "cancel", "filler"]
    tx_hash: str
    raw: bytes = field(repr=False)
    gas: int  # limit
    max_fee: int  # wei per gas
    tip: int  # wei per gas


@dataclass(frozen=True, slots=True)
class SignerView:
    """What the signer knows of one sender: all it signed from nonce `signed_from` on, oldest first."""

    ledger_id: str | None  # enrolled with it; None: no ledger is
    first_nonce: int  # the chain's count when the ledger was enrolled: what is below was never its own
    watermark: int  # highest nonce signed, first_nonce - 1 for none
    signed_from: int  # at most the nonce of the ledger's lowest open slot
    signed: tuple[SignerRecord, ...]
    forgiven_to: int = -1  # up to here an operator accepted that the two know different bytes, -1 for nowhere


@dataclass(frozen=True, slots=True)
class Import:
    """The two agree once these are stored, with Slots.imported; often there are none."""

    attempts: tuple[NewSlotAttempt, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """The two cannot both be right. `reason` says what was expected, what was found and what to do."""

    reason: str


def view_of(ledger_id: str, sender: str, slots: Sequence[Slot], attempts: Sequence[SlotAttempt]) -> LedgerView:
    """Return the view of a sender's `slots` and their `attempts`; the released ones do not count."""
    hashes: dict[int, list[str]] = {}
    for attempt in sorted(attempts, key=lambda a: a.ordinal):
        hashes.setdefault(attempt.slot_id, []).append(attempt.tx_hash)
    kept = [slot for slot in slots if slot.sender == sender and slot.state != "released"]
    return LedgerView(
        ledger_id,
        sender,
        max((slot.nonce for slot in kept), default=-1),
        tuple(SlotView(s.id, s.nonce, s.purpose, s.request_id, s.state, tuple(hashes.get(s.id, ()))) for s in kept),
    )


def reconcile(ledger: LedgerView, signer: SignerView, chain_count: int) -> Import | Stop:
    """Return what the ledger lacks, or why nothing may be sent.

    `chain_count` is the sender's nonce count on the chain; equal to watermark + 1 it is one that the signer explains.
    Raises ValueError if the signer was not asked from the lowest open slot on.
    """
    lowest = min((slot.nonce for slot in ledger.slots if slot.state not in CLOSED), default=signer.signed_from)
    if lowest < signer.signed_from:
        raise ValueError(f"expected all that was signed from nonce {lowest} on, found it from {signer.signed_from} on")
    found = _stranger(ledger, signer) or _signer_behind(ledger, signer, chain_count) or _ledger_behind(ledger, signer)
    if found:
        return Stop(f"{ledger.sender}: {found}; {_REMEDY}")
    return Import(_lacking(ledger, signer))


def _stranger(ledger: LedgerView, signer: SignerView) -> str | None:
    if signer.ledger_id == ledger.ledger_id:
        return None
    known = "no ledger at all" if signer.ledger_id is None else f"ledger {signer.ledger_id}"
    return f"expected a signer enrolled with ledger {ledger.ledger_id}, found {known}"


def _signer_behind(ledger: LedgerView, signer: SignerView, chain_count: int) -> str | None:
    """Look for a nonce or a string that only this key's signer can have made and that it does not know."""
    if chain_count > signer.watermark + 1:
        return (
            f"expected a nonce count of at most {signer.watermark + 1}, the signer's, found {chain_count} on the chain"
        )
    listed = {record.tx_hash for record in signer.signed}
    for slot in ledger.slots:
        unknown = [h for h in slot.hashes if h not in listed]
        if slot.hashes and slot.nonce > signer.watermark:
            return f"expected a watermark of at least {slot.nonce}, signed says the ledger, found {signer.watermark}"
        if unknown and slot.nonce >= signer.signed_from and slot.nonce > signer.forgiven_to:
            return f"expected {unknown[0]} of nonce {slot.nonce} known to the signer, found it in the ledger alone"
    return None


def _ledger_behind(ledger: LedgerView, signer: SignerView) -> str | None:
    """Look for what the signer was asked for and this ledger was not about to ask."""
    slots = {slot.nonce: slot for slot in ledger.slots}
    stored = {tx_hash: slot.nonce for slot in ledger.slots for tx_hash in slot.hashes}
    explained = max(signer.first_nonce - 1, signer.forgiven_to)
    if ledger.highest < signer.watermark and signer.watermark > explained:
        return (
            f"expected a slot for nonce {signer.watermark}, which the signer signed, found none beyond {ledger.highest}"
        )
    for record in signer.signed:
        if record.nonce <= signer.forgiven_to:
            continue
        slot = slots.get(record.nonce)
        if slot is None:
            return f"expected a slot for nonce {record.nonce}, which the signer signed, found none in the ledger"
        known_at = stored.get(record.tx_hash)
        due = f"{slot.request_id}-{len(slot.hashes)}"
        if known_at is None and record.request_id != due:
            return (
                f"expected request {due} at most beyond the ledger for nonce {record.nonce}, found {record.request_id}"
            )
        if known_at not in (None, record.nonce) or (record.kind == "filler") != (slot.purpose == "filler"):
            return f"expected {record.tx_hash} as the ledger has it, found a {record.kind} of nonce {record.nonce}"
    return None


def _lacking(ledger: LedgerView, signer: SignerView) -> tuple[NewSlotAttempt, ...]:
    slots = {slot.nonce: slot for slot in ledger.slots}
    return tuple(
        NewSlotAttempt(
            slots[record.nonce].id,
            _kind(record, slots[record.nonce]),
            record.tx_hash,
            record.raw,
            record.gas,
            record.max_fee,
            record.tip,
        )
        for record in signer.signed
        if _is_of(record, slots.get(record.nonce)) and record.tx_hash not in slots[record.nonce].hashes
    )


def _is_of(record: SignerRecord, slot: SlotView | None) -> bool:
    """Whether it was signed for this slot; at a forgiven nonce it may have been for a slot that nobody remembers."""
    return slot is not None and record.request_id.rpartition("-")[0] == slot.request_id


def _kind(record: SignerRecord, slot: SlotView) -> AttemptKind:
    if record.kind == "cancel":
        return "cancel"
    if slot.hashes:
        return "replacement"
    return "filler" if record.kind == "filler" else "original"
