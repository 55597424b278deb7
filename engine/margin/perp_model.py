"""The perpetuals rule of engine.margin.perp as a margin model over the common book."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engine.book import KINDS, PERPETUAL, TOKEN, Book, Instruments, account_sums, netted
from engine.margin import perp
from engine.margin.base import MarginReport, require_instruments
from engine.market import Market, require_market
from engine.records import floats
from engine.types import Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Perp:
    """Perpetuals against cash and tokens (engine.margin.base.MarginModel); formulas in engine.margin.perp.

    A position counts as taken at its entry: open notional and quote are −quantity · entry, base is the quantity, and
    what has accrued since counts as cash. A venue that knows these columns themselves fills a PerpBook instead.
    """

    im_ratio: float = 0.1
    mm_ratio: float = 0.0625
    collateral: dict[str, float] = field(default_factory=lambda: {"USDC": 1.0, "WETH": 0.8, "ETH": 0.8, "WBTC": 0.8})
    other: float = 0.0  # share that counts of tokens not named
    equity_decimals: int | None = None  # the venue floors equity to this many decimals of a USD; None: it does not

    def __post_init__(self) -> None:
        if not 0.0 < self.mm_ratio <= self.im_ratio <= 1.0:
            raise ValueError(f"Perp: expected 0 < MM {self.mm_ratio} <= IM {self.im_ratio} <= 1")
        if not all(0.0 <= share <= 1.0 for share in (*self.collateral.values(), self.other)):
            raise ValueError(f"Perp.collateral: expected shares in 0..1, found {self.collateral}, {self.other}")
        if self.equity_decimals is not None and not 0 <= self.equity_decimals <= 18:
            raise ValueError(f"Perp.equity_decimals: expected 0..18 or none, found {self.equity_decimals}")

    def at(self, instruments: Instruments, market: Market) -> Callable[[Book], MarginReport]:
        """Return the function that margins books in these instruments.

        Raises ValueError for a market that does not fit; the function does for a position that is neither perpetual
        nor token, and for a token owed.
        """
        require_market(instruments, market)
        venue = perp.PerpMarket(
            mark=_priced(market.price, instruments.kind == PERPETUAL),
            collateral_price=_priced(market.price, instruments.kind == TOKEN),
            collateral_ratio=floats([self.collateral.get(name, self.other) for name in instruments.names]),
            im_ratio=self.im_ratio,
            mm_ratio=self.mm_ratio,
            equity_decimals=self.equity_decimals,
        )
        return partial(_margin, instruments, venue)


def _priced(price: Floats, of: Flags) -> Floats:
    return np.where(of, price, np.nan)


def _margin(instruments: Instruments, venue: perp.PerpMarket, book: Book) -> MarginReport:
    _require_held(book, instruments)
    held = instruments.kind[book.instrument] == PERPETUAL
    size, quote = netted(book)[held], -(book.quantity * book.entry)[held]
    return perp.margin(
        perp.PerpBook(
            cash=book.cash + account_sums(book, book.accrued),
            position_start=_starts(book, held),
            market=book.instrument[held],
            size=size,
            open_notional=quote,
            base=size.copy(),
            quote=quote.copy(),
            balance_start=_starts(book, ~held),
            collateral=book.instrument[~held],
            amount=book.quantity[~held],
        ),
        venue,
    )


def _starts(book: Book, kept: Flags) -> Ints:
    """Return where each account begins among the positions kept, (A + 1,)."""
    return np.append(0, np.cumsum(kept))[book.start]


def _require_held(book: Book, instruments: Instruments) -> None:
    require_instruments(book, instruments)
    kind = instruments.kind[book.instrument]
    for wrong, expected in (
        (~np.isin(kind, (PERPETUAL, TOKEN)), "perpetuals and tokens"),
        ((kind == TOKEN) & (book.quantity < 0.0), "no token owed"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            name, account = instruments.names[book.instrument[row]], book.accounts[book.account[row]]
            found = f"{book.quantity[row]:g} of {KINDS[kind[row]]} {name}"
            raise ValueError(f"Perp: expected {expected}, found {found} in account {account}")
