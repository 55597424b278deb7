"""Ask the signer for bytes and store them; request ids are the slot's, so after a crash the same bytes come again."""

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.chain import Block
from keeper.journal.slot_records import CALLS, AttemptKind, NewSlotAttempt, Slot, SlotAttempt
from keeper.lanes.offering import moment
from keeper.lanes.ports import Ledger, Signer
from keeper.sending.fees import Offer
from keeper.signer.records import Kind, Refusal, SignedBytes, SignRequest
from keeper.stages import Stages

SELF_TRANSFER_GAS = 21_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """One more sibling of a slot."""

    slot: Slot
    ordinal: int
    kind: AttemptKind
    fees: Offer

    @property
    def gas(self) -> int:
        return self.slot.gas if self.kind in CALLS else SELF_TRANSFER_GAS


def request(wanted: Wanted, chain_id: int) -> SignRequest:
    """Return what to ask the signer. A cancel moves nothing from the sender to himself."""
    slot, carries = wanted.slot, wanted.kind in CALLS
    kind: Kind = "cancel" if wanted.kind == "cancel" else ("call" if slot.purpose == "call" else "filler")
    return SignRequest(
        request_id=slot.request(wanted.ordinal),
        nonce=slot.nonce,
        kind=kind,
        intent=slot.request_id,
        effects=slot.effects,
        chain_id=chain_id,
        to=slot.to if carries else slot.sender,
        data=slot.data if carries else b"",
        gas=wanted.gas,
        max_fee=wanted.fees.max_fee,
        tip=wanted.fees.tip,
    )


def attempt(wanted: Wanted, signed: SignedBytes) -> NewSlotAttempt:
    return NewSlotAttempt(
        wanted.slot.id, wanted.kind, signed.tx_hash, signed.raw, wanted.gas, wanted.fees.max_fee, wanted.fees.tip
    )


def signed_and_stored(
    wanted: Sequence[Wanted],
    signer: Signer,
    ledger: Ledger,
    chain_id: int,
    exposure_cap: int,
    block: Block,
    stage: Stages,
) -> tuple[tuple[SlotAttempt, ...], dict[int, Refusal]]:
    """Return what was signed and is stored now, and the refusals by slot id.

    What the exposure cap (wei) has no room for is not even signed: bytes that exist may land, stored or not.
    A refused nonce leaves a gap, so everything after it is refused too: the caller gives those nonces back.
    """
    asked, refused = _beyond_cap(wanted, ledger, exposure_cap)
    with stage("sign"):
        answers = signer.sign([request(one, chain_id) for one in asked]) if asked else ()
    pairs = list(zip(asked, answers, strict=True))
    given = [attempt(one, said) for one, said in pairs if isinstance(said, SignedBytes)]
    refused |= {one.slot.id: said for one, said in pairs if isinstance(said, Refusal)}
    with stage("store"):
        return ledger.stored(given, moment(block), exposure_cap=exposure_cap) if given else (), refused


def _beyond_cap(
    wanted: Sequence[Wanted], ledger: Ledger, exposure_cap: int
) -> tuple[tuple[Wanted, ...], dict[int, Refusal]]:
    """Return what fits the cap, in order, and the rest refused. A sibling adds what it is dearer than its others;
    what adds nothing fits whatever is open, as a cancel after the cap was lowered.
    """
    fitting: list[Wanted] = []
    refused: dict[int, Refusal] = {}
    held = ledger.exposure().total if wanted else 0
    for one in wanted:
        siblings = ledger.siblings(one.slot.id) if one.ordinal else ()
        dearest = max((sibling.gas * sibling.max_fee for sibling in siblings), default=0)
        added = max(one.gas * one.fees.max_fee - dearest, 0)
        if added and held + added > exposure_cap:
            reason = f"expected open nonces to cost at most {exposure_cap} wei, found {held + added}; wait or raise it"
            refused[one.slot.id] = Refusal("exposure", reason)
        else:
            held += added
            fitting.append(one)
    return tuple(fitting), refused
