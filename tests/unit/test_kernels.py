"""What holds for every compiled kernel. `make test` runs this file again with bounds checks on, and interpreted."""

import importlib
import math
import pkgutil

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import engine
from engine import aggregate, black76, implied_vol, incremental, surface
from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.compiled import INTERPRETED
from engine.margin import MODELS
from engine.margin.base import margin
from engine.margin.lending import Lending, Reserve
from engine.margin.pmrm import Pmrm
from engine.margin.pmrm_accounts import Collateral
from engine.margin.tail import Tail, components
from engine.market import Market
from engine.revalue import mark_values, risk_arrays
from engine.scenarios import historical, span16
from engine.tail_scan import tail_risk
from engine.types import YEAR
from engine.warm import warm

ACCOUNTS = 30
DERIVATIVES = (OPTION,) * 6 + (PERPETUAL, FUTURE, TOKEN)
KINDS = {
    "span": DERIVATIVES,
    "tail": DERIVATIVES,
    "standard": (OPTION,) * 6 + (PERPETUAL,),
    "pmrm": (OPTION,) * 6 + (PERPETUAL, TOKEN),
    "pmrm_v1": (OPTION,) * 6 + (PERPETUAL, TOKEN),
    "perp": (PERPETUAL, TOKEN),
    "lending": (TOKEN, TOKEN, TOKEN),
    "arrays": (OPTION,) * 6 + (PERPETUAL, TOKEN),
}
HISTORY = {"BTC": tuple(np.random.default_rng(7).normal(0.0, 0.05, 60).tolist())}
MODEL = {
    "lending": Lending(other=Reserve(ltv=7000, threshold=7500)),
    "pmrm": Pmrm(collateral={f"TOKEN-{i}": Collateral(0.1, 0.05, is_risk_cancelling=True) for i in range(12)}),
    "tail": Tail(history=HISTORY),
}


def model(name):
    return MODEL.get(name) or MODELS[name]()


def world(kinds, accounts=ACCOUNTS, seed=3):
    """Accounts in one underlying with two expiries; each holds a random choice of the instruments."""
    rng = np.random.default_rng(seed)
    kind = np.array(kinds, np.int8)
    option, dated = kind == OPTION, np.isin(kind, (OPTION, FUTURE))
    names = {OPTION: "OPTION", PERPETUAL: "PERPETUAL", FUTURE: "FUTURE", TOKEN: "TOKEN"}
    instruments = Instruments(
        names=tuple(f"{names[k]}-{row}" for row, k in enumerate(kinds)),
        underlyings=("BTC",),
        expiries=("near", "far"),
        kind=kind,
        underlying=np.zeros(kind.size, np.int64),
        expiry=np.where(dated, np.arange(kind.size) % 2, -1),
        strike=np.where(option, np.round(rng.uniform(70.0, 130.0, kind.size)), 0.0),
        is_call=option & (rng.random(kind.size) < 0.5),
    )
    market = Market(
        spot=np.array([100.0]),
        spot_confidence=np.ones(1),
        expiry_underlying=np.zeros(2, np.int64),
        seconds=np.array([0.02, 0.5]) * YEAR,
        forward=np.array([100.1, 103.0]),
        forward_fixed=np.zeros(2),
        forward_confidence=np.ones(2),
        rate=np.array([0.01, 0.04]),
        rate_confidence=np.ones(2),
        price=np.where(np.isin(kind, (PERPETUAL, TOKEN)), 100.0, 0.0),
        vol=np.where(option, 0.7, 0.0),
        confidence=np.ones(kind.size),
    )
    held = [np.flatnonzero(rng.random(kind.size) < 0.6) for _ in range(accounts)]
    rows = np.concatenate([np.array([], np.int64), *held])
    quantity = rng.normal(0.0, 5.0, rows.size)
    quantity[kind[rows] == TOKEN] = abs(quantity[kind[rows] == TOKEN])
    return market, Book(
        instruments=instruments,
        accounts=tuple(f"account {a}" for a in range(accounts)),
        cash=np.zeros(accounts),
        start=np.concatenate([[0], np.cumsum([h.size for h in held])]),
        instrument=rows,
        quantity=quantity,
        entry=np.where(np.isin(kind[rows], (PERPETUAL, FUTURE)), 99.0, 0.0),
        accrued=np.zeros(rows.size),
    )


def smiles():
    k = np.tile(np.linspace(-0.4, 0.4, 11), 2)
    vol = 0.5 + np.array([0.2] * 11 + [0.1] * 11) * k**2 - 0.05 * k
    return surface.SmileQuotes(np.array([0.1, 0.4]), np.ones(2), np.array([0, 11, 22]), k, vol, np.ones(22))


