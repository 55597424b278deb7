"""What a plan stands to lose by waiting and what it is worth, in wei: the figures that fees are weighed against."""

from collections.abc import Callable

from keeper.lanes.rescue import Stake
from keeper.plans import Liquidate, Plan, StartAuction, TakeAuction
from keeper.units import to_base

ETHER_DECIMALS = 18
NOTHING_STATED = Stake(0, None)


def staked(gas_token_usd: float | None, lifetime_blocks: int) -> Callable[[Plan], Stake]:
    """Return what says a plan's stake at `gas_token_usd` USD an ether; without a price nothing is stated.

    What is at risk counts as lost evenly over the plan's `lifetime_blocks`, so that fees rise before it is over. Only a
    take states a worth: it may not cost more than it earns, while a shortfall is the protocol's loss whatever its size.
    """

    def stake(plan: Plan) -> Stake:
        if gas_token_usd is None:
            return NOTHING_STATED
        match plan:
            case Liquidate() | StartAuction():
                return Stake(_wei(plan.shortfall, gas_token_usd) // lifetime_blocks, None)
            case TakeAuction():
                worth = _wei(plan.profit, gas_token_usd)
                return Stake(worth // lifetime_blocks, worth)
            case _:
                return NOTHING_STATED

    return stake


def _wei(usd: float, gas_token_usd: float) -> int:
    """Return USD in wei, rounded down; nothing for less than none."""
    return to_base(max(usd, 0.0) / gas_token_usd, ETHER_DECIMALS, up=False)
