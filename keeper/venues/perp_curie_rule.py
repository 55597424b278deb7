"""Perp Curie's margin rule in its own integers: the arbiter inside the engine's error band."""

from typing import Final

from keeper.venues.base import Account, Collateral, ExactMargin, VenueState

WAD: Final = 10**18
PPM: Final = 10**6


def exact_margin(state: VenueState, account: Account) -> ExactMargin:
    """Return equity, IM and MM to the last integer, 18 decimals; equity keeps the vault's floor to its decimals.

    As Vault._getAccountValueAndTotalCollateralValue, AccountBalance.getTotalAbsPositionValue and getTotalDebtValue.
    """
    scale = 10 ** (18 - state.settlement_decimals)
    value = account.cash * scale + account.pending_fee + account.owed_pnl
    absolute = debt = quotes = 0
    for p in account.positions:
        mark = state.markets[p.market].mark
        position_value = mul_div(p.size, mark, WAD)
        value += position_value + p.open_notional - p.pending_funding
        absolute += abs(position_value)
        debt += -mul_div(min(p.base, 0), mark, WAD)
        quotes += p.quote
    value += sum(_counted(state.collaterals[b.collateral], b.amount) for b in account.balances)
    debt += max(-quotes, 0)
    return ExactMargin(
        equity=value // scale * scale,
        im=debt * state.parameters.im_ratio // PPM,
        mm=absolute * state.parameters.mm_ratio // PPM,
    )


def _counted(collateral: Collateral, amount: int) -> int:
    if collateral.decimals > 18:
        worth = amount * collateral.price // 10**collateral.price_decimals // 10 ** (collateral.decimals - 18)
    else:
        worth = amount * 10 ** (18 - collateral.decimals) * collateral.price // 10**collateral.price_decimals
    counted: int = worth * collateral.ratio // PPM
    return counted


def mul_div(a: int, b: int, denominator: int) -> int:
    """PerpMath.mulDiv: the magnitude is floored, so a negative result rounds towards zero."""
    product = a * b
    magnitude: int = abs(product) // denominator
    return magnitude if product >= 0 else -magnitude
