"""The reference venue's margin in floats: small books by hand, full revaluation, and what bounds must hold."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine import averaging
from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.array_words import ASCENDING, ROWS, ScanTerms, cell_gap, words
from engine.margin.arrays import Arrays, MarginTerms, UnderlyingTerms
from engine.margin.base import margin
from engine.market import Market
from engine.revalue import scenario_values
from engine.scenarios import Scenarios
from engine.types import DAY, YEAR

NAMES = ("PERP", "C95", "C105", "P95", "P105", "C97.5", "C0", "TOKEN", "E-PERP")
INSTRUMENTS = Instruments(
    names=NAMES,
    underlyings=("BTC", "ETH"),
    expiries=("near", "far"),
    kind=np.array([PERPETUAL] + [OPTION] * 6 + [TOKEN, PERPETUAL], np.int8),
    underlying=np.array([0] * 8 + [1]),
    expiry=np.array([-1, 1, 1, 1, 1, 0, 1, -1, -1]),
    strike=np.array([0.0, 95.0, 105.0, 95.0, 105.0, 97.5, 0.0, 0.0, 0.0]),
    is_call=np.array([False, True, True, False, False, True, True, False, False]),
)
MARKET = Market(
    spot=np.array([100.0, 10.0]),
    spot_confidence=np.ones(2),
    expiry_underlying=np.zeros(2, np.int64),
    seconds=np.array([0.0, 30 * DAY]),
    forward=np.array([100.0, 102.0]),
    forward_fixed=np.zeros(2),
    forward_confidence=np.ones(2),
    rate=np.full(2, 0.05),
    rate_confidence=np.ones(2),
    price=np.array([101.0, 0, 0, 0, 0, 0, 0, 99.0, 10.0]),
    vol=np.array([0, 0.7, 0.6, 0.7, 0.6, 0.6, 0.6, 0, 0]),
    confidence=np.ones(9),
)
NO_MINIMUM = MarginTerms(short_im_rate=0.0, short_mm_rate=0.0)
BARE = Arrays(other=UnderlyingTerms(margin=NO_MINIMUM))
UNIT = 1e-6


def book(held, cash=0.0):
    rows = [NAMES.index(name) for name in held]
    return Book(
        instruments=INSTRUMENTS,
        accounts=("a",),
        cash=np.array([cash]),
        start=np.array([0, len(rows)]),
        instrument=np.array(rows, np.int64),
        quantity=np.array(list(held.values()), np.float64),
        entry=np.zeros(len(rows)),
        accrued=np.zeros(len(rows)),
    )


def row(name):
    return NAMES.index(name)


def test_a_perpetual_by_hand():
    """The lower end is 100 · 0.85 · 0.9875 = 83.9375; its extreme counts 35 % of 30.875, deep 20 % of 60.5 a unit."""
    found = margin(BARE, book({"PERP": 2.0}, 10.0), MARKET)
    assert found.equity[0] == pytest.approx(210.0)  # worth the index, whatever its own price
    assert found.im[0] == pytest.approx(2 * 16.0625)
    assert found.mm[0] == pytest.approx(0.8 * 2 * 16.0625)
    assert found.scenarios[found.worst[0]] == "BTC: price −1 vol up"
    short = margin(BARE, book({"PERP": -1.0}), MARKET)
    assert short.im[0] == pytest.approx(100.0 * (1.15 * 1.0125 - 1.0))


def test_a_deep_tail_decides_where_its_share_is_large():
    deep = replace(BARE, other=UnderlyingTerms(ScanTerms(deep_down_cover=0.5), NO_MINIMUM))
    found = margin(deep, book({"PERP": 1.0}), MARKET)
    assert found.im[0] == pytest.approx(0.5 * (100.0 - 100.0 * 0.4 * 0.9875))
    assert found.scenarios[found.worst[0]] == "BTC: price − deep"


def test_underlyings_give_each_other_no_credit():
    apart = [margin(BARE, book(held), MARKET) for held in ({"PERP": 1.0}, {"E-PERP": -10.0})]
    both = margin(BARE, book({"PERP": 1.0, "E-PERP": -10.0}), MARKET)
    assert both.im[0] == pytest.approx(sum(one.im[0] for one in apart))


def test_a_short_forward_covered_by_the_perpetual_needs_the_short_minimum_only():
    """A call struck at 0 is the forward, 102 at 100: short one against 1.02 perpetuals nothing moves."""
    found = margin(Arrays(), book({"C0": -1.0, "PERP": 1.02}), MARKET)
    assert found.equity[0] == pytest.approx(0.0, abs=1e-12)
    assert found.im[0] == pytest.approx(0.02 * 100.0 + UNIT)
    assert found.mm[0] == pytest.approx(0.015 * 100.0 + UNIT)


def test_a_box_is_worth_its_width_and_costs_two_gaps():
    held = {"C95": 1.0, "C105": -1.0, "P105": 1.0, "P95": -1.0}
    found = margin(BARE, book(held), MARKET)
    assert found.equity[0] == pytest.approx(10.0)
    gap = words(INSTRUMENTS, MARKET, (ScanTerms(), ScanTerms())).gap
    assert found.im[0] == pytest.approx(gap[row("C95")] + gap[row("P105")] + 4 * UNIT, rel=1e-9)
    assert found.im[0] > 0.1  # and the gap of an option of a month is not nothing


def test_gap_and_bend_of_an_option_at_its_expiry_by_hand():
    """Struck at 97.5 in the cell 95 to 100: the tangents meet at the kink, 2.5 · 2.5 / 5 below the chord. The price may
    fall to 98.75 before new arrays: never to the kink. From 97 it may rise to 98.2125."""
    arrays = words(INSTRUMENTS, MARKET, (ScanTerms(), ScanTerms()))
    assert arrays.gap[row("C97.5")] == pytest.approx(1.25, rel=1e-9)
    assert arrays.bend[row("C97.5")] == 0.0
    low = replace(MARKET, spot=np.array([97.0, 10.0]), forward=np.array([97.0, 100.0]))
    arrays = words(INSTRUMENTS, low, (ScanTerms(), ScanTerms()))
    assert arrays.bend[row("C97.5")] == pytest.approx(0.7125, rel=1e-12)
    at = BARE.at(INSTRUMENTS, low).moved(np.array([97.0 * 1.00625, 10.0]))
    assert at(book({"C97.5": -1.0})).equity[0] == pytest.approx(-0.7125 / 2)  # worth 0 there still
    at = BARE.at(INSTRUMENTS, low).moved(np.array([97.0 * 1.0125, 10.0]))
    assert at(book({"C97.5": -1.0})).equity[0] == pytest.approx(-0.7125)  # and this at the limit
    assert at(book({"C97.5": 1.0})).equity[0] == 0.0  # the tangent


def test_the_tangents_of_a_parabola_meet_at_twice_its_depth():
    """y = x²/2 over [0, 1]: the tangents at the ends meet 1/4 below the chord, the curve itself is 1/8 below."""
    assert cell_gap(*(np.array([n]) for n in (1.0, 0.5, 0.0, 1.0)))[0] == pytest.approx(0.25, rel=1e-12)
    assert cell_gap(*(np.array([n]) for n in (1.0, 0.7, 0.7, 0.7)))[0] < 1e-13


def test_contingencies_by_hand():
    """±0.4 % of |2 · 100| of delta; 5 % of 100 a contract beyond 1.5; 10 % of 3 tokens of 100."""
    terms = replace(NO_MINIMUM, concentration_rate=0.05, concentration_from=1.5, confidence_factor=2.0)
    doubt = replace(MARKET, spot_confidence=np.array([0.996, 1.0]))
    found = margin(replace(BARE, other=UnderlyingTerms(margin=terms)), book({"PERP": -5.0, "TOKEN": 3.0}), doubt)
    assert found.contingencies["IM confidence"][0] == pytest.approx(200.0 * 0.004 * 2.0)
    assert found.contingencies["IM concentration"][0] == pytest.approx(0.05 * 100.0 * 3.5)  # collateral does not count
    assert found.contingencies["IM haircuts"][0] == pytest.approx(30.0)
    assert found.contingencies["array units"][0] == 0.0
    assert found.equity[0] == pytest.approx(-200.0)
    assert found.im[0] == pytest.approx(1.6 + 17.5 + 30.0 + 200.0 * (1.15 * 1.0125 - 1.0))


def test_mm_has_rates_and_haircuts_of_its_own_while_a_tightening_is_under_way():
    """IM by what was written: 1.5 · 16.0625, 5 · 0.1 · 2.5, 30 %; MM by what stood: 0.8 · 16.0625, nothing, 10 %."""
    written = replace(NO_MINIMUM, im_scalar=1.5, mm_scalar=0.9, concentration_rate=0.1, concentration_from=0.5)
    terms = UnderlyingTerms(margin=written, mm=NO_MINIMUM)
    model = Arrays(other=terms, haircuts={"TOKEN": 0.3}, mm_haircuts={"TOKEN": 0.1})
    found = margin(model, book({"PERP": 2.0, "TOKEN": 1.0}), MARKET)
    assert found.im[0] == pytest.approx(1.5 * 3 * 16.0625 + 0.1 * 100.0 * 1.5 + 30.0)
    assert found.mm[0] == pytest.approx(0.8 * 3 * 16.0625 + 10.0)
    assert (found.contingencies["IM haircuts"][0], found.contingencies["MM haircuts"][0]) == (30.0, 10.0)
    assert found.contingencies["MM concentration"][0] == 0.0
    same = margin(replace(model, mm_haircuts={}), book({"TOKEN": 1.0}), MARKET)
    assert same.contingencies["MM haircuts"][0] == 30.0


def test_without_options_the_scan_in_force_counts_and_with_them_that_of_the_arrays():
    """A scan of 30 % whose end is 0.7 · 0.975, while the arrays still stand on one of 15 %."""
    later = UnderlyingTerms(margin=NO_MINIMUM, now=ScanTerms(scan=0.3, extreme=0.5, deep_down=0.6))
    model = replace(BARE, other=later)
    assert margin(model, book({"PERP": 1.0}), MARKET).im[0] == pytest.approx(100.0 * (1.0 - 0.7 * 0.975))
    beside = margin(model, book({"PERP": 1.0, "C0": -1e-9}), MARKET)
    assert beside.im[0] == pytest.approx(16.0625, rel=1e-6)


def test_without_options_the_newest_price_is_the_reference():
    moved = BARE.at(INSTRUMENTS, MARKET).moved(np.array([101.0, 10.0]))
    assert moved(book({"PERP": 1.0})).im[0] == pytest.approx(101.0 * 0.160625)
    beside = moved(book({"PERP": 1.0, "C0": -1e-9}))  # with an option the rows stay where the arrays put them
    assert beside.im[0] == pytest.approx(101.0 - 100.0 * (1.0 - 0.160625), rel=1e-6)


def test_rows_are_full_revaluations_at_their_prices():
    """The engine's other revaluation, discount 1, given the row's shocks; it knows no averaging, so its expiries are 20
    minutes nearer."""
    flat = ScanTerms(short_power=0.0, long_power=0.0)
    prices = np.array([0, 0, 5, 5, -5, -5, 10, 10, -10, -10, 16.4375, 16.4375, -16.0625, -16.0625]) / 100.0
    shocks = np.append(prices, [1.3 * 1.0125 - 1, 0.7 * 0.9875 - 1, 2 * 1.0125 - 1, 0.4 * 0.9875 - 1])
    turns = np.append(np.tile([0.45, -0.3], 7), np.zeros(4))
    scenarios = Scenarios(
        names=tuple(str(s) for s in range(ROWS)),
        spot=np.repeat(shocks[:, np.newaxis], 2, axis=1),
        vol=np.repeat(turns[:, np.newaxis], 2, axis=1),
        vol_points=np.zeros((ROWS, 2)),
        skew=np.zeros(ROWS, np.int8),
        weight=np.ones(ROWS),
        days=np.zeros(ROWS),
    )
    near = replace(MARKET, seconds=np.array([0.0, 30 * DAY - 1200.0]), price=np.array([100.0] * 8 + [10.0]))
    expected, mark = scenario_values(INSTRUMENTS, near, scenarios, discount=np.ones(2))
    found = words(INSTRUMENTS, MARKET, (flat, flat))
    np.testing.assert_allclose(found.value, expected, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(found.mark, mark, rtol=1e-12, atol=1e-11)


def test_volatility_rows_shrink_with_term_and_stop_at_a_day():
    """At 120 days (¼)^0.13, at a day and below 30^0.3, never below 1 % of the vol."""
    multiple = ScanTerms().vols(np.array([120 * DAY, DAY, 60.0]))
    assert multiple[0, 0] == pytest.approx(1.0 + 0.45 * 0.25**0.13)
    assert multiple[1, 0] == multiple[2, 0] == pytest.approx(1.0 + 0.45 * 30**0.3)
    assert multiple[1, 1] == pytest.approx(1.0 - 0.3 * 30**0.3)
    assert (multiple[:, 14:] == 1.0).all()
    assert ScanTerms(vol_down=0.9).vols(np.array([DAY]))[0, 1] == 0.01


def test_inside_the_window_the_unfixed_part_is_priced():
    """Half fixed at 110: a strike of 104 is half an option struck at 98 on the rest, moved with the price."""
    fixing = replace(
        MARKET,
        seconds=np.array([900.0, DAY]),
        forward=np.array([50.0, 100.0]),
        forward_fixed=np.array([55.0, 0.0]),
    )
    instruments = replace(INSTRUMENTS, strike=np.where(INSTRUMENTS.strike == 97.5, 104.0, INSTRUMENTS.strike))
    found = words(instruments, fixing, (ScanTerms(), ScanTerms()))
    i = row("C97.5")
    assert found.mark[i] == pytest.approx(averaging.price(100.0, 104.0, 900.0, 0.6, True, 0.5, 110.0), rel=1e-13)
    up = 0.5 * averaging.black76.price(105.0, 98.0, 300.0 / YEAR, 0.6 * (1 + 0.45 * 30**0.3), np.True_)
    assert found.value[i, 2] == pytest.approx(up, rel=1e-13)


def test_a_strike_used_up_has_no_curvature():
    fixing = replace(
        MARKET, seconds=np.array([60.0, DAY]), forward=np.array([4.0, 100.0]), forward_fixed=np.array([98.0, 0])
    )
    found = words(INSTRUMENTS, fixing, (ScanTerms(), ScanTerms()))
    i = row("C97.5")
    assert (found.mark[i], found.delta[i], found.gap[i], found.bend[i]) == (4.5, 4.0, 0.0, 0.0)


def test_the_gap_bounds_the_true_depth_in_every_cell():
    """And is never more than twice it for a smooth option, nor less than it for any."""
    rng = np.random.default_rng(5)
    count = 300
    strike = rng.uniform(70.0, 140.0, count)
    instruments = Instruments(
        names=tuple(str(i) for i in range(count)),
        underlyings=("BTC",),
        expiries=("e0", "e1", "e2"),
        kind=np.zeros(count, np.int8),
        underlying=np.zeros(count, np.int64),
        expiry=np.arange(count) % 3,
        strike=strike,
        is_call=rng.random(count) < 0.5,
    )
    market = Market(
        spot=np.array([100.0]),
        spot_confidence=np.ones(1),
        expiry_underlying=np.zeros(3, np.int64),
        seconds=np.array([120.0, DAY, 60 * DAY]),
        forward=np.full(3, 100.0),
        forward_fixed=np.zeros(3),
        forward_confidence=np.ones(3),
        rate=np.zeros(3),
        rate_confidence=np.ones(3),
        price=np.zeros(count),
        vol=np.full(count, 0.6),
        confidence=np.ones(count),
    )
    terms = ScanTerms()
    found = words(instruments, market, (terms,))
    multiple, deepest = terms.vols(market.seconds)[instruments.expiry], np.zeros(count)
    for turn in (0, 1):
        for a, b in pairwise(ASCENDING):
            share = np.linspace(0.0, 1.0, 101)[:, np.newaxis]
            price = terms.prices[a] + share * (terms.prices[b] - terms.prices[a])
            vol = market.vol * multiple[:, turn]
            seconds = market.seconds[instruments.expiry]
            inside = averaging.price(100.0 * price, strike, seconds, vol, instruments.is_call)
            chord = (1.0 - share) * found.value[:, a + turn] + share * found.value[:, b + turn]
            deepest = np.maximum(deepest, (chord - inside).max(axis=0))
    assert (deepest <= found.gap + 1e-12 * (100.0 + strike)).all()
    assert (deepest > 0.01).sum() > 100
    smooth = instruments.expiry == 2
    assert (found.gap[smooth] <= 2.05 * deepest[smooth] + 1e-6).all()


def test_it_refuses_futures_debts_and_tokens_of_no_underlying():
    for kind, underlying, quantity, why in (
        (FUTURE, 0, 1.0, "dated future"),
        (TOKEN, 0, -1.0, "a debt"),
        (TOKEN, -1, 1.0, "not accepted"),
    ):
        other = replace(
            INSTRUMENTS,
            kind=np.append(INSTRUMENTS.kind[:-1], np.int8(kind)),
            underlying=np.append(INSTRUMENTS.underlying[:-1], underlying),
            expiry=np.append(INSTRUMENTS.expiry[:-1], 0 if kind == FUTURE else -1),
        )
        held = replace(book({"E-PERP": quantity}), instruments=other)
        with pytest.raises(ValueError, match=why):
            margin(BARE, held, MARKET)


def test_terms_are_checked():
    with pytest.raises(ValueError, match="MM scalar <= 1 <= IM scalar"):
        MarginTerms(im_scalar=0.9)
    with pytest.raises(ValueError, match="0 < scan < 1"):
        ScanTerms(scan=0.0)
    with pytest.raises(ValueError, match="below 1, found TOKEN"):
        Arrays(haircuts={"TOKEN": 1.0})
