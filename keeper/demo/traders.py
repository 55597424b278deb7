"""The people of the demo: one market maker, one arbitrageur, and traders whose leverage decides when they fall.

A long opened at price p0 with leverage l is liquidatable below p0 * (1 - 1/l) / (1 - 6.25 %): the bands below are
set against the March 2020 path, in which 10:00 on the 12th goes from 0.93 to 0.80 of the opening price and 23:00
from 0.73 to 0.61. Shorts opened on the first day never fall; the last profile sells again near the low.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keeper.demo.curie import COLLATERAL_PPM, DEPLOYER, USDC, deposit
from keeper.demo.deployment import Deployment
from keeper.demo.path import eth_usd
from keeper.demo.pool import FOREVER, TICK_SPACING, WHOLE, amounts, arbitrage, open_position, pool_price, tick_of
from keeper.demo.transactions import Batch, adopt, call, role
from keeper.rpc import Rpc

SEED = 20200312
TRADERS = 64
LEAST_USD, MOST_USD = 5_000, 150_000  # collateral of a trader
WETH_EVERY = 5  # one trader in five holds WETH
WETH_SHARE = 0.4  # of its collateral, after the haircut

MAKER_USD = 5_000_000_000
ARBITRAGEUR_USD = 5_000_000_000
BANDS = ((2_800.0, 16_000.0, 24e6), (4_500.0, 11_000.0, 10e6), (6_000.0, 9_500.0, 10e6))
"""Lower and upper USD price and liquidity (USD**0.5 * BTC**0.5) of the market maker's orders."""

POSITION_GAS = 1_100_000
LIQUIDITY_GAS = 1_500_000
ADD_LIQUIDITY = "addLiquidity((address,uint256,uint256,int24,int24,uint256,uint256,bool,uint256))"


@dataclass(frozen=True, slots=True)
class Profile:
    """Leverage is position value over collateral at the opening price; `sells_late` adds to its short near the low."""

    long: bool
    least: float
    most: float
    sells_late: bool = False


CRASH = Profile(True, 4.3, 6.8)  # falls at 10:00 on 12 March
_NIGHT = Profile(True, 2.45, 2.95)  # falls at 23:00
BEAR = Profile(False, 1.5, 3.0)
_LATE = Profile(False, 0.8, 1.2, sells_late=True)

PROFILES = (
    CRASH, BEAR, _NIGHT, Profile(True, 7.2, 8.0), _LATE, CRASH, _NIGHT, BEAR,
    CRASH, Profile(True, 3.2, 3.8), _LATE, Profile(True, 2.0, 2.15), CRASH, _NIGHT, BEAR, Profile(True, 1.2, 1.6),
)  # fmt: skip
"""Trader i has profile i modulo their number."""


@dataclass(frozen=True, slots=True)
class Trader:
    """`usdc` in base units, `weth` in wei, `notional` in quote wei (18 decimals), all ≥ 0."""

    address: str
    profile: Profile
    usdc: int
    weth: int
    notional: int


def open_book(
    rpc_url: str,
    deployment: Deployment,
    *,
    seed: int = SEED,
    traders: int = TRADERS,
    profiles: Sequence[Profile] = PROFILES,
) -> Deployment:
    """Add liquidity, fund and open every position; returns the deployment with `accounts` filled in.

    Trader i has profile i modulo their number. The pool is brought back to the index at the end, so that the traders'
    own trades are not a price move.
    """
    rpc = Rpc(rpc_url, timeout_s=60.0)
    batch = Batch(rpc)
    market = deployment.markets[0]
    spot = pool_price(rpc, market.pool)
    people = draw(seed, traders, spot, profiles)
    adopt(rpc, [p.address for p in people])
    _fund(batch, deployment, people)
    _provide_liquidity(batch, deployment, spot)
    batch.mine()
    for person in people:
        _open(batch, deployment, person, spot)
    batch.mine()
    back = arbitrage(deployment, pool_price(rpc, market.pool), spot)
    if back is not None:
        batch.add(deployment.arbitrageur, back, "pool back to the index", gas=POSITION_GAS)
        batch.mine()
    return replace(deployment, accounts=tuple(p.address for p in people))


def draw(seed: int, traders: int, spot_usd: float, profiles: Sequence[Profile] = PROFILES) -> tuple[Trader, ...]:
    """Return the traders a seed stands for; the same arguments give the same traders."""
    generator = random.Random(seed)
    return tuple(_draw_one(generator, i, spot_usd, profiles[i % len(profiles)]) for i in range(traders))


def late_sellers(accounts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the accounts that add to their short near the low, by their place in the book."""
    return tuple(a for i, a in enumerate(accounts) if PROFILES[i % len(PROFILES)].sells_late)


def _draw_one(generator: random.Random, index: int, spot_usd: float, profile: Profile) -> Trader:
    collateral_usd = LEAST_USD * (MOST_USD / LEAST_USD) ** generator.random()
    notional_usd = collateral_usd * generator.uniform(profile.least, profile.most)
    weth_usd = collateral_usd * WETH_SHARE if index % WETH_EVERY == 2 else 0.0
    before_haircut_usd = weth_usd * 1_000_000 / COLLATERAL_PPM
    return Trader(
        address=role(f"trader {index}"),
        profile=profile,
        usdc=round((collateral_usd - weth_usd) * USDC),
        weth=round(before_haircut_usd / eth_usd(spot_usd) * WHOLE),
        notional=round(notional_usd) * WHOLE,
    )


def _fund(batch: Batch, deployment: Deployment, people: tuple[Trader, ...]) -> None:
    for account, amount_usd in ((deployment.market_maker, MAKER_USD), (deployment.arbitrageur, ARBITRAGEUR_USD)):
        deposit(batch, deployment, account, amount_usd * USDC)
    weth, vault = deployment.collaterals[0].token, deployment.contracts.vault
    batch.add(DEPLOYER, call(weth, "mint(address,uint256)", DEPLOYER, sum(p.weth for p in people) + 1), "mint WETH")
    for person in people:
        deposit(batch, deployment, person.address, person.usdc)
        if person.weth:
            message = call(vault, "depositFor(address,address,uint256)", person.address, weth, person.weth)
            batch.add(DEPLOYER, message, f"deposit WETH for {person.address}", gas=400_000)


def _provide_liquidity(batch: Batch, deployment: Deployment, spot_usd: float) -> None:
    house, base_token = deployment.contracts.clearing_house, deployment.markets[0].base_token
    for lower, upper, liquidity in BANDS:
        base, quote = amounts(liquidity, lower, spot_usd, upper)
        ticks = (tick_of(lower, TICK_SPACING), tick_of(upper, TICK_SPACING))
        order = (base_token, base, quote, *ticks, 0, 0, False, FOREVER)
        what = f"liquidity {lower:g} to {upper:g}"
        batch.add(deployment.market_maker, call(house, ADD_LIQUIDITY, order), what, gas=LIQUIDITY_GAS)


def _open(batch: Batch, deployment: Deployment, person: Trader, spot_usd: float) -> None:
    sell = not person.profile.long
    amount = round(person.notional / spot_usd) if sell else person.notional
    message = open_position(deployment, sell=sell, amount=amount)
    batch.add(person.address, message, f"position of {person.address}", gas=POSITION_GAS)
