"""Reports, slices and parameters for the twin's tests: plain ones by hand and random ones by seed."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from keeper.twin.fixed import WAD
from keeper.twin.records import (
    Book,
    CollateralType,
    Holding,
    Instrument,
    Leg,
    MarginParameters,
    Report,
    ScanParameters,
    Slice,
)
from keeper.twin.words import expiry_words, terms
from keeper.twin.world import Epoch, Limits, Underlying, World

NOW = 1_800_000_000
ENGINE_SEED = 2_026
"""Of the points at which twin, engine and contract are compared."""
DAY = 86_400

SCAN = ScanParameters(
    scan=15 * WAD // 100,
    vol_up=33 * WAD // 100,
    vol_down=25 * WAD // 100,
    short_power=30 * WAD // 100,
    long_power=13 * WAD // 100,
    extreme=30 * WAD // 100,
    deep_up=60 * WAD // 100,
    deep_down=50 * WAD // 100,
    extreme_cover=3_500,
    deep_up_cover=2_000,
    deep_down_cover=2_500,
)


def report(price: int, **fields: int) -> Report:
    """A report of underlying 0 at NOW; price in wad."""
    plain = {
        "underlying": 0, "timestamp": NOW, "fixing_expiry": 0, "sequence": 1, "price": price,
        "confidence": price // 2_000, "funding_rate": 0, "funding_index": 0, "fixed_share": 0, "fixed_average": 0,
    }  # fmt: skip
    return Report(**plain | fields)


def flat(expiry: int, forward: int, spot: int, variance: int, underlying: int = 0) -> Slice:
    """The same variance a year at every strike, wad."""
    return Slice(underlying, expiry, NOW, forward, spot, variance, 0, 0, 0, WAD // 10)


def random_scan(rng: random.Random) -> ScanParameters:
    return ScanParameters(
        scan=rng.randint(2 * WAD // 100, 25 * WAD // 100),
        vol_up=rng.randint(0, WAD),
        vol_down=rng.randint(0, WAD * 9 // 10),
        short_power=rng.randint(0, WAD),
        long_power=rng.randint(0, WAD),
        extreme=rng.randint(20, 60) * WAD // 100,
        deep_up=rng.randint(30, 100) * WAD // 100,
        deep_down=rng.randint(30, 80) * WAD // 100,
        extreme_cover=rng.randint(0, 10_000),
        deep_up_cover=rng.randint(0, 10_000),
        deep_down_cover=rng.randint(0, 10_000),
    )


def random_slice(rng: random.Random, expiry: int, spot: int, underlying: int = 0) -> Slice:
    """Sound parameters mostly; sometimes a variance that the clamps must catch."""
    drift = rng.randint(-3, 3) * WAD // 100
    return Slice(
        underlying=underlying,
        expiry=expiry,
        timestamp=NOW - rng.randint(0, 60),
        forward=spot * (WAD + drift) // WAD + rng.randint(0, WAD),
        spot=spot + rng.randint(-spot // 200, spot // 200),
        a=rng.randint(-2, 60) * WAD // 100,
        b=rng.randint(0, 200) * WAD // 100,
        rho=rng.randint(-99, 99) * WAD // 100,
        m=rng.randint(-30, 30) * WAD // 100,
        s=rng.randint(1, 50) * WAD // 100,
    )


def random_case(rng: random.Random) -> tuple[Report, Slice, ScanParameters, Instrument]:
    """One option and all it is priced from; a third in the last hour, half of those partly fixed."""
    spot = rng.choice(
        (rng.randint(1, 10**4) * WAD // 100, rng.randint(10**21, 2 * 10**23), rng.randint(10**15, 10**18))
    )
    seconds = rng.choice((rng.randint(1, 3_600), rng.randint(3_600, 7 * DAY), rng.randint(7 * DAY, 700 * DAY)))
    expiry = NOW + seconds
    fixing = {}
    if seconds < 1_800 and rng.random() < 0.5:
        share = rng.choice((rng.randint(0, WAD), (1_800 - seconds) * WAD // 1_800, WAD))
        average = spot * rng.randint(70, 140) // 100
        fixing = {"fixing_expiry": expiry, "fixed_share": share, "fixed_average": average}
    far = rng.choice((0.02, 0.3, 2.0))
    strike = max(int(spot * 2.718281828 ** rng.gauss(0.0, far)) // 10**10, 1)
    instrument = Instrument(0, expiry, strike, rng.random() < 0.5, rng.randint(0, 184))
    return report(spot, **fixing), random_slice(rng, expiry, spot), random_scan(rng), instrument


def black_point(rng: random.Random) -> tuple[int, int, int]:
    """Forward, strike, total sd: in the money, deep in both tails, and minutes before expiry."""
    forward = rng.randint(10**15, 10 ** rng.randint(16, 24))
    sd = int(WAD * 10 ** rng.uniform(-9, 0.7))
    distance = rng.choice((rng.gauss(0, 1), rng.uniform(-9, 9), rng.uniform(-40, 40)))  # standard deviations
    strike = int(forward * min(max(math.exp(distance * sd / WAD), 1e-6), 1e6))
    return forward, max(strike, 1), sd


MARGIN = MarginParameters(
    im_scalar=12_500,
    mm_scalar=9_000,
    short_im_rate=100,
    short_mm_rate=50,
    concentration_rate=200,
    confidence_factor=10_000,
    concentration_from=1_000 * WAD,
)
STABLE = ScanParameters(
    scan=2 * WAD // 100,
    vol_up=0,
    vol_down=0,
    short_power=0,
    long_power=0,
    extreme=10 * WAD // 100,
    deep_up=20 * WAD // 100,
    deep_down=50 * WAD // 100,
    extreme_cover=3_500,
    deep_up_cover=2_000,
    deep_down_cover=3_000,
)
LIMITS = Limits(report_age=300, epoch_age=900, slice_age=600, window=600)
COLLATERALS = (
    CollateralType(token=0xE, decimals=18, underlying=0, haircut=1_000, cap=10**30, haircut_mm=1_000),
    CollateralType(token=0xB, decimals=8, underlying=1, haircut=1_500, cap=10**30, haircut_mm=1_500),
    CollateralType(token=0xD, decimals=6, underlying=2, haircut=600, cap=10**30, haircut_mm=600),
)
PRICES = (3_000 * WAD, 60_000 * WAD, WAD)  # two with options, and a stablecoin
STRIKES = (70, 80, 90, 95, 100, 105, 110, 120, 140)  # percent of the price
DAYS = (1, 8, 30, 90)


def board(underlying: int, expiry: int) -> tuple[Instrument, ...]:
    """The options of one expiry in row order: a call and a put a strike."""
    strikes = [PRICES[underlying] * percent // 100 // 10**10 for percent in STRIKES]
    return tuple(
        Instrument(underlying, expiry, strikes[row // 2], row % 2 == 0, row) for row in range(2 * len(strikes))
    )


def smile(underlying: int, expiry: int, price: int) -> Slice:
    """60 % at the money with a skew, forward half a percent above spot."""
    return Slice(
        underlying, expiry, NOW, price * 1_005 // 1_000, price,
        20 * WAD // 100, 40 * WAD // 100, -30 * WAD // 100, 5 * WAD // 100, 40 * WAD // 100,
    )  # fmt: skip


def published(report_: Report, slices: Mapping[int, Slice], scan: ScanParameters) -> Epoch:
    """The epoch an honest publisher posts on one report."""
    arrays = {
        expiry: expiry_words(terms(report_, slice_, scan), board(report_.underlying, expiry))
        for expiry, slice_ in slices.items()
    }
    return Epoch(report_.price, report_.timestamp, scan, arrays)


@cache
def calm() -> World:
    """Two boards and a stablecoin, everything reported, fitted, published and settled at NOW."""
    underlyings = {}
    for u, price in enumerate(PRICES):
        slices = {NOW + day * DAY: smile(u, NOW + day * DAY, price) for day in DAYS} if u < 2 else {}
        scan, newest = (SCAN if u < 2 else STABLE), report(price, underlying=u)
        epoch = published(newest, slices, scan) if slices else None
        underlyings[u] = Underlying(newest, scan, MARGIN, MARGIN, slices, epoch, epoch)
    return World(NOW, underlyings, COLLATERALS, LIMITS)


def moved(world: World, prices: Mapping[int, int], later: int = 0) -> World:
    """The same venue `later` seconds on with new reports at some prices; arrays and slices are kept."""
    now = world.now + later
    underlyings = {
        u: replace(known, report=replace(known.report, price=prices[u], timestamp=now, confidence=prices[u] // 2_000))
        if u in prices
        else known
        for u, known in world.underlyings.items()
    }
    return replace(world, now=now, underlyings=underlyings)


def option_at(underlying: int, day: int, percent: int, call: bool) -> Instrument:
    """An option of the calm board by its days to expiry and its strike in percent of the price."""
    row = 2 * STRIKES.index(percent) + (not call)
    return board(underlying, NOW + day * DAY)[row]


def random_book(rng: random.Random, legs: int, *, collateral: int = 0, perpetuals: bool = False) -> Book:
    """A book on the calm board: distinct options of both underlyings, sizes over six orders of magnitude."""
    options = [i for u in (0, 1) for day in DAYS for i in board(u, NOW + day * DAY)]
    chosen = rng.sample(options, legs) + ([Instrument(0), Instrument(1)] if perpetuals else [])
    sized = tuple(Leg(i, rng.choice((-1, 1)) * rng.randint(1, 10 ** rng.randint(15, 21))) for i in chosen)
    held = tuple(
        Holding(n, rng.randint(1, 10**4 * 10 ** COLLATERALS[n].decimals)) for n in rng.sample(range(3), collateral)
    )
    return Book(rng.randint(-(10**24), 10**24), sized, held)
