"""Before an effect gets a second nonce: whether earlier bytes for it, given up but not dead for good, have landed."""

from collections.abc import Sequence

from keeper.chain import Block
from keeper.journal.records import Intent
from keeper.lanes.ports import Facts, Ledger
from keeper.lanes.watch import AUDIT_DEPTH
from keeper.submit.agreement import Agreed


def landed_before(intents: Sequence[Intent], ledger: Ledger, facts: Facts, block: Block) -> dict[int, str]:
    """Return why an intent may not be sent at `block`, by its id: bytes that carry its effect are on the chain, or
    whether they are is not known.

    Bytes count for AUDIT_DEPTH blocks after a stranger's transaction or a cancel took their nonce: so long a reorg may
    give it back to them. The chain is asked only where there are such bytes.
    """
    earlier = ledger.displaced([intent.plan.effect for intent in intents], block.number - AUDIT_DEPTH)
    readings = facts.receipts([tx_hash for _, tx_hash in earlier])
    why: dict[str, str] = {}
    for (effect, tx_hash), reading in zip(earlier, readings, strict=True):
        if not isinstance(reading, Agreed):
            why[effect] = f"{tx_hash} may have done it already: {reading}"
        elif reading.answer is not None:
            why[effect] = f"{tx_hash} is in block {reading.answer.block_number} with it"
    return {intent.id: why[intent.plan.effect] for intent in intents if intent.plan.effect in why}
