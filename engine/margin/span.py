"""SPAN: the worst of sixteen scenarios per underlying, spreads charged and credited by delta.

    risk  = max(scan risk + calendar charge − inter-commodity credit, short-option minimum)   per account and underlying
    MM    = Σ risk + token haircuts            IM = IM ratio · Σ risk + token haircuts

CME states a requirement as risk − net option value and holds it against an account's cash and futures P&L. Here
equity is cash, futures P&L *and* options at their marks, so net option value stands on that side only and the margins
are the risk alone: equity − MM is the same number, and a long option covers its own risk and no more than its value.
A delivery charge has no place: everything settles in cash.
Source: CME, SPAN methodology; McMillan, Options as a Strategic Investment, ch. 34. The defaults are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from engine import black76
from engine.book import OPTION, TOKEN, Book, Instruments, account_sums, mark_to_market, netted
from engine.margin.base import MarginReport, judged, require_instruments
from engine.margin.combined import Combined, sums_by
from engine.market import Market
from engine.records import floats, freeze
from engine.revalue import risk_arrays
from engine.scan import worst
from engine.scenarios import Scenarios, span16
from engine.types import DAY, YEAR, Floats, Ints

PAIR: Final = np.array([*range(14), 14, 14, 15, 15]).reshape(9, 2)
"""The two scenarios of each price move, vol up and down; an extreme has no other vol and pairs with itself."""
PAIR_OF: Final = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8])
BAND: Final = 1e-13
"""Rounding of float64 as a share of gross exposure: no venue states this margin in integers."""


@dataclass(frozen=True, slots=True)
class Commodity:
    """Parameters of one underlying. Without a calibration these suit a token of middling liquidity."""

    price_scan: float = 0.35  # relative move the scan covers, 0..1
    vol_scan: float = 0.50  # relative, both ways
    short_option: float = 0.01  # share of spot, least risk of one unit of a short option

    def __post_init__(self) -> None:
        shares = (self.price_scan, self.vol_scan, self.short_option)
        if not (0.0 < self.price_scan <= 1.0 and 0.0 <= self.vol_scan < np.inf and 0.0 <= self.short_option <= 1.0):
            raise ValueError(f"Commodity: expected 0 < price scan <= 1, vol scan >= 0, minimum in 0..1, found {shares}")


@dataclass(frozen=True, slots=True)
class Spread:
    """A calendar spread: opposite deltas of two tiers (or two months of one) offset in the scan and are charged."""

    near: int  # tier, 0 the nearest
    far: int  # tier
    rate: float  # share of price scan · spot charged per unit of delta spread

    def __post_init__(self) -> None:
        if not (0 <= self.near <= self.far and 0.0 <= self.rate <= 2.0):
            raise ValueError(f"Spread: expected tiers 0 <= near <= far and a rate in 0..2, found {self}")


@dataclass(frozen=True, slots=True)
class Offset:
    """An inter-commodity spread: opposite deltas of two underlyings earn a share of both legs' weighted price risk.

    That is a commodity's price risk per unit of its net delta, at most its scan range (CME's scan range cap): what
    gamma and not delta puts at risk no other underlying hedges.
    """

    first: str
    second: str
    credit: float  # 0..1
    ratio: float = 1.0  # USD of delta in the second against one in the first

    def __post_init__(self) -> None:
        if not (0.0 <= self.credit <= 1.0 and 0.0 < self.ratio < np.inf and self.first != self.second):
            raise ValueError(f"Offset: expected two underlyings, a credit in 0..1 and a ratio > 0, found {self}")


@dataclass(frozen=True, slots=True)
class Span:
    """SPAN's parameters; `at` margins books with them (engine.margin.base.MarginModel).

    Calendar spreads and offsets are formed in the order given, each from the deltas that earlier ones left. Perpetuals
    and tokens count in the nearest tier as a month of their own. A token that moves with an underlying is scanned.
    """

    commodities: dict[str, Commodity] = field(
        default_factory=lambda: {"BTC": Commodity(0.16, 0.35, 0.005), "ETH": Commodity(0.18, 0.40, 0.005)}
    )
    other: Commodity = Commodity()  # of underlyings not named
    extreme: float = 2.0  # scan ranges of the extreme scenarios
    extreme_cover: float = 0.35  # share of their loss that counts
    days: float = 1.0  # look-ahead: time that passes in every scenario
    delta_weights: tuple[float, float, float, float] = (0.27, 0.217, 0.11, 0.038)  # at 0, and at each of ±1/3, ±2/3, ±1
    tier_days: tuple[float, ...] = (35.0, 95.0)  # last day of each tier but the last, which is open
    spreads: tuple[Spread, ...] = (
        Spread(0, 0, 0.05),
        Spread(1, 1, 0.05),
        Spread(2, 2, 0.05),
        Spread(0, 1, 0.10),
        Spread(1, 2, 0.10),
        Spread(0, 2, 0.15),
    )
    offsets: tuple[Offset, ...] = (Offset("BTC", "ETH", 0.30),)
    haircuts: dict[str, float] = field(default_factory=lambda: {"USDC": 0.0, "USDT": 0.02, "DAI": 0.02})
    other_haircut: float = 1.0  # of tokens not named that move with no underlying; those that do have none
    im_ratio: float = 1.1

    def __post_init__(self) -> None:
        center, *sides = self.delta_weights
        if min(self.delta_weights) < 0.0 or not abs(center + 2.0 * sum(sides) - 1.0) <= 1e-12:
            raise ValueError(f"Span.delta_weights: expected seven >= 0 that add up to 1, found {self.delta_weights}")
        if not all(low < high for low, high in zip((0.0, *self.tier_days), self.tier_days, strict=False)):
            raise ValueError(f"Span.tier_days: expected rising days > 0, found {self.tier_days}")
        if any(spread.far > len(self.tier_days) for spread in self.spreads):
            raise ValueError(f"Span.spreads: expected tiers 0..{len(self.tier_days)}, found {self.spreads}")
        if not all(0.0 <= haircut <= 1.0 for haircut in (*self.haircuts.values(), self.other_haircut)):
            raise ValueError(f"Span.haircuts: expected shares in 0..1, found {self.haircuts}, {self.other_haircut}")
        if not 1.0 <= self.im_ratio < np.inf:
            raise ValueError(f"Span.im_ratio: expected a ratio >= 1, found {self.im_ratio}")
        span16([1.0], [0.0], extreme=self.extreme, cover=self.extreme_cover, days=self.days)

    def at(self, instruments: Instruments, market: Market) -> Callable[[Book], MarginReport]:
        """Return the function that margins books in these instruments. Raises ValueError for a market that does not
        fit."""
        commodities = [self.commodities.get(name, self.other) for name in instruments.underlyings]
        price_scan = floats([commodity.price_scan for commodity in commodities])
        vol_scan = [commodity.vol_scan for commodity in commodities]
        scenarios = span16(price_scan, vol_scan, extreme=self.extreme, cover=self.extreme_cover, days=self.days)
        arrays = risk_arrays(instruments, market, scenarios)
        paired = arrays.pnl[:, PAIR].mean(axis=2)
        least = floats([commodity.short_option for commodity in commodities]) * market.spot
        shared = _Shared(
            instruments=instruments,
            names=tuple(f"{name}: {scenario}" for name in instruments.underlyings for scenario in scenarios.names),
            mark=arrays.mark,
            option_value=np.where(instruments.kind == OPTION, arrays.mark, 0.0),
            pnl=arrays.pnl,
            price_pnl=paired - paired[:, :1],
            gross=np.abs(arrays.mark) + np.abs(arrays.pnl).max(axis=1),
            delta=composite_delta(instruments, market, scenarios, self.delta_weights),
            tier=np.append(np.searchsorted(self.tier_days, market.seconds / DAY), 0),
            price_scan=price_scan,
            short_option=np.where(instruments.kind == OPTION, np.append(least, 0.0)[instruments.underlying], 0.0),
            haircut=token_haircuts(instruments, self.haircuts, self.other_haircut) * market.price,
        )
        return partial(self._margin, shared)

    def _margin(self, shared: "_Shared", book: Book) -> MarginReport:
        require_instruments(book, shared.instruments)
        held, net_quantity = Combined.of(book), netted(book)
        scan, active = scan_risk(held.start, held.instrument, held.quantity, shared.pnl)
        longs, shorts = _tier_deltas(held, shared, len(self.tier_days) + 1)
        net = longs.sum(axis=1) - shorts.sum(axis=1)
        scan_range = shared.price_scan[held.underlying]
        calendar = _calendar_charge(self.spreads, longs, shorts) * scan_range
        price_risk = np.minimum(_price_risk(held, active, shared.price_pnl), scan)
        credited = _credited_delta(self.offsets, held, shared.instruments.underlyings, net)
        credit = credited * np.minimum(price_risk / np.where(net == 0.0, 1.0, np.abs(net)), scan_range)
        minimum = held.sums(np.maximum(-net_quantity[held.row], 0.0) * shared.short_option[held.instrument])
        top_up = np.maximum(minimum - (scan + calendar - credit), 0.0)
        haircut = np.maximum(net_quantity, 0.0) * shared.haircut[book.instrument]
        parts = {
            "scan risk": held.account_sums(scan),
            "calendar spreads": held.account_sums(calendar),
            "inter-commodity credit": -held.account_sums(credit),
            "short-option minimum": held.account_sums(top_up),
            "token haircuts": account_sums(book, haircut),
            "net option value, in equity": account_sums(book, book.quantity * shared.option_value[book.instrument]),
        }
        risk = held.account_sums(scan + calendar - credit + top_up)
        equity = mark_to_market(book, shared.mark)
        gross = np.abs(book.quantity) * (shared.gross[book.instrument] + np.abs(book.entry)) + np.abs(book.accrued)
        return judged(
            equity=equity,
            im=self.im_ratio * risk + parts["token haircuts"],
            mm=risk + parts["token haircuts"],
            mark_to_market=equity.copy(),
            band=BAND * (np.abs(book.cash) + account_sums(book, gross)),
            worst=_deciding(held, scan, active),
            scenarios=shared.names,
            contingencies=parts,
        )


def scan_risk(start: Ints, instrument: Ints, quantity: Floats, arrays: Floats) -> tuple[Floats, Ints]:
    """Return the scan risk of each combined commodity, USD, >= 0, and its scenario, the first on ties, −1 if empty.

    Commodity g holds quantity[start[g]:start[g + 1]], signed, of the rows `instrument` of `arrays`, (I, 16): P&L of one
    unit in each scenario, gain > 0. A commodity that gains in all of them risks 0. Errors as engine.scan.worst.
    """
    pnl, active = worst(start, instrument, quantity, arrays)
    return np.maximum(-pnl, 0.0), active


def composite_delta(
    instruments: Instruments, market: Market, scenarios: Scenarios, weights: tuple[float, float, float, float]
) -> Floats:
    """Return SPAN's composite delta of each instrument, (I,), as USD per +100 % of its underlying, signed.

    Options: deltas at the seven price points of `scenarios` (span16), vol unchanged, weighted; other instruments move
    with the underlying, so theirs is their price. A token that moves with none has 0.
    """
    points = 1.0 + scenarios.spot[0:14:2]
    share = floats(weights)[[0, 1, 1, 2, 2, 3, 3]]
    delta = np.where(instruments.underlying >= 0, market.price, 0.0)
    dated = np.flatnonzero(instruments.expiry >= 0)
    delta[dated] = market.forward[instruments.expiry[dated]]
    option = np.flatnonzero(instruments.kind == OPTION)
    expiry = instruments.expiry[option]
    seconds = np.maximum(market.seconds - scenarios.days[0] * DAY, 0.0)
    slopes = black76.greeks(
        market.forward[expiry] * points[:, instruments.underlying[option]] + market.forward_fixed[expiry],
        instruments.strike[option],
        seconds[expiry] / YEAR,
        market.vol[option],
        instruments.is_call[option],
        np.exp(-market.rate * market.years)[expiry],
    ).delta
    delta[option] *= share @ slopes
    return floats(delta)


def token_haircuts(instruments: Instruments, haircuts: dict[str, float], other: float) -> Floats:
    """Return the share of each instrument's value that does not count, (I,): `other` for a token that is not named
    and moves with no underlying, 0 for one that does and for everything that is not a token."""
    token = instruments.kind == TOKEN
    named = floats([haircuts.get(name, -1.0) for name in instruments.names])
    unnamed = np.where(instruments.underlying < 0, other, 0.0)
    return np.where(token, np.where(named >= 0.0, named, unnamed), 0.0)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all accounts share: per instrument (I,) unless stated."""

    instruments: Instruments
    names: tuple[str, ...]  # U · 16
    mark: Floats
    option_value: Floats  # mark of options, 0 of everything else
    pnl: Floats  # (I, 16)
    price_pnl: Floats  # (I, 9) P&L of each price move, vol averaged out, less that of time alone
    gross: Floats
    delta: Floats
    tier: Ints  # (E + 1,); the last is of what has no expiry
    price_scan: Floats  # (U,)
    short_option: Floats  # USD a unit, 0 where not an option
    haircut: Floats  # USD a unit

    def __post_init__(self) -> None:
        freeze(self)


