"""The Uniswap v3 pool behind a Curie market: prices as ticks and roots, and the trade that moves it to a price.

Base is token0 and quote token1, both with 18 decimals, so a pool price is USD per base unit without scaling.
"""

import math

from keeper.chain import Call
from keeper.demo.deployment import Deployment
from keeper.demo.transactions import call
from keeper.rpc import Rpc

Q96 = 1 << 96
TICK = 1.0001
TICK_SPACING = 60  # of the 0.3 % fee tier
WHOLE = 10**18
FOREVER = (1 << 256) - 1
NO_REFERRAL = bytes(32)
OPEN_POSITION = "openPosition((address,bool,bool,uint256,uint256,uint256,uint160,bytes32))"

STEP_TICKS = 450
"""How far one block's trade moves the pool, 4.6 %; Curie refuses more than 1000 ticks (EX_OPLAS).

Less than the maintenance margin of 6.25 %, so that most accounts can be liquidated before their equity is gone.
"""
CLOSE_ENOUGH = 0.0002
"""Relative distance from the target that is not worth a trade."""
MORE_THAN_ENOUGH = {True: 10**7 * WHOLE, False: 10**11 * WHOLE}
"""Amount a price-limited trade offers, by whether it sells base: it stops at the limit long before."""


def sqrt_price_x96(price_usd: float) -> int:
    """Return sqrt(price) * 2**96, rounded down, from the price's exact binary value."""
    numerator, denominator = price_usd.as_integer_ratio()
    return math.isqrt((numerator << 192) // denominator)


def tick_of(price_usd: float, spacing: int) -> int:
    """Return the last usable tick at or below the price."""
    return math.floor(math.log(price_usd) / math.log(TICK) / spacing) * spacing


def pool_price(rpc: Rpc, pool: str) -> float:
    """Return the pool's USD price now, from slot0."""
    message = call(pool, "slot0()")
    returned = bytes.fromhex(rpc.call("eth_call", {"to": message.to, "data": "0x" + message.data.hex()}, "latest")[2:])
    return float((int.from_bytes(returned[:32]) / Q96) ** 2)


def amounts(liquidity: float, lower_usd: float, spot_usd: float, upper_usd: float) -> tuple[int, int]:
    """Return base and quote, 18 decimals each, that a position of `liquidity` holds at `spot_usd`, inside its band.

    Uniswap v3 whitepaper, 6.29 and 6.30; liquidity in USD**0.5 * base**0.5.
    """
    root = math.sqrt(spot_usd)
    base = liquidity * (1 / root - 1 / math.sqrt(upper_usd))
    quote = liquidity * (root - math.sqrt(lower_usd))
    return int(base * WHOLE), int(quote * WHOLE)


def open_position(deployment: Deployment, *, sell: bool, amount: int, limit_x96: int = 0) -> Call:
    """Return the trade of exactly `amount`: base 1e18 when selling, quote 1e18 when buying; 0 means no limit."""
    base = deployment.markets[0].base_token
    params = (base, sell, True, amount, 0, FOREVER, limit_x96, NO_REFERRAL)
    return call(deployment.contracts.clearing_house, OPEN_POSITION, params)


def arbitrage(deployment: Deployment, pool_usd: float, target_usd: float) -> Call | None:
    """Return the trade that moves the pool to the target, or STEP_TICKS towards it; None when it is there already."""
    if abs(pool_usd / target_usd - 1) < CLOSE_ENOUGH:
        return None
    reach = TICK**STEP_TICKS
    stop = min(max(target_usd, pool_usd / reach), pool_usd * reach)
    sell = stop < pool_usd
    return open_position(deployment, sell=sell, amount=MORE_THAN_ENOUGH[sell], limit_x96=sqrt_price_x96(stop))
