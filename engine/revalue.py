"""Full revaluation: every instrument in every scenario, once for the whole book.

An account's P&L in a scenario is then positions × risk arrays; no account is ever repriced on its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.black76 import price_one
from engine.book import FUTURE, OPTION, Instruments
from engine.compiled import kernel
from engine.market import Market, require_market
from engine.records import freeze
from engine.scenarios import ABSOLUTE, LINEAR, PARALLEL, Scenarios
from engine.types import DAY, YEAR, Floats


@dataclass(frozen=True, slots=True)
class RiskArrays:
    """Every instrument's value now and P&L in every scenario, per unit held."""

    scenarios: Scenarios
    mark: Floats  # (I,) USD a unit
    pnl: Floats  # (I, S) USD a unit, gain > 0, weight of the scenario included

    def __post_init__(self) -> None:
        freeze(self)


def risk_arrays(
    instruments: Instruments, market: Market, scenarios: Scenarios, discount: Floats | None = None
) -> RiskArrays:
    """Return the risk arrays of all instruments by full revaluation.

    discount (E,): of option values per expiry, default exp(−rate · years).
    """
    values, mark = scenario_values(instruments, market, scenarios, discount)
    return RiskArrays(scenarios, mark, (values - mark[:, np.newaxis]) * scenarios.weight)


def mark_values(instruments: Instruments, market: Market, discount: Floats | None = None) -> Floats:
    """Return the value of one unit of each instrument at the market itself, (I,), USD."""
    still = _unmoved(len(instruments.underlyings))
    return scenario_values(instruments, market, still, discount)[1]