def every_path():
    for name, kinds in KINDS.items():
        market, book = world(kinds)
        margin(model(name), book, market)
    market, book = world(DERIVATIVES)
    arrays = risk_arrays(book.instruments, market, span16([0.16], [0.4]))
    mark_values(book.instruments, market)
    aggregate.greeks_by(book, market)
    running = incremental.RunningProfile(book, arrays)
    running.trade(np.array([1]), np.array([2]), np.array([1.5]))
    components(book, arrays.pnl, 0.9)
    tail_risk(book.start, book.instrument, book.quantity, arrays.pnl, 0.9)
    prices = black76.price(100.0, np.array([90.0, 110.0]), 0.5, 0.6, np.array([False, True]))
    black76.greeks(100.0, np.array([90.0, 110.0]), 0.5, 0.6, np.array([False, True]))
    implied_vol.implied_vol(prices, 100.0, np.array([90.0, 110.0]), 0.5, np.array([False, True]))
    fitted = surface.fit_surface(smiles()).surface
    surface.vol(surface.fit_surface(smiles(), fitted).surface, np.linspace(-1.0, 1.0, 5), 0.2)


def kernels():
    for info in pkgutil.walk_packages(engine.__path__, "engine."):
        module = importlib.import_module(info.name)
        for name, found in vars(module).items():
            if isinstance(found, Dispatcher) and found.py_func.__module__ == info.name:
                yield f"{info.name}.{name}", found


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_nothing_is_left_to_compile_after_warming():
    """A compilation of a second in the middle of a crash is what warming is there to prevent."""
    warm()
    before = {name: len(found.signatures) for name, found in kernels()}
    assert sum(before.values()) > 20
    every_path()
    grown = {name for name, found in kernels() if len(found.signatures) > before[name]}
    assert grown == set()


@pytest.mark.parametrize("name", KINDS)
def test_an_account_alone_has_the_numbers_it_has_in_the_book(name):
    market, book = world(KINDS[name])
    at = model(name).at(book.instruments, market)
    whole = at(book)
    assert np.isfinite(whole.im).all() and (whole.im > 0.0).any()
    for a in range(ACCOUNTS):
        alone = at(book.take(np.array([a])))
        for column in ("equity", "im", "mm", "mark_to_market", "health", "band", "status", "worst"):
            assert getattr(alone, column)[0] == getattr(whole, column)[a], column


def test_prices_and_vols_agree_with_the_normal_distribution_of_the_standard_library():
    strikes = np.array([60.0, 95.0, 100.0, 130.0])
    call = np.array([False, False, True, True])
    prices = black76.price(100.0, strikes, 0.25, 0.8, call)
    for strike, is_call, price in zip(strikes, call, prices, strict=True):
        d1 = (math.log(100.0 / strike) + 0.5 * 0.16) / 0.4
        below = [0.5 * math.erfc(-d / math.sqrt(2.0)) for d in (d1, d1 - 0.4)]
        expected = 100.0 * below[0] - strike * below[1] - (0.0 if is_call else 100.0 - strike)
        assert price == pytest.approx(expected, abs=1e-13 * 100.0)
    found = implied_vol.implied_vol(prices, 100.0, strikes, 0.25, call)
    np.testing.assert_allclose(found.vol, 0.8, rtol=1e-13)
    slopes = black76.greeks(100.0, strikes, 0.25, 0.8, call).delta
    bumped = black76.price(100.001, strikes, 0.25, 0.8, call) - black76.price(99.999, strikes, 0.25, 0.8, call)
    np.testing.assert_allclose(slopes, bumped / 0.002, rtol=1e-6)


def test_scans_agree_with_a_sorted_product():
    market, book = world(DERIVATIVES)
    shocks = np.random.default_rng(5).normal(0.0, 0.1, (200, 1)).clip(-0.9)
    arrays = risk_arrays(book.instruments, market, historical([str(s) for s in range(200)], shocks))
    held = np.zeros((ACCOUNTS, book.instruments.kind.size))
    np.add.at(held, (book.account, book.instrument), book.quantity)
    losses = np.sort(-(held @ arrays.pnl), axis=1)[:, ::-1]
    var, es = tail_risk(book.start, book.instrument, book.quantity, arrays.pnl, 0.95)
    np.testing.assert_allclose(es, losses[:, :10].mean(axis=1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(var, losses[:, 10], rtol=1e-12, atol=1e-12)


def test_a_fitted_surface_passes_through_quotes_that_it_can_reach():
    fit = surface.fit_surface(smiles())
    assert fit.rmse.max() < 5e-4
    k = np.linspace(-2.0, 2.0, 41)
    variance = [surface.total_variance(fit.surface, k, years) for years in (0.1, 0.25, 0.4)]
    assert (np.diff(variance, axis=0) >= -1e-12).all()
