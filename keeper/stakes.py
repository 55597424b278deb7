"""What a plan stands to lose by waiting and what it is worth, in wei: the figures that fees are weighed against."""

from collections.abc import Callable

from keeper.lanes.rescue import Stake
from keeper.plans import Liquidate, Plan, StartAuction, TakeAuction
from keeper.units import to_base

ETHER_DECIMALS, MICRO_USD_DECIMALS = 18, 6


def staked(gas_token_usd: float | None, lifetime_blocks: int) -> Callable[[Plan], Stake]:
    """Return what says a plan's stake at `gas_token_usd` USD an ether; without a price nothing is stated in wei.

    What is at risk counts as lost evenly over the plan's `lifetime_blocks`, so that fees rise before it is over. Only a
    take states a worth: it may not cost more than it earns, while a shortfall is the protocol's loss whatever its size.
    """

    def stake(plan: Plan) -> Stake:
        usd = at_risk_usd(plan)
        in_wei = 0 if gas_token_usd is None else to_base(usd / gas_token_usd, ETHER_DECIMALS, up=False)
        worth = in_wei if isinstance(plan, TakeAuction) and gas_token_usd is not None else None
        return Stake(in_wei // lifetime_blocks, worth, micro_usd(plan))

    return stake


def at_risk_usd(plan: Plan) -> float:
    """Return USD that are lost if the plan is never carried out, >= 0: a shortfall, a profit, nothing stated."""
    match plan:
        case Liquidate() | StartAuction():
            return max(plan.shortfall, 0.0)
        case TakeAuction():
            return max(plan.profit, 0.0)
        case _:
            return 0.0


def micro_usd(plan: Plan) -> int:
    """Return `at_risk_usd` in micro-USD, rounded down: whole numbers to order and to add by."""
    return to_base(at_risk_usd(plan), MICRO_USD_DECIMALS, up=False)
