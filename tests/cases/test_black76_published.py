"""Black-76 against numbers printed elsewhere: textbooks, and vectors agreed with QuantLib 1.44 to 4e-12."""

import math

import pytest

from engine.black76 import greeks, price

DAY = 1.0 / 365.0

VECTORS = (  # forward, strike, years, vol, is_call, price, delta, gamma, vega; discount 1
    (90_000.0, 100_000.0, 30 * DAY, 0.45, True, 1426.7041222567, 0.2259734810, 2.589325639e-5, 7757.335851),
    (90_000.0, 80_000.0, 30 * DAY, 0.55, False, 1760.9924486196, -0.2044546094, 1.998953946e-5, 7319.457395),
    (3_000.0, 3_000.0, 7 * DAY, 0.60, True, 99.4169050655, 0.5165694842, 1.599043104e-3, 165.599532),
    (100.0, 100.0, 1.0, 0.20, True, 7.9655674554, 0.5398278373, 0.0198476274, 39.695255),
)


@pytest.mark.parametrize(("forward", "strike", "years", "vol", "is_call", "value", "delta", "gamma", "vega"), VECTORS)
def test_agreed_vectors(
    forward: float,
    strike: float,
    years: float,
    vol: float,
    is_call: bool,
    value: float,
    delta: float,
    gamma: float,
    vega: float,
) -> None:
    found = greeks(forward, strike, years, vol, is_call)
    assert found.price == pytest.approx(value, rel=1e-11, abs=1e-10)
    assert found.delta == pytest.approx(delta, abs=6e-11)
    assert found.gamma == pytest.approx(gamma, rel=3e-9)
    assert found.vega == pytest.approx(vega, rel=1e-8)


def test_agreed_time_decay_and_second_order() -> None:
    found = greeks(90_000.0, 100_000.0, 30 * DAY, 0.45, True)
    assert found.theta == pytest.approx(-21235.7069, abs=6e-5)
    assert found.vanna == pytest.approx(0.58872168, abs=6e-9)
    assert found.volga == pytest.approx(11425.7453, abs=6e-5)
    assert found.price / 90_000.0 == pytest.approx(0.0158522680, abs=6e-11)
    assert found.delta - found.price / 90_000.0 == pytest.approx(0.2101212130, abs=6e-11)


def test_hull_crude_oil_put() -> None:
    """Hull, Options, Futures and Other Derivatives, European futures options: 60, four months, 9 %, 25 %: 3.35."""
    assert price(60.0, 60.0, 4 / 12, 0.25, False, math.exp(-0.09 * 4 / 12)) == pytest.approx(3.35, abs=0.005)


@pytest.mark.parametrize("is_call", [True, False])
def test_haug_brent(is_call: bool) -> None:
    """Haug, The Complete Guide to Option Pricing Formulas, Black-76: 19, nine months, 10 %, 28 %: 1.7011 for both."""
    assert price(19.0, 19.0, 0.75, 0.28, is_call, math.exp(-0.10 * 0.75)) == pytest.approx(1.7011, abs=5e-5)
