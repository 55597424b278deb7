"""Greeks of a book: they add up, agree with revaluation, and the house needs what netting leaves."""

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.aggregate import ALL, NAMES, greeks_by, house, instrument_greeks, netting_benefit
from engine.book import TOKEN, Book, Instruments, mark_to_market
from engine.market import Market, shifted
from engine.revalue import mark_values
from engine.types import DAY
from tests.unit.risk_books import INSTRUMENTS, MARKET, Flat, Scan, book_of
from tests.unit.risk_books import NAMES as INSTRUMENT_NAMES

BOOK = book_of(
    {
        "alice": {"BTC-PERPETUAL": 2.0, "BTC-C100": -3.0, "BTC-FAR-C100": 1.5, "USDC": 500.0},
        "bob": {"BTC-C100": 4.0, "BTC-P90": -2.0, "ETH-C10": 10.0, "ETH-PERPETUAL": -5.0},
        "carol": {"WBTC": 1.0, "BTC-NEAR": -1.0},
        "empty": {},
    }
)


def value(market):
    return float(mark_to_market(BOOK, mark_values(INSTRUMENTS, market)).sum())


def spot_moved(relative, *, vol=0.0):
    """Return the value of the whole book with BTC alone moved."""
    moved = shifted(INSTRUMENTS, MARKET, spot=relative, vol=vol)
    btc = np.array([True, False])
    on_btc = INSTRUMENTS.underlying == 0
    of_btc = MARKET.expiry_underlying == 0
    return value(
        replace(
            MARKET,
            spot=np.where(btc, moved.spot, MARKET.spot),
            forward=np.where(of_btc, moved.forward, MARKET.forward),
            price=np.where(on_btc, moved.price, MARKET.price),
            vol=np.where(on_btc, moved.vol, MARKET.vol),
        )
    )


def btc(report):
    whole = report.summed("underlying")
    return {name: float(getattr(whole, name)[0]) for name in NAMES}


def test_a_group_is_an_account_an_underlying_and_an_expiry():
    report = greeks_by(BOOK, MARKET)
    keys = list(zip(report.account.tolist(), report.underlying.tolist(), report.expiry.tolist(), strict=True))
    assert keys == [(0, 0, -1), (0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, -1), (1, 1, 2), (2, 0, -1), (2, 0, 0)]


def test_linear_instruments_by_hand():
    unit = instrument_greeks(BOOK, MARKET)
    delta = dict(zip(INSTRUMENT_NAMES, unit.delta.tolist(), strict=True))
    assert delta["BTC-PERPETUAL"] == pytest.approx(1.005)  # mark 100.5 on a spot of 100
    assert delta["BTC-NEAR"] == pytest.approx(1.01)
    assert delta["WBTC"] == pytest.approx(0.99)
    assert delta["ETH-PERPETUAL"] == pytest.approx(1.001)
    assert delta["USDC"] == 0.0
    for name in NAMES[1:]:
        assert getattr(unit, name)[[0, 1, 5, 6, 7]].tolist() == [0.0] * 5


def test_at_the_money_call_by_mpmath():
    mpmath = pytest.importorskip("mpmath")
    f, k, t, s, r = mpmath.mpf(101), mpmath.mpf(100), mpmath.mpf(30) / 365, mpmath.mpf("0.6"), mpmath.mpf("0.05")

    def call(spot, vol, years):
        forward = f * spot / 100
        d1 = (mpmath.log(forward / k) + vol**2 * years / 2) / (vol * mpmath.sqrt(years))
        d2 = d1 - vol * mpmath.sqrt(years)
        return mpmath.exp(-r * years) * (forward * mpmath.ncdf(d1) - k * mpmath.ncdf(d2))

    unit = instrument_greeks(BOOK, MARKET)
    with mpmath.workdps(40):
        expected = {
            "delta": mpmath.diff(call, (100, s, t), (1, 0, 0)),
            "gamma": mpmath.diff(call, (100, s, t), (2, 0, 0)),
            "vega": mpmath.diff(call, (100, s, t), (0, 1, 0)),
            "theta": -mpmath.diff(call, (100, s, t), (0, 0, 1)) / 365,
            "vanna": mpmath.diff(call, (100, s, t), (1, 1, 0)),
            "volga": mpmath.diff(call, (100, s, t), (0, 2, 0)),
        }
    found = {name: float(getattr(unit, name)[2]) for name in NAMES}
    assert found == pytest.approx({name: float(number) for name, number in expected.items()}, rel=1e-11)


def test_the_parts_add_up_to_the_whole():
    report = greeks_by(BOOK, MARKET)
    whole = report.summed("underlying")
    assert (whole.account == ALL).all() and (whole.expiry == ALL).all()
    for name in NAMES:
        column = getattr(report, name)
        for u in range(2):
            total = math.fsum(column[report.underlying == u])
            gross = np.abs(column[report.underlying == u]).sum()
            for by in ("account", "underlying", "expiry"):
                sums = report.summed(by)
                assert math.fsum(getattr(sums, name)[sums.underlying == u]) == pytest.approx(total, abs=1e-15 * gross)


def test_delta_gamma_and_vanna_are_what_revaluation_gives():
    greek, h, v = btc(greeks_by(BOOK, MARKET)), 1e-4, 1e-4
    up, down, now = spot_moved(h), spot_moved(-h), value(MARKET)
    assert greek["delta"] == pytest.approx((up - down) / (200.0 * h), rel=1e-7)
    assert greek["gamma"] == pytest.approx((up - 2.0 * now + down) / (100.0 * h) ** 2, rel=1e-4)
    cross = [spot_moved(h, vol=v), spot_moved(-h, vol=v), spot_moved(h, vol=-v), spot_moved(-h, vol=-v)]
    bumped = (cross[0] - cross[1] - cross[2] + cross[3]) / (4.0 * 100.0 * h * v)
    unit, held = instrument_greeks(BOOK, MARKET), INSTRUMENTS.underlying[BOOK.instrument] == 0
    row = BOOK.instrument[held]  # vols move relatively, by vol · v
    assert bumped == pytest.approx(float((BOOK.quantity[held] * unit.vanna[row] * MARKET.vol[row]).sum()), rel=1e-4)


