"""Implied vols against published prices, QuantLib's Li and Radoičić solver, and Jäckel's own Let's be rational."""

import math

import numpy as np
import pytest
import QuantLib as ql

from engine.implied_vol import RESOLVED, implied_vol
from engine.types import Flags, Floats

DAY = 1.0 / 365.0


@pytest.mark.parametrize(
    ("forward", "strike", "years", "vol", "is_call", "price"),
    [
        (90000.0, 100000.0, 30 * DAY, 0.45, True, 1426.7041222567),
        (90000.0, 80000.0, 30 * DAY, 0.55, False, 1760.9924486196),
        (3000.0, 3000.0, 7 * DAY, 0.60, True, 99.4169050655),
        (100.0, 100.0, 1.0, 0.20, True, 7.9655674554),
    ],
)
def test_prices_with_a_known_vol(
    forward: float, strike: float, years: float, vol: float, is_call: bool, price: float
) -> None:
    """Black-76 prices of QuantLib 1.44 to ten decimals."""
    assert implied_vol(price, forward, strike, years, is_call).vol == pytest.approx(vol, rel=2e-10)


def test_haug_oil_futures_option() -> None:
    """Haug, The complete guide to option pricing formulas, 2nd ed., section 1.1.3: F = X = 19, T = 0.75, r = 10 %,
    vol 28 %, call 1.7011. A half in the fourth decimal is 8e-6 of vol at a vega of 6.1.
    """
    found = implied_vol(1.7011, 19.0, 19.0, 0.75, [True, False], math.exp(-0.10 * 0.75))
    assert found.vol == pytest.approx([0.28, 0.28], abs=9e-6)


def _chain(rows: int, distance: float) -> tuple[Floats, Floats, Floats, Floats, Flags, Floats]:
    """Return forward, strike, years, vol, is_call and QuantLib's undiscounted out-of-the-money price."""
    random = np.random.default_rng(76)
    forward = random.uniform(1.0, 1e5, rows)
    years = random.uniform(DAY, 2.0, rows)
    vol = random.uniform(0.1, 2.0, rows)
    strike = forward * np.exp(random.uniform(-distance, distance, rows) * vol * np.sqrt(years))
    is_call = strike > forward
    price = [
        ql.blackFormula(ql.Option.Call if call else ql.Option.Put, k, f, s * math.sqrt(t))
        for f, k, t, s, call in zip(forward, strike, years, vol, is_call, strict=True)
    ]
    return forward, strike, years, vol, is_call, np.array(price)


def test_quantlib_prices_give_their_vol_back() -> None:
    forward, strike, years, vol, is_call, price = _chain(2000, 3.0)
    found = implied_vol(price, forward, strike, years, is_call)
    assert (found.status == RESOLVED).all()
    assert np.abs(found.vol / vol - 1.0).max() < 5e-12


def test_quantlib_finds_the_same() -> None:
    forward, strike, years, _, is_call, price = _chain(500, 2.0)
    theirs = [
        ql.blackFormulaImpliedStdDevLiRS(
            ql.Option.Call if call else ql.Option.Put, k, f, p, 1.0, 0.0, ql.nullDouble(), 1.0, 1e-12, 1000
        )
        for f, k, p, call in zip(forward, strike, price, is_call, strict=True)
    ]
    ours = implied_vol(price, forward, strike, years, is_call).vol * np.sqrt(years)
    assert ours == pytest.approx(theirs, rel=1e-10)


def test_lets_be_rational_finds_the_same() -> None:
    rational = pytest.importorskip("py_lets_be_rational")
    forward, strike, years, _, is_call, price = _chain(100, 5.0)
    theirs = [
        rational.implied_volatility_from_a_transformed_rational_guess(p, f, k, t, 1.0 if call else -1.0)
        for p, f, k, t, call in zip(price, forward, strike, years, is_call, strict=True)
    ]
    assert implied_vol(price, forward, strike, years, is_call).vol == pytest.approx(theirs, rel=1e-12)
