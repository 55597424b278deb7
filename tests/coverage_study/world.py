"""Markets and books of the study, and their full revaluation."""

from dataclasses import dataclass, replace

import numpy as np

from engine.averaging import WINDOW, unfixed_price, variance_seconds
from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.array_words import LEAST_VOL, MOST_VOL, ScanTerms
from engine.margin.arrays import Arrays, ArraysAt, MarginTerms, UnderlyingTerms
from engine.market import Market
from engine.types import DAY, YEAR, Floats, Ints

UNDERLYINGS = ("BTC", "ETH")
SPOT = np.array([60_000.0, 3_000.0])
TERMS = ScanTerms()
BARE = MarginTerms(short_im_rate=0.0, short_mm_rate=0.0)
CLASSES = ("last hour", "last day", "week", "quarter", "beyond")
CLASS_ENDS = np.array([3600.0, DAY, 7 * DAY, 91 * DAY, np.inf])
GRID = np.linspace(-1.0, 1.0, 200)


def model(terms: ScanTerms) -> Arrays:
    """The venue with nothing but scan and gap: no short minimum, concentration, doubt or haircut."""
    return Arrays(other=UnderlyingTerms(terms, BARE), other_haircut=0.0)


def expiry_class(seconds: Floats) -> Ints:
    """Row of CLASSES."""
    return np.searchsorted(CLASS_ENDS, seconds)


@dataclass(frozen=True)
class World:
    """One market, what it lists, and books in it."""

    instruments: Instruments
    market: Market
    book: Book
    terms: ScanTerms = TERMS  # of every underlying

    @property
    def no_tails(self) -> ScanTerms:
        return replace(self.terms, extreme_cover=0.0, deep_up_cover=0.0, deep_down_cover=0.0)

    def arrays(self, terms: ScanTerms) -> ArraysAt:
        return model(terms).at(self.instruments, self.market)

    def values(self, rows: Ints, price: Floats, turn: int | None) -> Floats:
        """Return values of instruments, (rows, N), at N multiples of the underlying's price, with the grid's vol up
        (`turn` 0), down (1) or kept (None). Nothing of the arrays is used: an option is priced where the price stands.
        """
        held, market = self.instruments, self.market
        value = market.spot[held.underlying[rows]][:, np.newaxis] * price
        place = np.flatnonzero(held.kind[rows] == OPTION)
        forward, strike, years, vol, call, fixed = option_columns(held, market, rows[place])
        if turn is not None:
            vol = vol * self.terms.vols(market.seconds[held.expiry[rows[place]]])[:, turn]
        columns = (column[:, np.newaxis] for column in (strike, years, vol, call, fixed))
        value[place] = unfixed_price(forward[:, np.newaxis] * price, *columns)
        return value

    def holdings(self) -> Floats:
        """(A, I) net quantities."""
        held = np.zeros((len(self.book.accounts), len(self.instruments.names)))
        np.add.at(held, (self.book.account, self.book.instrument), self.book.quantity)
        return held


def option_columns(held: Instruments, market: Market, rows: Ints) -> tuple[Floats, ...]:
    """Forward of the unfixed part, strike, years of variance, vol, kind and fixed part of options, (rows,) each."""
    expiry = held.expiry[rows]
    years = variance_seconds(market.seconds[expiry]) / YEAR
    vol = np.clip(market.vol[rows], LEAST_VOL, MOST_VOL)
    return market.forward[expiry], held.strike[rows], years, vol, held.is_call[rows], market.forward_fixed[expiry]


