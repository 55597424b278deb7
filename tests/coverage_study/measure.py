"""What the arrays ask after a move against what full revaluation asks. USD, (A,) an account, worst over the moves.

An account's margin is judged by what is left, equity less requirement: a mark that is too low and a requirement that is
too low by the same amount cancel, as they do in every check of the venue.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from engine.black76 import greeks
from engine.book import OPTION
from engine.margin.array_words import GRID_ROWS, ScanTerms
from engine.margin.arrays import ArraysAt
from engine.types import Floats, Ints
from tests.coverage_study.world import GRID, World, option_columns

MM_SCALAR = 0.8
MOVES = (-1.0, -0.6, -0.25, 0.0, 0.3, 0.55, 1.0)
"""Of the first underlying, in shares of the move limit; the second moves the other way."""


@dataclass(frozen=True)
class Coverage:
    """Shortfalls are > 0 where the arrays leave an account more than full revaluation does."""

    im: Floats  # grid rows with gap against 200 prices and 2 vols
    mm: Floats  # the same at MM_SCALAR
    tail_mm: Floats  # with tails, at the absolute prices that the arrays state them for
    tail_point: Floats  # with tails at S'(1 ± X): where the point moves, a single price is no bound; for information
    mark: Floats  # mark above value
    notional: Floats  # gross
    gross_scan: Floats  # sum of the legs' own scans, gap not counted
    gap: Floats  # charge
    scan: Floats  # of the grid rows at the arrays' price, gap not counted
    needed: Floats  # what the grid's least value lies below that of the rows: what a gap charge is for

    def joined(self, other: "Coverage") -> "Coverage":
        return Coverage(*(np.append(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))


@dataclass(frozen=True)
class Revalued:
    """The books at one price of each underlying, (A, U): value, least on the grid, and at the four tails (A, U, 4)."""

    now: Floats
    least: Floats
    stated: Floats
    moved: Floats
    terms: ScanTerms

    @staticmethod
    def of(world: World, held: Floats, price: Floats) -> "Revalued":
        columns, terms = [], world.terms
        stated = terms.prices[GRID_ROWS:]
        points = 1.0 + np.array([terms.extreme, -terms.extreme, terms.deep_up, -terms.deep_down])
        for u, group in enumerate(groups(world)):
            own = held[:, group]
            options = np.abs(own) @ (world.instruments.kind[group] == OPTION) > 0.0
            kept = own @ world.values(group, np.concatenate([price[u : u + 1], stated, price[u] * points]), None)
            grid = price[u] * (1.0 + terms.scan * GRID)
            least = np.minimum(*((own @ world.values(group, grid, turn)).min(axis=1) for turn in (0, 1)))
            # Without options the venue's rows stand around the newest price.
            tails = kept[:, 1:5] * np.where(options, 1.0, price[u])[:, np.newaxis]
            columns.append((kept[:, 0], least, tails, kept[:, 5:]))
        return Revalued(*(np.stack(column, axis=1) for column in zip(*columns, strict=True)), terms)

    @property
    def scan(self) -> Floats:
        return np.maximum(self.now - self.least, 0.0)

    def tailed(self, tails: Floats) -> Floats:
        loss = (self.now[:, :, np.newaxis] - tails) * self.terms.cover[GRID_ROWS:]
        return np.maximum(self.scan, loss.max(axis=2))

    def left(self, scalar: float, scan: Floats) -> Floats:
        """Equity less scalar · scan, (A,)."""
        return (self.now - scalar * scan).sum(axis=1)


def coverage(world: World, moves: Sequence[float] = MOVES, weaken: str = "") -> Coverage:
    """Measure every book of a world after moves, in shares of the move limit.

    `weaken` a rule to see that the measure notices: "gap" charges none, "bend" has that of half the gamma instead.
    """
    ordinary, tailed = (weakened(world, terms, weaken) for terms in (world.no_tails, world.terms))
    held = world.holdings()
    worst = {name: np.full(held.shape[0], -np.inf) for name in ("im", "mm", "tail_mm", "tail_point", "mark")}
    for share in moves:
        price = 1.0 + share * world.terms.move * np.where(np.arange(world.market.spot.size) % 2, -1.0, 1.0)
        true = Revalued.of(world, held, price)
        equity, scan = _asked(ordinary.moved(world.market.spot * price), world)
        _, all_rows = _asked(tailed.moved(world.market.spot * price), world)
        found = {
            "im": equity - scan - true.left(1.0, true.scan),
            "mm": equity - MM_SCALAR * scan - true.left(MM_SCALAR, true.scan),
            "tail_mm": equity - MM_SCALAR * all_rows - true.left(MM_SCALAR, true.tailed(true.stated)),
            "tail_point": equity - MM_SCALAR * all_rows - true.left(MM_SCALAR, true.tailed(true.moved)),
            "mark": equity - true.now.sum(axis=1),
        }
        worst = {name: np.maximum(column, found[name]) for name, column in worst.items()}
    return Coverage(**worst, **_sizes(world, tailed, held))


def weakened(world: World, terms: ScanTerms, rule: str) -> ArraysAt:
    """Return the venue without one of its bounds."""
    at, market, move = world.arrays(terms), world.market, terms.move
    if rule == "gap":
        return replace(at, words=replace(at.words, gap=np.zeros_like(at.words.gap)))
    if rule == "bend":
        bend, row = np.zeros_like(at.words.bend), np.flatnonzero(at.instruments.kind == OPTION)
        forward, strike, years, vol, _, fixed = option_columns(at.instruments, market, row)
        left = np.maximum(strike - fixed, 0.0)
        gamma = np.minimum(greeks(forward, left, years, vol, np.True_).gamma * forward**2, 2.0 * forward / move)
        bend[row] = 0.5 * gamma * move**2
        return replace(at, words=replace(at.words, bend=bend))
    return at


def groups(world: World) -> list[Ints]:
    return [np.flatnonzero(world.instruments.underlying == u) for u in range(world.market.spot.size)]


def _asked(at: ArraysAt, world: World) -> tuple[Floats, Floats]:
    report = at(world.book)
    return report.equity, report.contingencies["IM scan or short"]


def _sizes(world: World, at: ArraysAt, held: Floats) -> dict[str, Floats]:
    words, still = at.words, Revalued.of(world, held, np.ones(world.market.spot.size))
    rows = np.stack([(held[:, g] @ words.value[g, :GRID_ROWS]).min(axis=1) for g in groups(world)], axis=1)
    loss = words.mark[:, np.newaxis] - words.value
    cover = world.terms.cover
    long, short = ((side * loss * cover).max(axis=1, initial=0.0) for side in (1.0, -1.0))
    return {
        "notional": np.abs(held) @ world.market.spot[world.instruments.underlying],
        "gross_scan": np.maximum(held, 0.0) @ long + np.maximum(-held, 0.0) @ short,
        "gap": np.maximum(held, 0.0) @ words.gap,
        "scan": np.maximum(still.now - rows, 0.0).sum(axis=1),
        "needed": np.maximum(np.minimum(rows, still.now) - still.least, 0.0).sum(axis=1),
    }
