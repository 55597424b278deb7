"""Protections switched off one at a time, each with the invariant that must be seen to break without it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest import mock

from keeper.journal import fates, slot_rows, slots, ticks
from keeper.journal.lifecycle import Standing
from keeper.journal.slot_records import Closing, Outcome, Release, Slot
from keeper.lanes import books, offering, recover, signing, watch
from keeper.lanes.nonces import Nonces
from keeper.lanes.signing import Wanted
from keeper.signer import service
from keeper.signer.records import SignRequest
from keeper.submit.agreement import Agreed, Reading, agree
from tests.model import world
from tests.signer_desk import touch


def _patched(*patches: "mock._patch[Any]") -> ExitStack:
    stack = ExitStack()
    for patch in patches:
        stack.enter_context(patch)
    return stack


def _nothing(*_given: object, **_named: object) -> None:
    return None


# --- I1: nobody refuses a second live intent of an effect: neither the database nor a look at open slots ----


def _one_effect_twice() -> ExitStack:
    template = world.template_without("one_live_intent_per_effect")
    unasked = mock.patch.object(ticks, "_in_open_slots", lambda _: {})
    return _patched(mock.patch.object(world, "template", lambda: template), unasked)


# --- I2: a replacement carries another call, and the signer does not compare them -------------------------


def _another_call() -> ExitStack:
    real = signing.request

    def other(wanted: Wanted, chain_id: int) -> SignRequest:
        asked = real(wanted, chain_id)
        return replace(asked, data=touch(1 << 9)) if wanted.kind == "replacement" else asked

    unasked = mock.patch.object(service, "nonce_refusal", _nothing)
    return _patched(mock.patch.object(signing, "request", other), unasked)


# --- I3: bytes leave before the offer is noted ------------------------------------------------------------


def _sent_before_noted() -> ExitStack:
    real = offering.Desk.offer

    def hasty(desk: offering.Desk, attempts: Sequence[Any], block: Any, *withheld: Any) -> None:
        desk._outlets.offer([attempt.raw for attempt in attempts])
        real(desk, attempts, block, *withheld)

    return _patched(mock.patch.object(offering.Desk, "offer", hasty))


# --- I4: recovery does not ask the signer, and the ledger does not ask for its watermark --------------------


def _released_unasked() -> ExitStack:
    def released(ledger: Any, sender: str, _watermark: int, block: Any) -> None:
        reserved = [slot for slot in ledger.open_slots(sender) if slot.state == "reserved"]
        if reserved:
            ledger.released([Release(s.id, "the keeper stopped", {}) for s in reserved], -1, offering.moment(block))

    return _patched(
        mock.patch.object(recover, "_import", _nothing),
        mock.patch.object(recover, "_release", released),
        mock.patch.object(fates, "_require_unsigned", _nothing),
        mock.patch.object(Nonces, "next", lambda _: 0),  # they are given again without asking too
    )


def _lost_unseen() -> ExitStack:
    """A nonce counts as used by a stranger although nobody looked for the siblings' receipts."""

    class Unseen(watch.Found):
        receipts = ()
        is_absent = True

    return _patched(mock.patch.object(watch, "Found", Unseen))


# --- I5: nobody adds up what open nonces may cost -----------------------------------------------------------


def _uncapped() -> ExitStack:
    return _patched(
        mock.patch.object(slots, "_require_below", _nothing),
        mock.patch.object(books, "permit", _nothing),
        mock.patch.object(signing, "_beyond_cap", lambda wanted, *_: (tuple(wanted), {})),
    )


# --- I6: the label follows what was meant, or what one endpoint says ----------------------------------------


def _labelled_as_meant() -> ExitStack:
    def hopeful(_watch: object, one: watch.Found, _receipt: object, _carried: object) -> dict[int, Outcome]:
        return {intent: Outcome("achieved", "so it was meant") for intent in one.slot.intents}

    def unasked(_slot: Slot, item: Closing, **_: object) -> list[tuple[int, Outcome]]:
        return sorted(item.outcomes.items())

    return _patched(
        mock.patch.object(watch.Watch, "_outcomes", hopeful), mock.patch.object(fates, "_outcomes", unasked)
    )


def _one_endpoint_believed() -> ExitStack:
    def rarest(answers: dict[str, Any], needed: int, faults: dict[str, str]) -> Reading[Any]:
        seen = [answer for answer in answers.values() if answer is not None]
        return Agreed(min(seen, key=seen.count), ("one",)) if seen else agree(answers, needed, faults)

    return _patched(mock.patch("keeper.submit.facts.agree_or_lag", rarest))


# --- I7: a table written beside its events -------------------------------------------------------------------


def _rows_beside_steps() -> ExitStack:
    def careless(slot_id: int, standing: Standing) -> dict[str, object]:
        cells = dict(real(slot_id, standing))
        return {**cells, "b_mined_hash": "0xold"} if standing.state == "mined" else cells

    real = slot_rows._standing_cells
    return _patched(mock.patch.object(slot_rows, "_standing_cells", careless))


# --- the end: nobody asks again what became of a closed slot --------------------------------------------------


def _lost_for_ever() -> ExitStack:
    """What was lost to a stranger stays lost, whatever a deep reorg makes of the stranger."""
    return _patched(mock.patch.object(watch.Watch, "_not_lost", lambda *_: []))


FAULTS: dict[str, tuple[tuple[str, ...], Callable[[], ExitStack]]] = {
    "two live intents of one effect": (("I1",), _one_effect_twice),
    "a replacement with another call": (("I2",), _another_call),
    "sent before the offer is noted": (("I3",), _sent_before_noted),
    "released without asking the signer": (("I4",), _released_unasked),
    "lost without looking for siblings": (("I4",), _lost_unseen),
    "exposure not added up": (("I5",), _uncapped),
    "labelled as it was meant": (("I6",), _labelled_as_meant),
    "one endpoint believed": (("I6",), _one_endpoint_believed),
    "rows written beside their steps": (("I7",), _rows_beside_steps),
    "lost and never looked at again": (("end", "I1"), _lost_for_ever),
}
"""What is broken → the invariants of which one must fall, and how to break it."""
