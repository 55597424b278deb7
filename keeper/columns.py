"""A twin's world and books as the engine's columns: integers become floats here, each rounded once.

Instruments are options, then one perpetual an underlying, then the collaterals. What a world cannot price is put in
with plain numbers: no statement of the twin rests on it (`MarginRefused`), and nothing else may.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.array_words import ROWS, ScanTerms, Words
from engine.margin.arrays import Arrays, ArraysAt, MarginTerms, UnderlyingTerms
from engine.market import Market
from engine.types import Floats
from keeper.twin import records
from keeper.twin.records import Instrument, Slice
from keeper.twin.world import Epoch, World
from keeper.units import WAD_DECIMALS, to_float

BPS_DECIMALS: Final = 4
WORD_DECIMALS: Final = 6
STRIKE_DECIMALS: Final = 8
FRONT: Final = 4  # words before the rows': mark, delta, bend, gap


@dataclass(frozen=True)
class Columns:
    """One world and the options that matter in it."""

    world: World
    options: tuple[Instrument, ...]

    @cached_property
    def underlyings(self) -> tuple[int, ...]:
        return tuple(sorted(self.world.underlyings))

    @cached_property
    def expiries(self) -> tuple[tuple[int, int], ...]:
        """Underlying and time of each."""
        return tuple(sorted({(o.underlying, o.expiry) for o in self.options}))

    @cached_property
    def row(self) -> dict[int, int]:
        """Instrument id → row."""
        return {i.id: row for row, i in enumerate([*self.options, *map(Instrument, self.underlyings)])}

    @cached_property
    def instruments(self) -> Instruments:
        place = {u: row for row, u in enumerate(self.underlyings)}
        expiry = {key: row for row, key in enumerate(self.expiries)}
        tokens = [place.get(accepted.underlying, -1) for accepted in self.world.collaterals]
        linear = [*range(len(self.underlyings)), *tokens]
        none, kinds = np.zeros(len(linear)), [PERPETUAL] * len(self.underlyings) + [TOKEN] * len(tokens)
        return Instruments(
            names=tuple(f"i{row}" for row in range(len(self.options) + len(linear))),
            underlyings=tuple(map(str, self.underlyings)),
            expiries=tuple(map(str, self.expiries)),
            kind=np.array([OPTION] * len(self.options) + kinds, np.int8),
            underlying=np.array([place[o.underlying] for o in self.options] + linear, np.int64),
            expiry=np.array([expiry[o.underlying, o.expiry] for o in self.options] + [-1] * len(linear), np.int64),
            strike=np.append([to_float(o.strike, STRIKE_DECIMALS) for o in self.options], none),
            is_call=np.append([o.is_call for o in self.options], none).astype(np.bool_),
        )

    @cached_property
    def market(self) -> Market:
        """The newest reports and slices."""
        reports = [self.world.underlyings[u].report for u in self.underlyings]
        spot = np.array([to_float(r.price, WAD_DECIMALS) for r in reports])
        held = self.instruments
        option = held.kind == OPTION
        expiries = [self._expiry(u, expiry) for u, expiry in self.expiries]
        columns = np.array(expiries).reshape(-1, 3).T
        return Market(
            spot=spot,
            spot_confidence=np.array([1.0 - r.confidence / r.price for r in reports]),
            expiry_underlying=np.array([self.underlyings.index(u) for u, _ in self.expiries], np.int64),
            seconds=columns[0],
            forward=columns[1],
            forward_fixed=columns[2],
            forward_confidence=np.ones(len(expiries)),
            rate=np.zeros(len(expiries)),
            rate_confidence=np.ones(len(expiries)),
            price=np.where(option, 0.0, np.append(spot, 1.0)[held.underlying]),
            vol=np.append(self._vols(), np.zeros(option.size - len(self.options))),
            confidence=np.ones(option.size),
        )

    def priced(self) -> ArraysAt:
        """Return the venue with the arrays of its newest reports and slices, computed in floats."""
        return self._model({u: known.scan for u, known in self.world.underlyings.items()}).at(
            self.instruments, self.market
        )

    def published(self, epochs: Mapping[int, Epoch | None]) -> ArraysAt:
        """Return the venue with the words of these epochs, by underlying."""
        scans = {u: e.parameters for u, e in epochs.items() if e is not None}
        model = self._model({u: scans.get(u, known.scan) for u, known in self.world.underlyings.items()})
        return model.on(self.instruments, self.market, self._words(epochs))

    def book(self, names: Sequence[str], books: Sequence[records.Book]) -> Book:
        """Return these books. Raises KeyError for an option that is not among `options`."""
        first = len(self.options) + len(self.underlyings)
        known = self.world.collaterals
        rows = [
            [self.row[leg.instrument.id] for leg in b.legs] + [first + h.index for h in b.collateral] for b in books
        ]
        sizes = [
            to_float(size, WAD_DECIMALS)
            for b in books
            for size in [*(leg.size for leg in b.legs), *(known[h.index].to_wad(h.amount) for h in b.collateral)]
        ]
        quantity = np.array(sizes, np.float64)
        return Book(
            instruments=self.instruments,
            accounts=tuple(names),
            cash=np.array([to_float(b.cash, WAD_DECIMALS) for b in books]),
            start=np.cumsum([0, *map(len, rows)]),
            instrument=np.array([row for account in rows for row in account], np.int64),
            quantity=quantity,
            entry=np.zeros(quantity.size),
            accrued=np.zeros(quantity.size),
        )

    def _expiry(self, u: int, expiry: int) -> tuple[float, float, float]:
        """Return seconds left, the forward's moving part and its fixed part."""
        report, slice_ = self.world.underlyings[u].report, self.world.underlyings[u].slices.get(expiry)
        spot = to_float(report.price, WAD_DECIMALS)
        fixing = report.fixing_expiry == expiry
        share = to_float(report.fixed_share, WAD_DECIMALS) if fixing else 0.0
        fixed = share * to_float(report.fixed_average, WAD_DECIMALS)
        carry = 1.0 if slice_ is None else slice_.forward / slice_.spot
        return max(expiry - report.timestamp, 0), (1.0 - share) * spot * carry, fixed

    def _vols(self) -> Floats:
        """(options,) implied volatility at each strike; 0 where there is no slice."""
        found = np.zeros(len(self.options))
        by_expiry: dict[tuple[int, int], list[int]] = {}
        for row, option in enumerate(self.options):
            by_expiry.setdefault((option.underlying, option.expiry), []).append(row)
        for (u, expiry), rows in by_expiry.items():
            slice_ = self.world.underlyings[u].slices.get(expiry)
            if slice_ is not None:
                found[rows] = implied(slice_, self.instruments.strike[rows])
        return found

    def _words(self, epochs: Mapping[int, Epoch | None]) -> Words:
        """Return published words as floats; 0 where an epoch has none."""
        columns = np.zeros((len(self.instruments.names), FRONT + ROWS))
        for row, option in enumerate(self.options):
            epoch = epochs.get(option.underlying)
            arrays = epoch.arrays.get(option.expiry, ()) if epoch is not None else ()
            if option.index < len(arrays):
                columns[row] = arrays[option.index]
        columns /= 10**WORD_DECIMALS
        prices = [epochs.get(u) or self.world.underlyings[u].report for u in self.underlyings]
        return Words(
            price=np.array([to_float(p.price, WAD_DECIMALS) for p in prices]),
            mark=columns[:, 0],
            delta=columns[:, 1],
            bend=columns[:, 2],
            gap=columns[:, 3],
            value=columns[:, :1] + columns[:, FRONT:],
        )

    def _model(self, scans: Mapping[int, records.ScanParameters]) -> Arrays:
        first = len(self.options) + len(self.underlyings)
        tokens = {f"i{first + row}": accepted for row, accepted in enumerate(self.world.collaterals)}
        terms = {
            str(u): UnderlyingTerms(
                scan=scan_terms(scans[u]),
                margin=margin_terms(known.margin),
                mm=margin_terms(known.mm),
                now=scan_terms(known.scan),
            )
            for u, known in self.world.underlyings.items()
        }
        return Arrays(
            terms=terms,
            haircuts={name: to_float(accepted.haircut, BPS_DECIMALS) for name, accepted in tokens.items()},
            mm_haircuts={name: to_float(accepted.haircut_mm, BPS_DECIMALS) for name, accepted in tokens.items()},
        )


