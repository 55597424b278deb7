"""The reference venue's portfolio margin on risk arrays, in float64.

Per underlying, with x the move since the arrays' price, sums over what an account holds, net of each instrument:

    M      = Σ size · (mark + delta · x) − Σ short · bend · |x| / move limit        mark value
    loss_s = M − Σ size · value_s + Σ long · gap                                    the gap in grid rows only
    scan   = max(0, max loss_s · cover_s)
    IM     = max(scan · IM scalar, shorts · spot · IM rate) + concentration + confidence
    MM     = the same with MM scalar and rate

IM and MM of the account add up over its underlyings (no credit between them), with collateral's haircuts and one array
unit, 10⁻⁶ USD, an option contract; equity is cash and all M. A tightening reaches MM a day late and in a line, so that
MM may have rates and haircuts of its own. Source: docs/risk-arrays.md, "Margin of an account".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments, account_sums, mark_to_market, netted
from engine.compiled import kernel
from engine.margin.array_words import GRID_ROWS, ROW_NAMES, ROWS, ScanTerms, Words, words
from engine.margin.base import MarginReport, judged, require_instruments
from engine.margin.derive import gross_exposure, require_accepted
from engine.market import Market, require_market
from engine.records import floats, require_not_negative
from engine.types import Flags, Floats, Ints

UNIT: Final = 1e-6
"""USD: what the venue's array words count."""
BAND: Final = 1e-12
"""Of gross exposure: how far floats and the venue's integers may differ, beside the words' units."""
UNITS: Final = 4.0
"""Units a contract by which floored words may move equity − MM."""
# Columns of a group's sums beside the rows.
MARK, DELTA, BEND, GAP, SHORT, SIZE, CONTRACTS, LINEAR = range(8)


@dataclass(frozen=True, slots=True)
class MarginTerms:
    """What turns arrays into margin, of one underlying. Rates are shares of spot a contract."""

    im_scalar: float = 1.0  # >= 1
    mm_scalar: float = 0.8  # <= 1
    short_im_rate: float = 0.02
    short_mm_rate: float = 0.015
    concentration_rate: float = 0.0  # of contracts beyond the threshold
    concentration_from: float = 0.0  # contracts
    confidence_factor: float = 1.0  # of |net delta| · half-width of the price

    def __post_init__(self) -> None:
        require_not_negative(self, *self.__slots__)
        if not (self.mm_scalar <= 1.0 <= self.im_scalar and self.short_mm_rate <= self.short_im_rate):
            raise ValueError(f"MarginTerms: expected MM scalar <= 1 <= IM scalar, MM rate <= IM rate, found {self}")


@dataclass(frozen=True, slots=True)
class UnderlyingTerms:
    """The terms of one underlying."""

    scan: ScanTerms = field(default_factory=ScanTerms)  # of the arrays
    margin: MarginTerms = MarginTerms()  # what IM counts with
    mm: MarginTerms | None = None  # what MM counts with; None: the same
    now: ScanTerms | None = None  # of what is held without options, which needs no arrays; None: as the arrays


@dataclass(frozen=True, slots=True)
class Arrays:
    """Parameters of the reference venue; `at` margins books with them (engine.margin.base.MarginModel)."""

    terms: Mapping[str, UnderlyingTerms] = field(default_factory=dict)  # by name of the underlying
    other: UnderlyingTerms = UnderlyingTerms()  # of underlyings not named
    haircuts: Mapping[str, float] = field(default_factory=dict)  # by instrument name, share of a token's price
    other_haircut: float = 0.1
    mm_haircuts: Mapping[str, float] = field(default_factory=dict)  # what MM counts with, where it is another

    def __post_init__(self) -> None:
        named = [*self.haircuts.items(), *self.mm_haircuts.items(), ("other_haircut", self.other_haircut)]
        for name, haircut in named:
            if not 0.0 <= haircut < 1.0:
                raise ValueError(f"Arrays.haircuts: expected shares of at least 0 and below 1, found {name} {haircut}")

    def at(self, instruments: Instruments, market: Market) -> "ArraysAt":
        """Compute every instrument's array, once for all accounts.

        Perpetuals and tokens are worth their underlying's spot; 1 − spot confidence is the half-width of the price as a
        share of it. Raises ValueError for a market that does not fit.
        """
        require_market(instruments, market)
        scans = tuple(self.terms.get(name, self.other).scan for name in instruments.underlyings)
        return self.on(instruments, market, words(instruments, market, scans))

    def on(self, instruments: Instruments, market: Market, arrays: Words) -> "ArraysAt":
        """Take these arrays as they are: published ones, say."""
        terms = tuple(self.terms.get(name, self.other) for name in instruments.underlyings)
        moving = instruments.underlying >= 0
        token = instruments.kind == TOKEN
        haircut = [self.haircuts.get(name, self.other_haircut) for name in instruments.names]
        of_mm = [self.mm_haircuts.get(name, same) for name, same in zip(instruments.names, haircut, strict=True)]
        return ArraysAt(
            instruments=instruments,
            market=market,
            terms=terms,
            words=arrays,
            haircut=np.where(token, floats(haircut), 0.0),
            mm_haircut=np.where(token, floats(of_mm), 0.0),
            accepted=moving & np.isin(instruments.kind, (OPTION, PERPETUAL, TOKEN)),
        )


