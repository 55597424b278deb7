"""A twin's world and books as the engine sees them, and how near its float model comes to the twin's statements."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.array_words import ScanTerms
from engine.margin.arrays import Arrays, ArraysAt, MarginTerms, UnderlyingTerms
from engine.market import Market
from keeper.twin import records
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays
from keeper.twin.world import World

COINS = (0, 1)
"""Underlyings with perpetuals and options; the third is a stablecoin."""


@dataclass(frozen=True)
class Board:
    """What is listed: options in this order, then the perpetuals, then the collaterals."""

    options: Sequence[records.Instrument]
    collaterals: Sequence[records.CollateralType]
    row: dict[int, int] = field(default_factory=dict)  # by instrument id

    def __post_init__(self) -> None:
        for place, instrument in enumerate([*self.options, *map(records.Instrument, COINS)]):
            self.row[instrument.id] = place

    @property
    def expiries(self) -> list[tuple[int, int]]:
        return sorted({(o.underlying, o.expiry) for o in self.options})

    def instruments(self) -> Instruments:
        linear = [*COINS, *(accepted.underlying for accepted in self.collaterals)]
        expiry = {key: row for row, key in enumerate(self.expiries)}
        none, count = np.zeros(len(linear)), len(self.options)
        return Instruments(
            names=tuple(f"i{row}" for row in range(count + len(linear))),
            underlyings=("0", "1", "2"),
            expiries=tuple(map(str, self.expiries)),
            kind=np.array([OPTION] * count + [PERPETUAL] * 2 + [TOKEN] * len(self.collaterals), np.int8),
            underlying=np.array([o.underlying for o in self.options] + linear, np.int64),
            expiry=np.array([expiry[o.underlying, o.expiry] for o in self.options] + [-1] * len(linear), np.int64),
            strike=np.append([o.strike / 1e8 for o in self.options], none),
            is_call=np.append([o.is_call for o in self.options], none).astype(np.bool_),
        )

    def market(self, world: World) -> Market:
        """The market that the newest epochs were published on: nothing was reported since."""
        known, held = world.underlyings, self.instruments()
        spot = np.array([known[u].report.price / WAD for u in range(3)])
        seconds, forward, fixed = [], [], []
        for u, expiry in self.expiries:
            report, slice_ = known[u].report, known[u].slices[expiry]
            fixing = report.fixing_expiry == expiry
            share, average = (report.fixed_share / WAD, report.fixed_average / WAD) if fixing else (0.0, 0.0)
            seconds.append(expiry - report.timestamp)
            forward.append((1.0 - share) * spot[u] * slice_.forward / slice_.spot)
            fixed.append(share * average)
        option = held.kind == OPTION
        vols = [_implied(known[o.underlying].slices[o.expiry], o.strike / 1e8) for o in self.options]
        return Market(
            spot=spot,
            spot_confidence=np.array([1.0 - known[u].report.confidence / known[u].report.price for u in range(3)]),
            expiry_underlying=np.array([u for u, _ in self.expiries]),
            seconds=np.array(seconds, np.float64),
            forward=np.array(forward),
            forward_fixed=np.array(fixed),
            forward_confidence=np.ones(len(self.expiries)),
            rate=np.zeros(len(self.expiries)),
            rate_confidence=np.ones(len(self.expiries)),
            price=np.where(option, 0.0, spot[held.underlying]),
            vol=np.append(vols, np.zeros(option.size - len(vols))),
            confidence=np.ones(option.size),
        )

    def model(self, world: World) -> Arrays:
        terms = {
            str(u): UnderlyingTerms(scan_terms(known.scan), _margin_terms(known.margin))
            for u, known in world.underlyings.items()
        }
        first = len(self.options) + len(COINS)
        haircuts = {f"i{first + row}": accepted.haircut / 1e4 for row, accepted in enumerate(self.collaterals)}
        return Arrays(terms=terms, haircuts=haircuts)

    def at(self, world: World) -> ArraysAt:
        return self.model(world).at(self.instruments(), self.market(world))

    def book(self, books: Sequence[records.Book]) -> Book:
        first, known = len(self.options) + len(COINS), self.collaterals
        rows = [
            [self.row[leg.instrument.id] for leg in b.legs] + [first + h.index for h in b.collateral] for b in books
        ]
        sizes = [
            [leg.size / WAD for leg in b.legs] + [known[h.index].to_wad(h.amount) / WAD for h in b.collateral]
            for b in books
        ]
        flat = np.array([size for account in sizes for size in account])
        return Book(
            instruments=self.instruments(),
            accounts=tuple(str(a) for a in range(len(books))),
            cash=np.array([b.cash / WAD for b in books]),
            start=np.cumsum([0, *map(len, rows)]),
            instrument=np.array([row for account in rows for row in account], np.int64),
            quantity=flat,
            entry=np.zeros(flat.size),
            accrued=np.zeros(flat.size),
        )

    def agree(self, priced: ArraysAt, world: World, books: Sequence[records.Book]) -> None:
        """Every statement of the twin to 1e-9 of gross notional and one array unit a contract, and within the model's
        own band."""
        book = self.book(books)
        found = priced(book)
        spot = priced.market.spot[priced.instruments.underlying]
        for a, statement in enumerate(by_arrays(b, world) for b in books):
            own = slice(book.start[a], book.start[a + 1])
            rows, size = book.instrument[own], np.abs(book.quantity[own])
            units = 1e-6 * size[priced.instruments.kind[rows] == OPTION].sum()
            near = 1e-9 * (size * spot[rows]).sum() + units + 1e-15 * abs(book.cash[a])
            for ours, theirs in (
                (found.equity[a], statement.equity),
                (found.im[a], statement.im),
                (found.mm[a], statement.mm),
            ):
                assert abs(ours - theirs / WAD) <= near
            assert abs(found.equity[a] - found.mm[a] - (statement.equity - statement.mm) / WAD) <= found.band[a]


def scan_terms(scan: records.ScanParameters) -> ScanTerms:
    wads = ("scan", "vol_up", "vol_down", "short_power", "long_power", "extreme", "deep_up", "deep_down")
    return ScanTerms(
        **{name: getattr(scan, name) / WAD for name in wads},
        **{name: getattr(scan, name) / 1e4 for name in ("extreme_cover", "deep_up_cover", "deep_down_cover")},
    )


def _margin_terms(margin: records.MarginParameters) -> MarginTerms:
    bps = ("im_scalar", "mm_scalar", "short_im_rate", "short_mm_rate", "concentration_rate", "confidence_factor")
    return MarginTerms(
        **{name: getattr(margin, name) / 1e4 for name in bps}, concentration_from=margin.concentration_from / WAD
    )


def _implied(slice_: records.Slice, strike: float) -> float:
    a, b, rho, m, s = (getattr(slice_, name) / WAD for name in ("a", "b", "rho", "m", "s"))
    y = np.log(strike / (slice_.forward / WAD)) - m
    return float(np.sqrt(a + b * (rho * y + np.hypot(y, s))))