def test_vega_and_theta_are_what_revaluation_gives():
    whole, h = greeks_by(BOOK, MARKET).summed("underlying"), 1e-5
    bumped = replace(MARKET, vol=np.where(MARKET.vol > 0.0, MARKET.vol + h, 0.0))
    dipped = replace(MARKET, vol=np.where(MARKET.vol > 0.0, MARKET.vol - h, 0.0))
    assert float(whole.vega.sum()) == pytest.approx((value(bumped) - value(dipped)) / (2.0 * h), rel=1e-7)
    second = (value(bumped) - 2.0 * value(MARKET) + value(dipped)) / h**2
    assert float(whole.volga.sum()) == pytest.approx(second, rel=1e-2)
    later = (value(shifted(INSTRUMENTS, MARKET, days=0.01)) - value(MARKET)) / 0.01
    assert float(whole.theta.sum()) == pytest.approx(later, rel=1e-3)


def test_put_call_parity_of_delta():
    same = replace(INSTRUMENTS, strike=np.where(INSTRUMENTS.strike == 90.0, 100.0, INSTRUMENTS.strike))
    book = replace(BOOK, instruments=same)
    unit = instrument_greeks(book, replace(MARKET, vol=np.where(MARKET.vol == 0.65, 0.6, MARKET.vol)))
    assert unit.delta[2] - unit.delta[3] == pytest.approx(math.exp(-0.05 * 30 / 365) * 1.01, rel=1e-13)


def test_expired_options_have_a_slope_and_nothing_else():
    expired = replace(MARKET, seconds=np.zeros(3))
    unit = instrument_greeks(BOOK, expired)
    assert unit.delta[[2, 3]] == pytest.approx([1.01, 0.0])
    for name in NAMES[1:]:
        assert not getattr(unit, name).any()


def test_the_house_is_worth_the_sum_of_its_accounts():
    mark = mark_values(INSTRUMENTS, MARKET)
    whole = house(BOOK)
    assert whole.accounts == ("house",)
    assert len(set(whole.instrument.tolist())) == whole.instrument.size
    assert float(mark_to_market(whole, mark)[0]) == pytest.approx(float(mark_to_market(BOOK, mark).sum()), rel=1e-14)


def test_a_position_that_nets_to_nothing_leaves_its_profit_in_the_house():
    book = book_of({"a": {"BTC-PERPETUAL": 0.3}, "b": {"BTC-PERPETUAL": -0.1}, "c": {"BTC-PERPETUAL": -0.2}})
    book = replace(book, entry=np.array([100.0, 90.0, 95.0]))
    whole = house(book)
    assert abs(whole.quantity[0]) < 1e-16
    assert (whole.entry[0], whole.accrued[0]) == (0.0, pytest.approx(-30.0 + 9.0 + 19.0))


def test_opposite_positions_net_in_full():
    book = book_of({"long": {"BTC-PERPETUAL": 1.0}, "short": {"BTC-PERPETUAL": -1.0}})
    saved = netting_benefit(Scan(), book, MARKET)
    assert saved.im_apart == pytest.approx(2 * 10.05) and saved.mm_apart == pytest.approx(10.05)
    assert (saved.im_house, saved.mm_house, saved.im, saved.mm) == (0.0, 0.0, 1.0, 1.0)


def test_equal_positions_save_nothing():
    book = book_of({"one": {"BTC-PERPETUAL": 1.0}, "two": {"BTC-PERPETUAL": 2.0}})
    assert netting_benefit(Scan(), book, MARKET).im == pytest.approx(0.0, abs=1e-15)
    assert netting_benefit(Scan(), book_of({"empty": {}}), MARKET).im == 0.0


def test_netting_with_an_unknown_account_is_refused():
    book = book_of({"a": {"BTC-PERPETUAL": 1.0}, "b": {}})
    with pytest.raises(ValueError, match="found a unknown"):
        netting_benefit(Flat(charge=math.nan), book, MARKET)


def test_a_market_without_a_price_is_refused():
    with pytest.raises(ValueError, match="USDC"):
        greeks_by(BOOK, replace(MARKET, price=np.where(np.arange(9) == 6, 0.0, MARKET.price)))


def test_days_are_seconds():
    assert shifted(INSTRUMENTS, MARKET, days=1.0).seconds[0] == 29.0 * DAY


def test_a_book_of_dollars_alone_has_no_greeks():
    dollars = Instruments(
        names=("USDC",),
        underlyings=(),
        expiries=(),
        kind=np.array([TOKEN], np.int8),
        underlying=np.array([-1]),
        expiry=np.array([-1]),
        strike=np.zeros(1),
        is_call=np.zeros(1, np.bool_),
    )
    none = np.zeros(0)
    rows = np.zeros(0, np.int64)
    market = Market(none, none, rows, none, none, none, none, none, none, np.ones(1), np.zeros(1), np.ones(1))
    book = Book(dollars, ("a",), np.zeros(1), np.array([0, 1]), np.array([0]), np.ones(1), np.zeros(1), np.zeros(1))
    report = greeks_by(book, market)
    assert report.delta.size == 0
    assert report.summed("underlying").delta.size == 0
