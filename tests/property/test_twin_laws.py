"""Laws of the twin's prices and arrays, each to the last wei its rounding allows, and its distance from the engine."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mpmath import log as ln
from mpmath import mp, mpf, ncdf

from engine.black76 import greeks, price
from keeper.twin.black76 import LEAST_SD, black, put_of
from keeper.twin.fixed import WAD
from keeper.twin.records import UNIT, Book, Check, Holding, Instrument, Leg, RecordError
from keeper.twin.words import ASCENDING, option_words, terms
from tests.twin_worlds import DAY, ENGINE_SEED, NOW, SCAN, black_point, random_case, report, smile

POINTS = 10_000

usd = st.integers(10**14, 10**24)
moneyness = st.integers(WAD // 4, 4 * WAD)
sds = st.one_of(st.integers(LEAST_SD, WAD // 1_000), st.integers(WAD // 1_000, 3 * WAD))


def test_the_engine_agrees_over_ten_thousand_points():
    """Required is 1e-9 of the forward. What is left are the last digits of N(d2), which count by the strike: some
    1e-15 of the larger of forward and strike, hence 1e-11 of the forward where the strike is a million times it."""
    rng = random.Random(ENGINE_SEED)
    points = [black_point(rng) for _ in range(POINTS)]
    ours = np.array([[call / WAD, n1 / WAD] for call, n1 in (black(*p) for p in points)])
    forward, strike, sd = (np.array([p[i] / WAD for p in points]) for i in range(3))
    calls = np.ones(POINTS, bool)
    error = np.abs(ours[:, 0] - price(forward, strike, 1.0, sd, calls))
    larger = np.maximum(forward, strike)
    assert (error / forward).max() < 1e-11
    assert (error / larger).max() < 2e-14
    assert np.median(error / larger) < 1e-16
    puts = np.array([put_of(black(*p)[0], p[0], p[1]) / WAD for p in points])
    assert (np.abs(puts - price(forward, strike, 1.0, sd, ~calls)) / larger).max() < 2e-14
    slope = np.abs(ours[:, 1] - greeks(forward, strike, 1.0, sd, calls).delta)
    # d1 is as uncertain as the logarithm, over sd: a float's last digit of its argument, a wad's of forward / strike.
    assert (slope <= 1e-15 + (1e-15 + 1e-18 * strike / forward) / sd).all()


def test_the_last_minutes_agree_too():
    """One second to half an hour before the end, inside the averaging window, within 2 % of the money."""
    rng = random.Random(ENGINE_SEED)
    forward = np.array([rng.randint(10**20, 10**23) for _ in range(2_000)], object)
    strike = np.array([f * rng.randint(98_000, 102_000) // 100_000 for f in forward], object)
    seconds = np.array([rng.randint(1, 1_800) for _ in forward])
    sd = np.array([int(0.6 * np.sqrt(s / 3 / 31_536_000) * WAD) for s in seconds], object)
    ours = np.array([black(*p)[0] / WAD for p in zip(forward, strike, sd, strict=True)])
    f, k, v = (np.array([x / WAD for x in column]) for column in (forward, strike, sd))
    assert (np.abs(ours - price(f, k, 1.0, v, np.ones(2_000, bool))) / f).max() < 2e-14


def test_forty_digits_agree():
    """Against mpmath the distance is not the floats' any more."""
    rng = random.Random(ENGINE_SEED)
    worst = mpf(0)
    with mp.workdps(40):
        for _ in range(500):
            f, k, v = black_point(rng)
            sd, x = mpf(v) / WAD, ln(mpf(f) / k)
            exact = f * ncdf(x / sd + sd / 2) - k * ncdf(x / sd - sd / 2)
            worst = max(worst, abs(black(f, k, v)[0] - exact) / max(f, k))
    assert worst < 1e-14


@given(usd, moneyness, sds)
def test_call_and_put_differ_by_forward_less_strike_and_stay_in_bounds(forward, m, sd):
    k = forward * m // WAD
    call, n1 = black(forward, k, sd)
    put = put_of(call, forward, k)
    assert call - put == forward - k
    assert max(forward - k, 0) <= call <= forward
    assert 0 <= put <= k
    assert 0 <= n1 <= WAD


@given(usd, moneyness, sds)
def test_a_put_is_a_call_with_forward_and_strike_exchanged(forward, m, sd):
    """Put-call symmetry: the put computed by parity is the call of the mirrored market, to 1e-15 of the larger."""
    k = forward * m // WAD
    put = put_of(black(forward, k, sd)[0], forward, k)
    assert abs(put - black(k, forward, sd)[0]) <= max(forward, k) // 10**14 + 10