@dataclass(frozen=True, slots=True)
class ArraysAt:
    """The venue at one price of each underlying, with the arrays of that price or of an earlier one."""

    instruments: Instruments
    market: Market  # the newest prices; forwards and vols are in the arrays
    terms: tuple[UnderlyingTerms, ...]  # (U,)
    words: Words
    haircut: Floats  # (I,) for IM
    mm_haircut: Floats  # (I,)
    accepted: Flags  # (I,)

    def moved(self, spot: Floats) -> "ArraysAt":
        """Return the venue after spots moved to `spot`, (U,) USD > 0, with the arrays kept.

        Not refused beyond the move limit, where the venue would call the arrays stale.
        """
        return replace(self, market=replace(self.market, spot=floats(spot)))

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The names of the rows, underlying by underlying."""
        return tuple(f"{name}: {row}" for name in self.instruments.underlyings for row in ROW_NAMES)

    def __call__(self, book: Book) -> MarginReport:
        """Return the report. IM is the sum of the parts that begin with IM and array units, MM likewise.

        Raises ValueError for a book of other instruments, a dated future, a token owed or that moves with nothing.
        """
        require_instruments(book, self.instruments)
        require_accepted(book, self.accepted)
        held = netted(book)
        sums, rows = self._sums(book, held)
        mark, loss = self._losses(sums, rows)
        counted = np.maximum(loss * self._by_row(sums, "cover"), 0.0)
        worst = counted.max(axis=2, initial=0.0)
        worth = held * self._spot[book.instrument]
        units = UNIT * sums[:, :, CONTRACTS].sum(axis=1)
        im = self._parts(sums, worst, "im", [term.margin for term in self.terms])
        mm = self._parts(sums, worst, "mm", [term.mm or term.margin for term in self.terms])
        im["haircuts"] = account_sums(book, worth * self.haircut[book.instrument])
        mm["haircuts"] = account_sums(book, worth * self.mm_haircut[book.instrument])
        parts = {f"{which} {name}": part for which, ours in (("IM", im), ("MM", mm)) for name, part in ours.items()}
        equity = mark_to_market(book, np.zeros(self.haircut.size)) + mark.sum(axis=1)
        exposure = gross_exposure(book, self.market, self._spot)
        return judged(
            equity=equity,
            im=sum(im.values(), units),
            mm=sum(mm.values(), units),
            mark_to_market=equity.copy(),
            band=BAND * exposure + UNITS * units,
            worst=_deciding(counted),
            scenarios=self.scenarios,
            contingencies=parts | {"array units": units},
        )

    @property
    def _spot(self) -> Floats:
        """(I,) price of each instrument's underlying, 0 where it has none."""
        return np.append(self.market.spot, 0.0)[self.instruments.underlying]

    def _sums(self, book: Book, held: Floats) -> tuple[Floats, Floats]:
        """Return what the columns and the rows add up to, (A, U, 8) and (A, U, 18); linear instruments apart."""
        shape = len(book.accounts), len(self.terms)
        sums, rows, arrays = np.zeros((*shape, LINEAR + 1)), np.zeros((*shape, ROWS)), self.words
        option = self.instruments.kind == OPTION
        counted = option | (self.instruments.kind == PERPETUAL)
        columns = (arrays.mark, arrays.delta, arrays.bend, arrays.gap, arrays.value)
        _sum(book.start, book.instrument, held, self.instruments.underlying, option, counted, *columns, sums, rows)
        return sums, rows

    def _losses(self, sums: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Return M, (A, U), and loss_s with the gap, cover not applied, (A, U, 18)."""
        spot, move = self.market.spot, floats([term.scan.move for term in self.terms])
        x = (spot - self.words.price) / self.words.price
        mark = sums[:, :, MARK] + sums[:, :, DELTA] * x - sums[:, :, BEND] * np.abs(x) / move
        mark = mark + sums[:, :, LINEAR] * spot
        # Without options no epoch is needed: the rows stand around the newest price.
        centre = np.where(sums[:, :, CONTRACTS] > 0.0, self.words.price, spot)
        at_row = rows + (sums[:, :, LINEAR] * centre)[:, :, np.newaxis] * self._by_row(sums, "prices")
        loss = mark[:, :, np.newaxis] - at_row
        loss[:, :, :GRID_ROWS] += sums[:, :, GAP, np.newaxis]
        return mark, loss

    def _by_row(self, sums: Floats, name: str) -> Floats:
        """Return a number of each row's, (A, U, 18): the arrays' where there are options, else that in force now."""
        arrays, now = (
            floats([getattr(scan, name) for scan in scans]).reshape(-1, ROWS)
            for scans in ([term.scan for term in self.terms], [term.now or term.scan for term in self.terms])
        )
        return np.where(sums[:, :, CONTRACTS, np.newaxis] > 0.0, arrays, now)

    def _parts(self, sums: Floats, scan: Floats, which: str, rates: Sequence[MarginTerms]) -> dict[str, Floats]:
        """Return the parts of IM or MM (`which`) that are per underlying, summed, (A,) each."""
        spot = self.market.spot

        def rate(name: str) -> Floats:
            return floats([getattr(rate, name) for rate in rates])

        delta = np.abs(sums[:, :, DELTA] + sums[:, :, LINEAR] * spot)
        short = sums[:, :, SHORT] * spot * rate(f"short_{which}_rate")
        beyond = np.maximum(sums[:, :, SIZE] - rate("concentration_from"), 0.0)
        return {
            "scan or short": np.maximum(scan * rate(f"{which}_scalar"), short).sum(axis=1),
            "concentration": (rate("concentration_rate") * spot * beyond).sum(axis=1),
            "confidence": (delta * (1.0 - self.market.spot_confidence) * rate("confidence_factor")).sum(axis=1),
        }


def _deciding(counted: Floats) -> Ints:
    """Return the row, U · 18, of the largest loss that counts, (A,), the first on ties; −1 where none does."""
    accounts, underlyings, rows = counted.shape
    flat = counted.reshape(accounts, underlyings * rows)
    if flat.shape[1] == 0:
        return np.full(accounts, -1)
    return np.where(flat.max(axis=1) > 0.0, flat.argmax(axis=1), -1)


def _sum_py(
    start: Ints,
    instrument: Ints,
    held: Floats,
    underlying: Ints,
    option: Flags,
    counted: Flags,
    mark: Floats,
    delta: Floats,
    bend: Floats,
    gap: Floats,
    value: Floats,
    sums: Floats,
    rows: Floats,
) -> None:
    """Add each account's net holdings to `sums` (A, U, 8) and, of options, `rows` (A, U, 18)."""
    for a in range(start.size - 1):
        for p in range(start[a], start[a + 1]):
            size, i = held[p], instrument[p]
            if size == 0.0:
                continue
            group = sums[a, underlying[i]]
            if counted[i]:
                group[SIZE] += abs(size)
            if not option[i]:
                group[LINEAR] += size
                continue
            group[CONTRACTS] += abs(size)
            group[MARK] += size * mark[i]
            group[DELTA] += size * delta[i]
            if size > 0.0:
                group[GAP] += size * gap[i]
            else:
                group[SHORT] -= size
                group[BEND] -= size * bend[i]
            for s in range(ROWS):
                rows[a, underlying[i], s] += size * value[i, s]


_sum: Callable[..., None] = kernel(_sum_py)
