"""Books made to break the bounds: an optimiser moves strikes, sizes, time and vols of small structures."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import differential_evolution

from engine.book import OPTION, Book, Instruments
from engine.market import Market
from engine.types import DAY, Floats
from tests.coverage_study.measure import Coverage, coverage
from tests.coverage_study.world import World

MOVES = (-1.0, -0.4, 0.4, 1.0)
OBJECTIVES = ("im", "mm", "tail_mm")


@dataclass(frozen=True)
class Family:
    """A structure of four options: which strike, kind and side each leg has; `free` sizes take any sign."""

    name: str
    strike: tuple[int, ...]  # of up to four strikes
    call: tuple[bool, ...]
    side: tuple[float, ...]
    late: tuple[bool, ...] = (False, False, False, False)  # of a later expiry
    free: bool = False


FAMILIES = (
    Family("short butterfly", (0, 1, 1, 2), (True,) * 4, (-1, 1, 1, -1)),
    Family("long butterfly", (0, 1, 1, 2), (True,) * 4, (1, -1, -1, 1)),
    Family("straddle", (0, 0, 1, 2), (True, False, True, False), (1, 1, -1, -1)),
    Family("short straddle", (0, 0, 1, 2), (True, False, True, False), (-1, -1, 1, 1)),
    Family("box", (0, 1, 0, 1), (True, True, False, False), (1, -1, -1, 1)),
    Family("calendar", (0, 0, 1, 1), (True,) * 4, (-1, 1, -1, 1), (False, True, False, True)),
    Family("any four", (0, 1, 2, 3), (True, False, True, False), (1, 1, 1, 1), free=True),
)
LIVES = {"last hour": (10.0, 3600.0), "last day": (3600.0, DAY), "month": (DAY, 30 * DAY)}
LEGS = 4


def candidates(family: Family, life: tuple[float, float], x: Floats) -> World:
    """Return a world of one account a column of x, (13, N), all in 0..1: four strikes, four sizes, time, and vols."""
    count = x.shape[1]
    low, high = np.log(life)
    seconds = np.exp(low + (high - low) * x[8])
    strikes = np.exp(np.log(0.8) + (np.log(1.25) - np.log(0.8)) * x[:4])[list(family.strike)]
    size = 2.0 * x[4:8] - 1.0 if family.free else np.array(family.side)[:, np.newaxis] * (0.2 + 0.8 * x[4:8])
    vol = np.exp(np.log(0.2) + np.log(6.0) * x[9]) * (0.8 + 0.4 * np.vstack([x[10:13], x[10:11]]))[list(family.strike)]
    instruments = Instruments(
        names=tuple(f"i{i}" for i in range(LEGS * count)),
        underlyings=("BTC",),
        expiries=tuple(f"e{e}" for e in range(2 * count)),
        kind=np.full(LEGS * count, OPTION, np.int8),
        underlying=np.zeros(LEGS * count, np.int64),
        expiry=(2 * np.arange(count) + np.array(family.late, np.int64)[:, np.newaxis]).T.reshape(-1),
        strike=(100.0 * strikes).T.reshape(-1),
        is_call=np.tile(family.call, count),
    )
    expiries = np.stack([seconds, seconds + 7 * DAY], axis=1).reshape(-1)
    share = np.maximum(1.0 - expiries / 1800.0, 0.0)
    market = Market(
        spot=np.array([100.0]),
        spot_confidence=np.ones(1),
        expiry_underlying=np.zeros(2 * count, np.int64),
        seconds=expiries,
        forward=100.0 * (1.0 - share),
        forward_fixed=100.0 * share,
        forward_confidence=np.ones(2 * count),
        rate=np.zeros(2 * count),
        rate_confidence=np.ones(2 * count),
        price=np.zeros(LEGS * count),
        vol=vol.T.reshape(-1),
        confidence=np.ones(LEGS * count),
    )
    book = Book(
        instruments=instruments,
        accounts=tuple(f"a{a}" for a in range(count)),
        cash=np.zeros(count),
        start=LEGS * np.arange(count + 1),
        instrument=np.arange(LEGS * count),
        quantity=size.T.reshape(-1),
        entry=np.zeros(LEGS * count),
        accrued=np.zeros(LEGS * count),
    )
    return World(instruments, market, book)


def shortfall(found: Coverage, objective: str) -> Floats:
    """Share of gross notional for IM, of gross scan for the others."""
    if objective == "im":
        return found.im / found.notional
    return getattr(found, objective) / np.maximum(found.gross_scan, 1e-6 * found.notional)


@dataclass(frozen=True)
class Worst:
    """What the search ended with."""

    family: str
    life: str
    objective: str
    shortfall: float
    evaluations: int
    seconds: float
    strikes: list[float]
    sizes: list[float]


def search(family: Family, life: str, objective: str, rounds: int, weaken: str = "", seed: int = 1) -> Worst:
    """Return the worst book of a family that differential evolution finds."""

    def loss(x: Floats) -> Floats:
        world = candidates(family, LIVES[life], x)
        return -shortfall(coverage(world, MOVES, weaken), objective)

    found = differential_evolution(
        loss,
        [(0.0, 1.0)] * 13,
        maxiter=rounds,
        popsize=4,
        init="sobol",
        mutation=(0.4, 0.9),
        polish=False,
        updating="deferred",
        vectorized=True,
        rng=seed,
    )
    world = candidates(family, LIVES[life], found.x[:, np.newaxis])
    return Worst(
        family=family.name,
        life=life,
        objective=objective,
        shortfall=float(-found.fun),
        evaluations=int(found.nfev) * found.population.shape[0],
        seconds=float(world.market.seconds[0]),
        strikes=world.instruments.strike.tolist(),
        sizes=world.book.quantity.tolist(),
    )
