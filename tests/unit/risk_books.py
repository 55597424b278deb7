"""A small book on two underlyings for the tests of aggregation, distance and incremental margins."""

from dataclasses import dataclass

import numpy as np

from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments, mark_to_market
from engine.margin.base import judged
from engine.market import Market
from engine.revalue import risk_arrays
from engine.scan import worst
from engine.scenarios import Shock, grid
from engine.types import DAY

NAMES = ("BTC-PERPETUAL", "BTC-NEAR", "BTC-C100", "BTC-P90", "BTC-FAR-C100", "WBTC", "USDC", "ETH-PERPETUAL", "ETH-C10")

INSTRUMENTS = Instruments(
    names=NAMES,
    underlyings=("BTC", "ETH"),
    expiries=("BTC-NEAR", "BTC-FAR", "ETH-NEAR"),
    kind=np.array([PERPETUAL, FUTURE, OPTION, OPTION, OPTION, TOKEN, TOKEN, PERPETUAL, OPTION], np.int8),
    underlying=np.array([0, 0, 0, 0, 0, 0, -1, 1, 1]),
    expiry=np.array([-1, 0, 0, 0, 1, -1, -1, -1, 2]),
    strike=np.array([0.0, 0.0, 100.0, 90.0, 100.0, 0.0, 0.0, 0.0, 10.0]),
    is_call=np.array([False, False, True, False, True, False, False, False, True]),
)

MARKET = Market(
    spot=np.array([100.0, 10.0]),
    spot_confidence=np.ones(2),
    expiry_underlying=np.array([0, 0, 1]),
    seconds=np.array([30.0, 120.0, 30.0]) * DAY,
    forward=np.array([101.0, 104.0, 10.05]),
    forward_fixed=np.zeros(3),
    forward_confidence=np.ones(3),
    rate=np.array([0.05, 0.04, 0.0]),
    rate_confidence=np.ones(3),
    price=np.array([100.5, 0.0, 0.0, 0.0, 0.0, 99.0, 1.0, 10.01, 0.0]),
    vol=np.array([0.0, 0.0, 0.6, 0.65, 0.55, 0.0, 0.0, 0.0, 0.8]),
    confidence=np.ones(9),
)


def book_of(holdings, cash=None):
    """Return a book: {account: {instrument name: quantity}}; marked instruments entered at 100 (BTC) and 10 (ETH)."""
    rows = [(NAMES.index(name), quantity) for held in holdings.values() for name, quantity in held.items()]
    instrument = np.array([row for row, _ in rows], np.int64)
    marked = np.isin(INSTRUMENTS.kind[instrument], (PERPETUAL, FUTURE))
    return Book(
        instruments=INSTRUMENTS,
        accounts=tuple(holdings),
        cash=np.array([(cash or {}).get(account, 0.0) for account in holdings], np.float64),
        start=np.concatenate([[0], np.cumsum([len(held) for held in holdings.values()])]).astype(np.int64),
        instrument=instrument,
        quantity=np.array([quantity for _, quantity in rows], np.float64),
        entry=np.where(marked, np.where(INSTRUMENTS.underlying[instrument] == 0, 100.0, 10.0), 0.0),
        accrued=np.zeros(instrument.size),
    )


@dataclass(frozen=True)
class Scan:
    """Worst of a few spot moves and vol moves; MM is half of IM. As simple as a margin model can be."""

    shocks: tuple[float, ...] = (-0.1, 0.1)

    def at(self, instruments, market):
        shocks = [Shock(spot, vol) for spot in self.shocks for vol in ("up", "down")]
        scenarios = grid(shocks, len(instruments.underlyings), vol_up=0.2, vol_down=0.2)
        arrays = risk_arrays(instruments, market, scenarios)

        def margin_of(book):
            least, row = worst(book.start, book.instrument, book.quantity, arrays.pnl)
            equity = mark_to_market(book, arrays.mark)
            im = np.maximum(-least, 0.0)
            return judged(
                equity=equity,
                im=im,
                mm=0.5 * im,
                mark_to_market=equity.copy(),
                band=np.zeros(equity.size),
                worst=row,
                scenarios=scenarios.names,
                contingencies={"scan": im.copy()},
            )

        return margin_of


@dataclass(frozen=True)
class Flat:
    """MM is a share of the gross notional at the marks of perpetuals: distances follow by hand."""

    ratio: float = 0.05
    charge: float = 0.0  # USD for every account

    def at(self, instruments, market):
        arrays = risk_arrays(instruments, market, grid([Shock(0.0)], market.spot.size, vol_up=0.0, vol_down=0.0))

        def margin_of(book):
            perpetual = (instruments.kind == PERPETUAL)[book.instrument]
            notional = np.zeros(len(book.accounts))
            np.add.at(notional, book.account, np.abs(book.quantity * arrays.mark[book.instrument]) * perpetual)
            mm = self.ratio * notional + self.charge
            equity = mark_to_market(book, arrays.mark)
            zero = np.zeros(equity.size)
            return judged(equity=equity, im=mm.copy(), mm=mm, mark_to_market=equity.copy(), band=zero)

        return margin_of
