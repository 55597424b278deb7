"""The demo's reference venue: what is listed on the morning of 12 March 2020, and what its prices and surfaces do.

The volatility rule: realised volatility of the hours' log returns, exponentially weighted, between a floor and a cap,
is where a surface is anchored at once; an expiry takes over as much of it as its time to expiry allows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from keeper.demo.path import BTC_MARCH_2020, ETH_MARCH_2020, PricePath, price_at
from keeper.reference.board import (
    DAI,
    DAY,
    USDC,
    WBTC,
    WETH,
    Board,
    Collateral,
    Limits,
    Relays,
    Smile,
    margin_of,
    scan_of,
)
from keeper.reference.board import Underlying as Listing
from keeper.twin.records import Slice
from keeper.units import WAD_DECIMALS, to_base

WAD = 10**18
HOUR = 3_600
ETH, BTC, USD = range(3)
PATHS: tuple[PricePath, ...] = (ETH_MARCH_2020, BTC_MARCH_2020, ((0, 1.0),))
"""By underlying; the stablecoin holds."""

START = 1_584_003_600
"""09:00 UTC on 12 March: an hour before bitcoin begins to fall from 7,342 to 4,112 USD."""
EIGHT_ON_13_MARCH = 1_584_086_400
EXPIRIES = (EIGHT_ON_13_MARCH, EIGHT_ON_13_MARCH + 7 * DAY, EIGHT_ON_13_MARCH + 14 * DAY)
"""08:00 UTC, as is the custom; the first is settled at the path's end."""
STRIKES = (500, 600, 700, 800, 900, 1_000, 1_100, 1_250)  # per mille of the first price
CONFIDENCE_BPS = 5

HALF_LIFE_H = 6.0
CALM, FLOOR, CAP = 0.65, 0.55, 2.5  # annualised; before the path begins, least and most of the anchor
LONG_RUN = 0.70
REACH_DAYS = 10.0
"""An expiry so far off takes over 1/e of what the anchor is above the long run."""
SMILE_VARIANCE = 0.3670
"""Of the board's own smile at the money: raw SVI at its forward."""


def board_at(now: int) -> Board:
    """Return the board for a deployment at chain time `now`, seconds."""
    expiries = tuple(expiry - now - 59 for expiry in EXPIRIES)  # the deployment rounds up to a whole minute
    first = [to_base(price_at(path, START), WAD_DECIMALS, up=False) for path in PATHS]
    return Board(
        settlement=USDC,
        underlyings=(
            _coin("ETH", first[ETH], 50_000, expiries),
            _coin("BTC", first[BTC], 2_000, expiries),
            Listing("DAI", WAD, scan_of(2, stable=True), margin_of(10**9 * WAD), perpetual=False),
        ),
        collaterals=(
            Collateral(WETH, ETH, 1_000, 10**6 * 10**18),
            Collateral(WBTC, BTC, 1_000, 10**5 * 10**8),
            Collateral(DAI, USD, 600, 10**9 * 10**18),
        ),
        limits=Limits(
            max_report_age=2 * HOUR,
            max_epoch_age=4 * HOUR,
            max_slice_age=4 * HOUR,
            heartbeat=HOUR,
            auction_growth=HOUR,
            bonus=1_000_000 * WAD,
        ),
        relays=Relays(max_age=HOUR, price_period=HOUR, surface_period=HOUR),
    )


def _coin(symbol: str, price: int, concentration_from: int, expiries: tuple[int, ...]) -> Listing:
    margin = margin_of(concentration_from * WAD)
    return Listing(
        symbol, price, scan_of(15), margin, True, CONFIDENCE_BPS, expiries=expiries, strikes=STRIKES,
        smile=smile_of(CALM**2 / SMILE_VARIANCE),
    )  # fmt: skip


def smile_of(share: float) -> Smile:
    """Return the board's smile with its variance scaled."""
    plain, scaled = Smile(), to_base(share, WAD_DECIMALS, up=False)
    return Smile(plain.a * scaled // WAD, plain.b * scaled // WAD, plain.rho, plain.m, plain.s, plain.forward)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the demo's sources see at one time."""

    at: int
    prices: tuple[int, ...]  # USD wad, by underlying
    slices: tuple[Slice, ...]  # of every expiry still to come


def seen_at(at: int) -> Seen:
    """Return prices and surfaces at a chain time, seconds."""
    prices = tuple(to_base(price_at(path, at), WAD_DECIMALS, up=False) for path in PATHS)
    slices = [_slice(u, expiry, at, prices[u]) for u in (ETH, BTC) for expiry in EXPIRIES if expiry > at]
    return Seen(at, prices, tuple(slices))


def _slice(u: int, expiry: int, at: int, price: int) -> Slice:
    anchor = volatility_at(PATHS[u], at)
    reach = math.exp(-(expiry - at) / DAY / REACH_DAYS)
    smile = smile_of((LONG_RUN**2 + (anchor**2 - LONG_RUN**2) * reach) / SMILE_VARIANCE)
    forward = price * smile.forward // WAD
    return Slice(u, expiry, at, forward, price, smile.a, smile.b, smile.rho, smile.m, smile.s)


def volatility_at(path: PricePath, at: int) -> float:
    """Return the anchor: realised volatility of the hours closed by `at`, annualised, within floor and cap."""
    decay = 0.5 ** (1 / HALF_LIFE_H)
    variance = CALM**2
    for log_return in _log_returns(path, at):
        variance = decay * variance + (1 - decay) * log_return**2 * 365 * 24
    return min(max(math.sqrt(variance), FLOOR), CAP)


def _log_returns(path: PricePath, at: int) -> Iterator[float]:
    for (_, before), (hour, after) in pairwise(path):
        if hour > at:
            return
        yield math.log(after / before)
