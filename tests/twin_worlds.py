"""Reports, slices and parameters for the twin's tests: plain ones by hand and random ones by seed."""

import random

from keeper.twin.fixed import WAD
from keeper.twin.records import Instrument, Report, ScanParameters, Slice

NOW = 1_800_000_000
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
