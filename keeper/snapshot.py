"""From a venue's exact integers to the engine's columns, and back to one verdict per account."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.margin.base import MarginReport
from engine.margin.perp import PerpBook, PerpMarket
from engine.types import ENDANGERED, HEALTHY, UNKNOWN
from keeper.market import Prices
from keeper.units import PPM_DECIMALS, WAD_DECIMALS, to_float
from keeper.venues.base import Account, PerpetualVenue, VenueState

MarginStatus = Literal["healthy", "endangered", "unknown"]
NAMES: dict[int, MarginStatus] = {HEALTHY: "healthy", ENDANGERED: "endangered", UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One account at one block: what it is worth, what it must have, and how that is known."""

    account: str
    equity: float  # USD, signed; NaN when unknown
    im: float  # USD
    mm: float  # USD
    health: float  # equity / MM; when MM = 0 ±inf by the sign of equity; NaN when unknown
    status: MarginStatus
    exact: bool  # decided by the venue's own integers, because the float lay inside its error band
    reason: str  # why unknown; '' otherwise


@dataclass(frozen=True, slots=True)
class Part:
    """One line of what an account holds."""

    what: str
    amount: float  # whole units, signed
    price: float  # USD a unit; NaN when not known
    value: float  # USD
    source: str  # of the price, and how old it is


def assemble(state: VenueState, prices: Prices) -> tuple[PerpBook, PerpMarket]:
    """Return the accounts that were read as columns, in their order in `state`, and the block's market."""
    accounts = state.accounts
    positions = [p for a in accounts for p in a.positions]
    balances = [b for a in accounts for b in a.balances]
    book = PerpBook(
        cash=np.array([to_float(_cash(state, a), WAD_DECIMALS) for a in accounts], np.float64),
        position_start=_starts([len(a.positions) for a in accounts]),
        market=np.array([p.market for p in positions], np.int64),
        size=np.array([to_float(p.size, WAD_DECIMALS) for p in positions], np.float64),
        open_notional=np.array([to_float(p.open_notional, WAD_DECIMALS) for p in positions], np.float64),
        base=np.array([to_float(p.base, WAD_DECIMALS) for p in positions], np.float64),
        quote=np.array([to_float(p.quote, WAD_DECIMALS) for p in positions], np.float64),
        balance_start=_starts([len(a.balances) for a in accounts]),
        collateral=np.array([b.collateral for b in balances], np.int64),
        amount=np.array([to_float(b.amount, state.collaterals[b.collateral].decimals) for b in balances], np.float64),
    )
    market = PerpMarket(
        mark=np.array(prices.mark, np.float64),
        collateral_price=np.array(prices.collateral, np.float64),
        collateral_ratio=np.array([to_float(c.ratio, PPM_DECIMALS) for c in state.collaterals], np.float64),
        im_ratio=to_float(state.parameters.im_ratio, PPM_DECIMALS),
        mm_ratio=to_float(state.parameters.mm_ratio, PPM_DECIMALS),
        equity_decimals=state.settlement_decimals,
    )
    return book, market


def judge(venue: PerpetualVenue, state: VenueState, prices: Prices, report: MarginReport) -> tuple[Verdict, ...]:
    """Return one verdict per account, unknown ones included; inside the error band the venue's integers decide."""
    verdicts = [_verdict(venue, state, prices, report, row) for row in range(len(state.accounts))]
    nan = float("nan")
    verdicts += [Verdict(a, nan, nan, nan, nan, "unknown", False, why) for a, why in state.unknown.items()]
    return tuple(verdicts)


def _verdict(venue: PerpetualVenue, state: VenueState, prices: Prices, report: MarginReport, row: int) -> Verdict:
    account = state.accounts[row]
    status = NAMES[int(report.status[row])]
    if not report.undecided[row]:
        reason = _fault(account, prices) if status == "unknown" else ""
        return Verdict(
            account=account.address,
            equity=float(report.equity[row]),
            im=float(report.im[row]),
            mm=float(report.mm[row]),
            health=float(report.health[row]),
            status=status,
            exact=False,
            reason=reason,
        )
    exact = venue.exact(state, account)
    equity, im, mm = (to_float(x, WAD_DECIMALS) for x in (exact.equity, exact.im, exact.mm))
    without = float("inf") if exact.equity >= 0 else float("-inf")
    health = to_float(exact.equity * 10**18 // exact.mm, WAD_DECIMALS) if exact.mm else without
    status = "endangered" if exact.equity < exact.mm else "healthy"
    return Verdict(account.address, equity, im, mm, health, status, True, "")


def _cash(state: VenueState, account: Account) -> int:
    """Return what the account holds before its positions' values, 18 decimals: summed in integers, rounded once."""
    settled: int = account.cash * 10 ** (WAD_DECIMALS - state.settlement_decimals)
    return settled + account.owed_pnl + account.pending_fee - sum(p.pending_funding for p in account.positions)


def _fault(account: Account, prices: Prices) -> str:
    faults = [prices.mark_fault[p.market] for p in account.positions]
    faults += [prices.collateral_fault[b.collateral] for b in account.balances]
    return "; ".join(dict.fromkeys(f for f in faults if f)) or "the engine found no finite margin"


def _starts(counts: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