def scenario_values(
    instruments: Instruments, market: Market, scenarios: Scenarios, discount: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return values (I, S) in the scenarios, weight not applied, and mark (I,) at the market itself, USD a unit.

    Options: Black-76 on the shocked forward, whose fixed part does not move; perpetuals and tokens follow their
    underlying's spot shock; a token without an underlying stays. Raises ValueError where market or discount do not fit.
    """
    require_market(instruments, market)
    if scenarios.spot.shape[1] != market.spot.size:
        expected = f"{market.spot.size} underlyings"
        raise ValueError(f"Scenarios.spot: expected shocks of {expected}, found {scenarios.spot.shape[1]}")
    discount = _discount(market, discount)
    values = np.empty((len(instruments.names), len(scenarios.names)))
    vols = shocked_vols(instruments, market, scenarios)
    _values(*_columns(instruments, market), discount, scenarios.spot, scenarios.days, vols, values)
    if not np.isfinite(values).all():
        row, s = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"{instruments.names[row]}: no finite value in scenario {scenarios.names[s]}")
    mark = np.empty((len(instruments.names), 1))
    still = _unmoved(market.spot.size)
    _values(*_columns(instruments, market), discount, still.spot, still.days, market.vol[:, np.newaxis].copy(), mark)
    return values, mark[:, 0].copy()


def _discount(market: Market, given: Floats | None) -> Floats:
    """Return the discount of each expiry, (E,), checked: the kernel reads it without bounds."""
    with np.errstate(over="ignore"):
        discount = np.exp(-market.rate * market.years) if given is None else given
    if discount.shape != market.seconds.shape:
        raise ValueError(f"discount: expected {market.seconds.size} expiries, found shape {discount.shape}")
    bad = np.flatnonzero(~((discount >= 0.0) & (discount < np.inf)))
    if bad.size:
        raise ValueError(f"discount: expected finite numbers >= 0, found {discount[bad[0]]} in row {bad[0]}")
    return discount


def shocked_vols(instruments: Instruments, market: Market, scenarios: Scenarios) -> Floats:
    """Return the vol of every option in every scenario, (I, S), annualised, >= 0; 0 for other instruments.

    Raises ValueError where a term scale or a smile's turn has no finite value: an expired option without a floor.
    """
    vols = np.zeros((len(instruments.names), len(scenarios.names)))
    option = np.flatnonzero(instruments.kind == OPTION)
    expiry, underlying = instruments.expiry[option], instruments.underlying[option]
    vol = market.vol[option, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shock = scenarios.vol[:, underlying].T * _term_scale(scenarios, market.seconds)[expiry, np.newaxis]
        moved = np.maximum(vol * np.maximum(1.0 + shock, 0.0), scenarios.vol_floor)
        for kind in (LINEAR, ABSOLUTE):
            turned = scenarios.skew == kind
            if turned.any():
                moved[:, turned] = vol * _skew_multiple(instruments, market, scenarios, kind)[option, np.newaxis]
    vols[option] = np.maximum(moved + scenarios.vol_points[:, underlying].T, 0.0)
    if not np.isfinite(vols).all():
        row, s = (int(i) for i in np.argwhere(~np.isfinite(vols))[0])
        raise ValueError(f"{instruments.names[row]}: no finite vol in scenario {scenarios.names[s]}")
    return vols


def _term_scale(scenarios: Scenarios, seconds: Floats) -> Floats:
    term = scenarios.term
    power = np.where(seconds <= 30.0 * DAY, term.short_power, term.long_power)
    scale: Floats = (30.0 * DAY / np.maximum(seconds, term.floor_days * DAY)) ** power
    return scale


def _skew_multiple(instruments: Instruments, market: Market, scenarios: Scenarios, kind: int) -> Floats:
    """Return the factor on each option's vol, (I,), as PMRMLib_2's skew shock states it (caps used literally)."""
    shape = scenarios.shape
    linear = kind == LINEAR
    c_base = shape.linear_c_base if linear else shape.absolute_c_base
    base_cap = shape.linear_base_cap if linear else shape.absolute_base_cap
    root = np.sqrt(market.years)
    cap = c_base * root + base_cap
    k_star = np.maximum(shape.min_k_star, root * shape.width_scale * (shape.vol_static + shape.vol_scale * root))
    forward = market.forward + market.forward_fixed
    multiple = np.ones(len(instruments.names))
    # At strike 0 or forward 0 an option is worth the forward or the strike whatever its vol.
    row = np.flatnonzero((instruments.kind == OPTION) & (instruments.strike > 0.0))
    row = row[forward[instruments.expiry[row]] > 0.0]
    expiry = instruments.expiry[row]
    k = np.log(instruments.strike[row] / forward[expiry])
    k = k if linear else np.abs(k)
    most = cap[expiry]
    turn = k * most / k_star[expiry]
    step = np.where(k >= 0.0, np.minimum(most, turn), np.maximum(-most, turn))
    multiple[row] = np.maximum(1.0 + step, 0.0)
    return multiple


def _unmoved(underlyings: int) -> Scenarios:
    still = np.zeros((1, underlyings))
    return Scenarios(
        names=("unchanged",),
        spot=still,
        vol=still.copy(),
        vol_points=still.copy(),
        skew=np.full(1, PARALLEL, np.int8),
        weight=np.ones(1),
        days=np.zeros(1),
    )


def _columns(instruments: Instruments, market: Market) -> tuple[object, ...]:
    return (
        instruments.kind,
        instruments.underlying,
        instruments.expiry,
        instruments.strike,
        instruments.is_call,
        market.price,
        market.forward,
        market.forward_fixed,
        market.seconds,
    )


def _values_py(
    kind: Floats,
    underlying: Floats,
    expiry: Floats,
    strike: Floats,
    is_call: Floats,
    price: Floats,
    forward: Floats,
    forward_fixed: Floats,
    seconds: Floats,
    discount: Floats,
    spot: Floats,
    days: Floats,
    vols: Floats,
    values: Floats,
) -> None:
    """Fill values (I, S). The discount is the block's own: time that passes moves an option's life, not its rate."""
    for i in range(kind.size):
        e = expiry[i]
        for s in range(spot.shape[0]):
            shock = spot[s, underlying[i]] if underlying[i] >= 0 else 0.0
            if kind[i] == OPTION:
                f = forward[e] * (1.0 + shock) + forward_fixed[e]
                years = max(seconds[e] - days[s] * DAY, 0.0) / YEAR
                values[i, s] = discount[e] * price_one(f, strike[i], years, vols[i, s], is_call[i])
            elif kind[i] == FUTURE:
                values[i, s] = forward[e] * (1.0 + shock) + forward_fixed[e]
            else:
                values[i, s] = price[i] * (1.0 + shock)


_values: Callable[..., None] = kernel(_values_py)