def random_world(seed: int, books: int, last_hour: bool) -> World:
    """Two underlyings with four expiries each, calls and puts, a perpetual and a token; books of 1 to 126 legs."""
    rng = np.random.default_rng(seed)
    near = rng.uniform(60.0, 3600.0) if last_hour else rng.uniform(3600.0, DAY)
    seconds = np.array([near, rng.uniform(1, 7) * DAY, rng.uniform(7, 60) * DAY, rng.uniform(91, 365) * DAY] * 2)
    of = np.repeat([0, 1], 4)
    share = np.maximum(1.0 - seconds / WINDOW, 0.0)
    forward = SPOT[of] * np.exp(rng.uniform(-0.05, 0.1, 8) * seconds / YEAR)
    average = SPOT[of] * (1.0 + rng.normal(0.0, 0.003, 8))
    moneyness = np.unique(np.round(np.append(np.linspace(0.7, 1.4, 22), 1.0 + rng.normal(0.0, 0.02, 10)), 4))
    rows = [(OPTION, of[e], e, k * SPOT[of[e]], call) for e in range(8) for k in moneyness for call in (True, False)]
    rows += [(kind, u, -1, 0.0, False) for kind in (PERPETUAL, TOKEN) for u in (0, 1)]
    kind, underlying, expiry, strike, call = (np.array(column) for column in zip(*rows, strict=True))
    instruments = Instruments(
        names=tuple(f"i{row}" for row in range(len(rows))),
        underlyings=UNDERLYINGS,
        expiries=tuple(f"e{e}" for e in range(8)),
        kind=kind.astype(np.int8),
        underlying=underlying.astype(np.int64),
        expiry=expiry.astype(np.int64),
        strike=strike.astype(np.float64),
        is_call=call.astype(np.bool_),
    )
    option = instruments.kind == OPTION
    at, skew, wing = rng.uniform(0.3, 1.2, 8), rng.uniform(-0.3, 0.1, 8), rng.uniform(0.0, 0.8, 8)
    k = np.log(np.where(option, instruments.strike, 1.0) / forward[instruments.expiry])
    e = instruments.expiry
    market = Market(
        spot=SPOT.copy(),
        spot_confidence=np.ones(2),
        expiry_underlying=of,
        seconds=seconds,
        forward=(1.0 - share) * forward,
        forward_fixed=share * average,
        forward_confidence=np.ones(8),
        rate=np.zeros(8),
        rate_confidence=np.ones(8),
        price=np.where(option, 0.0, SPOT[instruments.underlying]),
        vol=np.where(option, np.maximum(at[e] + skew[e] * k + wing[e] * k * k, 0.05), 0.0),
        confidence=np.ones(len(rows)),
    )
    return World(instruments, market, random_books(rng, instruments, books))


def random_books(rng: np.random.Generator, instruments: Instruments, books: int) -> Book:
    """1 to 126 option legs each, of at least 3 expiries where 3 legs allow and of both underlyings where 2 do; half of
    the books mostly hedged in pairs; half with perpetuals and two collaterals."""
    options = np.flatnonzero(instruments.kind == OPTION)
    held: list[Ints] = []
    sizes: list[Floats] = []
    for b in range(books):
        count = int(rng.integers(1, 127))
        legs = rng.choice(options, min(count, options.size), replace=False)
        for place, expiry in zip(range(count), (0, 5, 2), strict=False):
            legs[place] = rng.choice(np.flatnonzero(instruments.expiry == expiry))
        size = rng.choice([-1.0, 1.0], legs.size) * np.exp(rng.normal(0.0, 1.0, legs.size))
        if b % 2:  # neighbours in opposite directions: verticals, butterflies, calendars
            order = np.argsort(legs)
            legs, size = legs[order], np.abs(size[order]) * np.where(np.arange(legs.size) % 2, -1.0, 1.0)
            size[1::2] = -np.abs(size[:-1:2][: size[1::2].size])
        size *= np.where(instruments.underlying[legs] == 1, 20.0, 1.0)
        if b % 4 >= 2:
            rest = np.flatnonzero(instruments.kind != OPTION)
            legs = np.append(legs, rest)
            size = np.append(
                size, rng.normal(0.0, 2.0, rest.size) * np.where(instruments.underlying[rest] == 1, 20.0, 1.0)
            )
            token = instruments.kind[legs] == TOKEN
            size[token] = np.abs(size[token])
        held.append(legs.astype(np.int64))
        sizes.append(size)
    instrument, quantity = np.concatenate(held), np.concatenate(sizes)
    return Book(
        instruments=instruments,
        accounts=tuple(f"a{b}" for b in range(books)),
        cash=np.zeros(books),
        start=np.cumsum([0, *map(len, held)]),
        instrument=instrument,
        quantity=quantity,
        entry=np.zeros(quantity.size),
        accrued=np.zeros(quantity.size),
    )