@given(usd, moneyness, sds, st.integers(1, 10**6))
def test_a_call_rises_with_forward_and_volatility_and_falls_with_strike(forward, m, sd, ppm):
    k = forward * m // WAD
    slack = max(forward, k) // 10**14 + 10
    call = black(forward, k, sd)[0]
    assert black(forward + forward * ppm // 10**6, k, sd)[0] >= call - slack
    assert black(forward, k, sd + sd * ppm // 10**6)[0] >= call - slack
    assert black(forward, k + k * ppm // 10**6, sd)[0] <= call + slack


@given(usd, moneyness, sds, st.integers(1, 1_000))
def test_prices_scale_with_their_unit(forward, m, sd, times):
    k = forward * m // WAD
    assert abs(black(forward * times, k * times, sd)[0] - times * black(forward, k, sd)[0]) <= times * (
        forward // 10**14 + 10
    )


def cases(count: int, seed: int):
    rng = random.Random(seed)
    for _ in range(count):
        report_, slice_, scan, instrument = random_case(rng)
        if report_.price > 10**17:  # below it a unit is no longer small
            yield rng, terms(report_, slice_, scan), instrument.strike_wad


def test_nowhere_between_grid_prices_is_a_call_further_below_its_chord_than_the_gap_word():
    """Any price in any cell, both volatility rows: chord − value <= gap, but for the wei a price is off."""
    tight = 0
    for rng, t, strike in cases(600, 8):
        gap = option_words(t, strike, True)[3] * UNIT
        k, sd = strike - t.fixed, t.sd(strike)
        for volatility in (0, 1):
            shocked = t.sd_of_row(sd, volatility)
            cells = list(pairwise(ASCENDING))
            for a, b in cells:
                fa, fb = t.forwards[a], t.forwards[b]
                at = rng.randint(fa, fb)
                ca, cb, here = (black(f, k, shocked)[0] for f in (fa, fb, at))
                chord = ca + (cb - ca) * (at - fa) / max(fb - fa, 1)
                assert chord - here <= gap + fb * 1e-13
                tight += chord - here > gap / 2 > 0
    assert tight > 20  # the bound is of the size of what it bounds


def test_within_the_move_limit_no_option_rises_above_its_tangent_by_more_than_its_bend():
    """At a move d: value − tangent <= bend · |d| / move, with the time and the volatility kept."""
    tight = 0
    for rng, t, strike in cases(1_500, 9):
        bend = option_words(t, strike, True)[2] * UNIT
        k, sd = strike - t.fixed, t.sd(strike)
        call, n1 = black(t.forward, k, sd)
        for end in (t.above, t.below):
            at = rng.randint(min(t.forward, end), max(t.forward, end))
            rise = black(at, k, sd)[0] - call - n1 * (at - t.forward) / WAD
            share = abs(at - t.forward) / max(abs(end - t.forward), 1)
            assert rise <= bend * share + t.forward * 1e-13
            tight += rise > bend * share / 2 > UNIT
    assert tight > 50


def test_gap_and_bend_vanish_where_the_value_is_straight():
    """A strike at a thousandth of the price a day before expiry: the call is the forward less the strike."""
    expiry = NOW + DAY
    t = terms(report(3_000 * WAD), smile(0, expiry, 3_000 * WAD), SCAN)
    words = option_words(t, 3 * WAD, True)
    assert words[1] == t.forward // UNIT
    assert max(words[2:4]) <= 2


@given(
    st.integers(0, 255), st.integers(0, 2**40 - 1), st.integers(0, 2**64 - 1), st.booleans(), st.integers(0, 2**15 - 1)
)
def test_instruments_and_legs_survive_packing(underlying, expiry, strike, call, index):
    assume(expiry > 0)
    option = Instrument(underlying, expiry, strike, call, index)
    assert Instrument.of(option.id) == option
    for size in (1, -1, 10**26, -(10**26)):
        assert Leg.of(Leg(option, size).packed) == Leg(option, size)
    assert Holding.of(Holding(index, strike).packed) == Holding(index, strike)


def test_records_refuse_what_no_contract_holds():
    with pytest.raises(RecordError, match="price"):
        report(0)
    with pytest.raises(RecordError, match="fixed_share"):
        report(1, fixed_share=WAD + 1)
    with pytest.raises(RecordError, match="perpetual"):
        Instrument(0, 0, 1)
    with pytest.raises(RecordError, match="size"):
        Leg(Instrument(0), 10**26 + 1)
    with pytest.raises(RecordError, match="128 bits"):
        Instrument.of(2**128)
    assert Book(0).legs == ()
    assert Check(1, 2, 3).excess == -2
