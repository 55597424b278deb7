"""Auctions of the reference venue in which its rules bind one after the other, and what the chain asks in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keeper.abi import interface
from keeper.plans import ANY_SEQUENCE, TakeAuction
from keeper.reverts import revert
from keeper.rpc import Rpc, RpcRefusal
from keeper.venues.portfolio import account_id

WAD: Final = 10**18
FOREVER: Final = 2**40 - 1
NO_LIMIT: Final = 2**255 - 1
GAS: Final = 12_000_000
BONUS: Final = 20 * WAD
"""Most that the venue's fund may add to discounts in a period: less than the last of these takes is due."""


@dataclass(frozen=True, slots=True)
class Case:
    """An account in auction; per mille of its MM, and the insurance fund's cash."""

    row: int
    equity: int
    fund: int


CASES: Final = (
    Case(0, 750, 100_000 * WAD),  # a share restores it: the buffer decides
    Case(4, 1, 5 * WAD),  # the discount outweighs what it has: the fund adds all of its own
    Case(5, 1, 100_000 * WAD),  # and here all that it may, the last case deducted
)


def asked_of(rpc: Rpc, auctions: str, plan: TakeAuction, taker: str) -> Mapping[str, object]:
    """Return what the contract itself says that the plan's fraction and price are, by no code of the adapter's."""
    take = interface("reference/Auctions").function("take")
    block = rpc.block()
    calls = [take.packed(auctions, _words(plan, price)) for price in (NO_LIMIT, -NO_LIMIT)]
    taken, dear = rpc.simulate(calls, taker, block, block.timestamp, GAS)
    if isinstance(taken, RpcRefusal) or not isinstance(dear, RpcRefusal):
        why = revert(taken.revert) if isinstance(taken, RpcRefusal) else "it knows no price limit"
        return {"max_fraction": f"none: {why}"}
    return {"max_fraction": take.values(taken)[0], "max_price": int.from_bytes(dear.revert[4:36], signed=True)}


def _words(plan: TakeAuction, price: int) -> tuple[object, ...]:
    """Return the struct, in IAuctions.TakeCall's order: whatever may be taken, by the way that the plan shows it."""
    return (
        account_id(plan.account), account_id(plan.taker), plan.auction_id, ANY_SEQUENCE, ANY_SEQUENCE,
        WAD, price, FOREVER, plan.by_arrays, plan.scenarios, plan.taker_by_legs,
    )  # fmt: skip