def _tier_deltas(held: Combined, shared: _Shared, tiers: int) -> tuple[Floats, Floats]:
    """Return long and short delta of each commodity and tier, (G, tiers) USD >= 0, each month netted first."""
    net = held.month_sums(held.quantity * shared.delta[held.instrument])
    cell = held.month_commodity * tiers + shared.tier[held.month_expiry]
    longs, shorts = (sums_by(cell, np.maximum(side, 0.0), held.account.size * tiers) for side in (net, -net))
    return longs.reshape(-1, tiers), shorts.reshape(-1, tiers)


def _calendar_charge(spreads: tuple[Spread, ...], longs: Floats, shorts: Floats) -> Floats:
    """Return the charge of each commodity, (G,), per unit of price scan."""
    longs, shorts = longs.copy(), shorts.copy()
    charge = np.zeros(longs.shape[0])
    for spread in spreads:
        for long, short in dict.fromkeys(((spread.near, spread.far), (spread.far, spread.near))):
            formed = np.minimum(longs[:, long], shorts[:, short])
            longs[:, long] -= formed
            shorts[:, short] -= formed
            charge += spread.rate * formed
    return charge


def _credited_delta(offsets: tuple[Offset, ...], held: Combined, underlyings: tuple[str, ...], net: Floats) -> Floats:
    """Return the delta of each commodity in inter-commodity spreads times their credit, (G,), USD >= 0."""
    left, credited = net.copy(), np.zeros(net.size)
    for offset in offsets:
        if not {offset.first, offset.second} <= set(underlyings):
            continue
        legs = np.full((2, held.accounts), -1)
        for leg, name in zip(legs, (offset.first, offset.second), strict=True):
            of = np.flatnonzero(held.underlying == underlyings.index(name))
            leg[held.account[of]] = of
        a, b = legs[:, (legs >= 0).all(axis=0)]
        opposite = left[a] * left[b] < 0.0
        a, b = a[opposite], b[opposite]
        formed = np.minimum(np.abs(left[a]), np.abs(left[b]) / offset.ratio)
        for leg, used in ((a, formed), (b, formed * offset.ratio)):
            credited[leg] += offset.credit * used
            left[leg] -= np.copysign(used, left[leg])
    return credited


def _price_risk(held: Combined, active: Ints, price_pnl: Floats) -> Floats:
    """Return SPAN's price risk of each commodity, (G,), USD >= 0: the loss of the deciding price move alone, vol
    averaged out and time taken off."""
    moved = PAIR_OF[active[held.commodity]]
    return np.maximum(held.sums(-held.quantity * price_pnl[held.instrument, moved]), 0.0)


def _deciding(held: Combined, scan: Floats, active: Ints) -> Ints:
    """Return the row of the scenario, U · 16, that costs each account most; −1 where none costs anything."""
    most = np.zeros(held.accounts)
    np.maximum.at(most, held.account, scan)
    deciding = np.flatnonzero((scan > 0.0) & (scan == most[held.account]))[::-1]
    rows = np.full(held.accounts, -1)
    rows[held.account[deciding]] = held.underlying[deciding] * 16 + active[deciding]
    return rows
