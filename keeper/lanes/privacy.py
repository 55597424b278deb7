"""Which waiting nonces are for relays only, and how long: private first, public after a deadline in blocks.

A nonce can be mined only after those below it, so one that is public makes everything below it public with it: privacy
never holds up what is not private. All of it follows from the ledger and a block number, before and after a restart.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.journal.lifecycle import OFFERABLE
from keeper.journal.slot_records import Slot, SlotAttempt
from keeper.lanes.ports import Ledger
from keeper.submit.endpoints import Offered


class Relay(Protocol):
    """Where bytes go that are not to be seen yet."""

    def usable(self) -> tuple[str, ...]: ...
    def offer(self, signed: Sequence[bytes], target: int, last: int, to: Collection[str]) -> tuple[Offered, ...]: ...
    def withdraw(self, signed: Sequence[bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class Private:
    """Plans of these kinds go to `relay` alone for `blocks` blocks, >= 1, then to every endpoint as well."""

    relay: Relay
    kinds: frozenset[str]
    blocks: int

    def covers(self, kinds: Sequence[str]) -> bool:
        """Say whether a transaction that carries out plans of these kinds is private: all of them must be."""
        return bool(kinds) and self.kinds.issuperset(kinds)


@dataclass(frozen=True, slots=True)
class Berth:
    """A waiting slot with its newest bytes, public at block `public_from` and later: at 0 and later if nothing is
    private about it, for a reorg may lead to blocks before the one it was opened at."""

    slot: Slot
    newest: SlotAttempt
    is_private: bool  # by its plans, whatever is above it
    public_from: int


def moored(ledger: Ledger, sender: str, private: Private) -> tuple[Berth, ...]:
    """Return the waiting slots of a sender that have bytes, lowest nonce first."""
    kinds = {intent.id: intent.plan.kind for intent in ledger.live_intents()}
    siblings: dict[int, list[SlotAttempt]] = {}
    for attempt in ledger.live_attempts(sender):
        siblings.setdefault(attempt.slot_id, []).append(attempt)
    waiting = [slot for slot in ledger.open_slots(sender) if slot.state in OFFERABLE]
    waiting.sort(key=lambda slot: slot.nonce)
    return berths([(slot, siblings[slot.id]) for slot in waiting], kinds, private)


def berths(
    waiting: Sequence[tuple[Slot, Sequence[SlotAttempt]]], kinds: Mapping[int, str], private: Private
) -> tuple[Berth, ...]:
    """Return a berth for each slot, lowest nonce first; `kinds` of plans by live intent, siblings oldest first."""
    found: list[Berth] = []
    above: int | None = None
    for slot, siblings in reversed(waiting):
        secret = _is_private(slot, siblings, kinds, private)
        own = slot.opened_block + private.blocks if secret else 0
        above = own if above is None else min(own, above)
        found.append(Berth(slot, siblings[-1], secret, above))
    return tuple(reversed(found))


def _is_private(slot: Slot, siblings: Sequence[SlotAttempt], kinds: Mapping[int, str], private: Private) -> bool:
    """A cancel is public, for it must land; so is what was mined once and left the chain, for all have seen it."""
    known = all(intent in kinds for intent in slot.intents)
    wanted = slot.purpose == "call" and slot.state != "orphaned" and all(s.kind != "cancel" for s in siblings)
    return wanted and known and private.covers([kinds[intent] for intent in slot.intents])


def parcel_at(lane: Sequence[Berth], block: int) -> tuple[SlotAttempt, ...]:
    """Return what relays get at `block`: everything that waits up to the highest private nonce, none if none is."""
    private = [row for row, berth in enumerate(lane) if berth.public_from > block]
    return tuple(berth.newest for berth in lane[: private[-1] + 1]) if private else ()


def shown_at(attempts: Sequence[SlotAttempt], lane: Sequence[Berth], block: int) -> tuple[SlotAttempt, ...]:
    """Return what every endpoint gets at `block`: the attempts that are not private, lowest nonce first where nonces
    are known, and with them those that were private until something above them became public."""
    if not lane:
        return tuple(attempts)
    asked = {attempt.slot_id: attempt for attempt in attempts}
    public = [b for b in lane if b.public_from <= block and (b.slot.id in asked or b.is_private)]
    return tuple(asked.get(berth.slot.id, berth.newest) for berth in public)


def uncovered_at(lane: Sequence[Berth], block: int) -> tuple[SlotAttempt, ...]:
    """Return what stopped being private at `block` or the one before: relays may forget it."""
    return tuple(b.newest for b in lane if b.is_private and b.public_from <= block <= b.public_from + 1)