def scan_terms(scan: records.ScanParameters) -> ScanTerms:
    wads = ("scan", "vol_up", "vol_down", "short_power", "long_power", "extreme", "deep_up", "deep_down")
    return ScanTerms(
        **{name: to_float(getattr(scan, name), WAD_DECIMALS) for name in wads},
        **{
            name: to_float(getattr(scan, name), BPS_DECIMALS)
            for name in ("extreme_cover", "deep_up_cover", "deep_down_cover")
        },
    )


def margin_terms(margin: records.MarginParameters) -> MarginTerms:
    bps = ("im_scalar", "mm_scalar", "short_im_rate", "short_mm_rate", "concentration_rate", "confidence_factor")
    return MarginTerms(
        **{name: to_float(getattr(margin, name), BPS_DECIMALS) for name in bps},
        concentration_from=to_float(margin.concentration_from, WAD_DECIMALS),
    )


def implied(slice_: Slice, strike: Floats) -> Floats:
    """Return implied volatility a year at strikes in USD; the model keeps it within its limits."""
    a, b, rho, m, s = (to_float(getattr(slice_, name), WAD_DECIMALS) for name in ("a", "b", "rho", "m", "s"))
    y = np.log(strike / to_float(slice_.forward, WAD_DECIMALS)) - m
    variance: Floats = a + b * (rho * y + np.hypot(y, s))
    return np.sqrt(np.maximum(variance, 0.0))
