"""A call tried on the chain: simulated, sent, and simulated with one limit of its plan broken after the other."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from keeper.chain import Block, Call, Receipt
from keeper.demo.transactions import Batch, receipts
from keeper.plans import Plan
from keeper.rpc import Rpc, RpcRefusal

GAS: Final = 12_000_000
"""Of one transaction, as `signer.max_gas`."""
PER_MILLE: Final = 1_000


def simulated(rpc: Rpc, call: Call, sender: str) -> bytes | RpcRefusal:
    block = rpc.block()
    return rpc.simulate([call], sender, block, block.timestamp + 1, GAS)[0]


def sent(rpc: Rpc, call: Call, sender: str) -> Receipt | None:
    """Send it and mine a block; None: it reverted."""
    batch = Batch(rpc)
    batch.add(sender, call, "act", gas=GAS)
    hashes = batch.send()
    rpc.call("evm_mine")
    (receipt,) = receipts(rpc, hashes)
    return receipt if receipt is not None and receipt.succeeded else None


def _one_less(number: int) -> int:
    return number - 1 if number else 1


def _other_id(found: str) -> str:
    return f"0x{int(found, 16) ^ 1:064x}"


BEYOND: Final[Mapping[str, Callable[[Any, Block], object]]] = {
    "deadline": lambda _, block: block.timestamp,  # over when the next block comes
    "max_price": lambda plan, _: plan.max_price - abs(plan.max_price) // PER_MILLE - 1,
    "max_fraction": lambda _plan, _block: 1,  # too little for the chain to move
    "auction_id": lambda plan, _: plan.auction_id + 1,
    "sequence": lambda plan, _: _one_less(plan.sequence),
    "taker_sequence": lambda plan, _: _one_less(plan.taker_sequence),
    "report_id": lambda plan, _: _other_id(plan.report_id),
    "slice_id": lambda plan, _: _other_id(plan.slice_id),
    "listing_id": lambda plan, _: _other_id(plan.listing_id),
    "version": lambda plan, _: plan.version + 1,
    "changes": lambda plan, _: re.sub(r"=(\d+)>", lambda old: f"={int(old[1]) + 1}>", plan.changes),  # as read
}
"""Field of a plan, whatever its kind → what the chain must refuse there, where it takes the plan as it is."""


def beyond(plan: Plan, block: Block) -> dict[str, Plan]:
    """Return the plan once for each of its limits, with that one where the chain must refuse it."""
    names = [field.name for field in fields(plan) if field.name in BEYOND]
    return {name: replace(plan, **{name: BEYOND[name](plan, block)}) for name in names}


def ignored(rpc: Rpc, encode: Callable[[Plan], Call], plan: Plan, sender: str) -> tuple[str, ...]:
    """Return the limits of a plan that succeeds, which do not make the chain refuse its call when they are broken."""
    block = rpc.block()
    broken = beyond(plan, block)
    calls = [replace(encode(other), gas=GAS) for other in broken.values()]
    answers = rpc.simulate(calls, sender, block, block.timestamp + 1, GAS)
    return tuple(name for name, answer in zip(broken, answers, strict=True) if not isinstance(answer, RpcRefusal))
