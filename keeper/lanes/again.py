"""Before an effect gets a second nonce: whether earlier bytes for it, given up but not dead for good, have landed."""

from collections.abc import Sequence

from keeper.chain import Block, Receipt
from keeper.journal.records import Intent
from keeper.journal.slot_records import Earlier
from keeper.lanes.ports import Facts, Ledger
from keeper.lanes.watch import AUDIT_DEPTH
from keeper.submit.agreement import Agreed, Reading


def landed_before(intents: Sequence[Intent], ledger: Ledger, facts: Facts, block: Block) -> dict[int, str]:
    """Return why an intent may not be sent at `block`, by its id: bytes that carry its effect are on the chain, or
    whether they are is not known.

    Bytes count for AUDIT_DEPTH blocks after a stranger's transaction or a cancel took their nonce: so long a reorg may
    give it back to them. Those that were mined and came to nothing count as long, for they may be mined anew and
    succeed; while they stand where they failed, the next try need not wait. The chain is asked only where there are
    such bytes.
    """
    earlier = ledger.earlier([intent.plan.effect for intent in intents], block.number - AUDIT_DEPTH)
    readings = facts.receipts([one.tx_hash for one in earlier])
    said = [(one.effect, _doubt(one, reading)) for one, reading in zip(earlier, readings, strict=True)]
    why = {effect: doubt for effect, doubt in said if doubt}
    return {intent.id: why[intent.plan.effect] for intent in intents if intent.plan.effect in why}


def _doubt(one: Earlier, reading: Reading[Receipt | None]) -> str:
    """Return why `one` may have had its effect, '' if it has not."""
    if not isinstance(reading, Agreed):
        return f"{one.tx_hash} may have done it already: {reading}"
    receipt = reading.answer
    if receipt is None:
        return f"{one.tx_hash} left the block in which it failed and may succeed in another" if one.failed_in else ""
    if receipt.block_hash == one.failed_in:
        return ""
    return f"{one.tx_hash} is in block {receipt.block_number} with it"
