"""One key's nonces: which is the next, what is signed for them, and which of them are given back."""

import logging
from collections.abc import Sequence

from keeper.chain import Block
from keeper.journal.slot_records import Release, Slot, SlotAttempt
from keeper.lanes.offering import moment
from keeper.lanes.ports import Ledger, Signer
from keeper.lanes.rules import LaneRules
from keeper.lanes.signing import Wanted, signed_and_stored
from keeper.signer.records import Refusal
from keeper.stages import Stages

log = logging.getLogger(__name__)


class Nonces:
    """The ledger allocates them, the signer disposes. Holds no state."""

    def __init__(self, ledger: Ledger, signer: Signer, rules: LaneRules) -> None:
        self._ledger = ledger
        self._signer = signer
        self._rules = rules

    @property
    def sender(self) -> str:
        return self._signer.address

    def next(self) -> int:
        """Return the lowest nonce that the signer signs as a new one. No endpoint's count is asked for: what enough of
        them say was compared with the signer at the beginning of the block, and a single one may lie."""
        return self._signer.renew().watermark + 1

    def signed(
        self, wanted: Sequence[Wanted], block: Block, stage: Stages
    ) -> tuple[tuple[SlotAttempt, ...], dict[int, Refusal]]:
        """Return what was signed and is stored now, and the refusals by slot id."""
        return signed_and_stored(
            wanted, self._signer, self._ledger, self._rules.chain_id, self._rules.exposure_cap, block, stage
        )

    def released(self, releases: Sequence[Release], slots: Sequence[Slot], block: Block) -> frozenset[int]:
        """Release those that the signer's own watermark proves unsigned; return which slots it does.

        The others stay reserved and are filled: a refusal proves nothing about bytes signed before a reconcile."""
        watermark = self._signer.renew().watermark if releases else 0
        free = frozenset(slot.id for slot in slots if slot.nonce > watermark)
        proven = [one for one in releases if one.slot_id in free]
        if len(proven) < len(releases):
            log.error("%d refused nonces up to the watermark %d stay", len(releases) - len(proven), watermark)
        if proven:
            self._ledger.released(proven, watermark, moment(block))
        return free
