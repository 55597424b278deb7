"""The market at one block: everything an instrument's value depends on, as columns."""

from dataclasses import dataclass, replace

import numpy as np

from engine.book import OPTION, PERPETUAL, TOKEN, Instruments
from engine.records import own, require_finite, require_length, require_range, require_rows
from engine.types import DAY, YEAR, Floats, Ints


@dataclass(frozen=True, slots=True)
class Market:
    """Prices, forwards and volatilities of U underlyings, E expiries and I instruments.

    Confidence lies in [0, 1]; 1 is certain. A forward has a part already fixed by settlement averaging and a part
    that still moves; outside the averaging window the fixed part is 0.
    """

    spot: Floats  # (U,) USD, > 0
    spot_confidence: Floats  # (U,)
    expiry_underlying: Ints  # (E,) row of the underlying
    seconds: Floats  # (E,) to expiry from the block's timestamp, >= 0
    forward: Floats  # (E,) USD, the part that moves, >= 0
    forward_fixed: Floats  # (E,) USD, >= 0
    forward_confidence: Floats  # (E,)
    rate: Floats  # (E,) continuously compounded
    rate_confidence: Floats  # (E,)
    price: Floats  # (I,) USD: mark of a perpetual, price of a token; 0 for options and futures
    vol: Floats  # (I,) annualised, options only; 0 otherwise
    confidence: Floats  # (I,) of price or vol
    stable_price: float = 1.0  # USD per unit of the settlement stablecoin

    def __post_init__(self) -> None:
        require_length(self, self.spot.size, "spot", "spot_confidence")
        expiry = ("expiry_underlying", "seconds", "forward", "forward_fixed", "forward_confidence")
        require_length(self, self.seconds.size, *expiry, "rate", "rate_confidence")
        require_length(self, self.price.size, "price", "vol", "confidence")
        require_rows(self, "expiry_underlying", self.spot.size)
        require_finite(self, "spot", "seconds", "forward", "forward_fixed", "rate", "price", "vol")
        require_range(self, "spot", np.nextafter(0.0, 1.0))
        for name in ("seconds", "forward", "forward_fixed", "price", "vol"):
            require_range(self, name, 0.0)
        for name in ("spot_confidence", "forward_confidence", "rate_confidence", "confidence"):
            require_range(self, name, 0.0, 1.0)
        if not 0.0 < self.stable_price < np.inf:
            raise ValueError(f"Market.stable_price: expected a price > 0, found {self.stable_price}")
        own(self)

    @property
    def years(self) -> Floats:
        """(E,) time to expiry, ACT/365."""
        return self.seconds / YEAR


def require_market(instruments: Instruments, market: Market) -> None:
    """Raise ValueError where the market lacks a row, a price or a vol that the instruments need.

    Perpetuals and tokens need a price > 0; an unpriced row must never pass as worth nothing.
    """
    require_length(market, len(instruments.underlyings), "spot")
    require_length(market, len(instruments.expiries), "seconds")
    require_length(market, len(instruments.names), "price")
    quoted = np.isin(instruments.kind, (PERPETUAL, TOKEN))
    unpriced = np.flatnonzero(quoted & (market.price <= 0.0))
    if unpriced.size:
        raise ValueError(f"Market.price: expected a price > 0 for {instruments.names[unpriced[0]]}, found 0")
    dated = instruments.expiry >= 0
    held = market.expiry_underlying[instruments.expiry[dated]]
    if (held != instruments.underlying[dated]).any():
        row = int(np.flatnonzero(dated)[np.flatnonzero(held != instruments.underlying[dated])[0]])
        raise ValueError(f"Market.expiry_underlying: {instruments.names[row]} expires on another underlying")


def shifted(
    instruments: Instruments, market: Market, *, spot: float = 0.0, vol: float = 0.0, days: float = 0.0
) -> Market:
    """Return the market after a move: spot by a relative shock (> −1), vols by a relative shock (>= −1), time passing.

    Everything that follows an underlying moves with it: spot, forwards (the unfixed part), perpetual marks and
    tokens of that underlying. An expiry that is passed stays at 0 seconds, where options are worth their intrinsic
    value on the forward. Raises ValueError for a shock outside its range or negative days.
    """
    if not (spot > -1.0 and vol >= -1.0 and days >= 0.0):
        raise ValueError(f"shifted: expected spot > -1, vol >= -1, days >= 0, found {spot}, {vol}, {days}")
    moving = instruments.underlying >= 0
    return replace(
        market,
        spot=market.spot * (1.0 + spot),
        forward=market.forward * (1.0 + spot),
        price=np.where(moving, market.price * (1.0 + spot), market.price),
        vol=np.where(instruments.kind == OPTION, market.vol * (1.0 + vol), 0.0),
        seconds=np.maximum(market.seconds - days * DAY, 0.0),
    )
