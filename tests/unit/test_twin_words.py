"""Arrays of the twin: a box of hand-computed cases, and the plain reading of every definition beside the shared one."""

import random
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import pytest

from keeper.twin.black76 import black, put_of
from keeper.twin.fixed import WAD
from keeper.twin.records import UNIT, Instrument
from keeper.twin.words import (
    ASCENDING,
    Header,
    NoArray,
    Terms,
    WordOutOfRange,
    arrays,
    expiry_words,
    mark,
    mark_delta_row,
    opened,
    option_words,
    packed,
    price_factors,
    terms,
    unpacked,
    variance,
    variance_thirds,
    vol_factors,
)
from tests.twin_worlds import DAY, NOW, SCAN, flat, random_case, report

USD = 10**6  # in word units


def test_price_factors_by_hand():
    """Scan 15 %, so a move limit of 1.25 %: rows 10 and 12 at 1.15 · 1.0125 and 0.85 · 0.9875."""
    g = [Fraction(f, WAD) for f in price_factors(SCAN)]
    assert g[:10] == [Fraction(x, 100) for x in (100, 100, 105, 105, 95, 95, 110, 110, 90, 90)]
    assert g[10:14] == [Fraction(11_643_75, 1_000_000)] * 2 + [Fraction(839_375, 1_000_000)] * 2
    assert g[14:] == [
        Fraction(1_316_250, 10**6),
        Fraction(691_250, 10**6),
        Fraction(1_620_000, 10**6),
        Fraction(493_750, 10**6),
    ]


def test_the_grid_rises_as_listed():
    g = price_factors(SCAN)
    assert [g[row] for row in ASCENDING] == sorted(set(g[:14]))


def test_volatility_shocks_by_hand():
    """30 days is the pivot; beyond 120 days √… of the quarter; under a day it is a day; the lower never below 1 %."""
    assert vol_factors(SCAN, 30 * DAY) == (WAD + SCAN.vol_up, WAD - SCAN.vol_down)
    up, down = vol_factors(SCAN, 120 * DAY)
    assert up == pytest.approx(WAD * (1 + 0.33 * 0.25**0.13), rel=1e-15)
    assert down == pytest.approx(WAD * (1 - 0.25 * 0.25**0.13), rel=1e-15)
    assert vol_factors(SCAN, 1) == vol_factors(SCAN, DAY)
    assert vol_factors(SCAN, DAY)[0] == pytest.approx(WAD * (1 + 0.33 * 30**0.3), rel=1e-15)
    assert vol_factors(SCAN, DAY)[1] == pytest.approx(WAD * (1 - 0.25 * 30**0.3), rel=1e-15)


def test_the_lower_shock_never_goes_below_one_percent():
    rng = random.Random(4)
    assert any(
        vol_factors(p, DAY)[1] == WAD // 100 for p in (random_case(rng)[2] for _ in range(50)) if p.vol_down > WAD // 2
    )


def test_variance_time_is_continuous_where_averaging_begins():
    assert variance_thirds(1800) == 1800
    assert variance_thirds(1801) == 1803
    assert variance_thirds(DAY) == 3 * (DAY - 1200)


def test_variance_is_clamped_and_flat_where_b_is_zero():
    expiry = NOW + DAY
    assert variance(flat(expiry, 100 * WAD, 100 * WAD, WAD // 4), 250 * WAD) == WAD // 4
    assert variance(flat(expiry, 100 * WAD, 100 * WAD, -WAD), 100 * WAD) == 10**14
    assert variance(flat(expiry, 100 * WAD, 100 * WAD, 101 * WAD), 100 * WAD) == 100 * WAD


def test_an_at_the_money_year_by_hand():
    """F = K = 100, total variance (365 days − 20 minutes) · 0.25: 100 (2 N(σ/2) − 1) = 19.741 USD, n1 = 0.59870."""
    expiry = NOW + 365 * DAY
    t = terms(report(100 * WAD), flat(expiry, 100 * WAD, 100 * WAD, WAD // 4), SCAN)
    call, put = (option_words(t, 100 * WAD, is_call) for is_call in (True, False))
    assert call[0] == put[0] == pytest.approx(19.7409 * USD, rel=1e-4)
    assert call[1] == pytest.approx(59.8702 * USD, rel=1e-4)
    assert put[1] == pytest.approx(-40.1298 * USD, rel=1e-4)
    half_gamma = 0.5 * 100 * 0.386668 / 0.5 * USD  # the bend is second order in the move limit, but for 1 % of it
    assert call[2] == put[2] == pytest.approx(half_gamma * (SCAN.move / WAD) ** 2, rel=1e-2)
    assert call[3] == put[3] > 0


def test_fixed_entirely_it_is_worth_its_payoff_whatever_the_price():
    expiry = NOW + 1
    fixed = report(100 * WAD, fixing_expiry=expiry, fixed_share=WAD, fixed_average=103 * WAD)
    t = terms(fixed, flat(expiry, 100 * WAD, 100 * WAD, WAD // 4), SCAN)
    assert option_words(t, 101 * WAD, True) == (2 * USD, *[0] * 21)
    assert option_words(t, 101 * WAD, False) == (0,) * 22
    assert option_words(t, 105 * WAD, False) == (2 * USD, *[0] * 21)


def test_beyond_the_strike_already_a_call_is_linear_and_a_put_worthless():
    """Half fixed at 240 against a strike of 100: the call pays at least 20 and moves half a dollar a dollar."""
    expiry = NOW + 900
    half = report(100 * WAD, fixing_expiry=expiry, fixed_share=WAD // 2, fixed_average=240 * WAD)
    t = terms(half, flat(expiry, 100 * WAD, 100 * WAD, WAD // 4), SCAN)
    call = option_words(t, 100 * WAD, True)
    assert call[:4] == (70 * USD, 50 * USD, 0, 0)
    assert call[4:14] == tuple(s * USD // 10 for s in (0, 0, 25, 25, -25, -25, 50, 50, -50, -50))
    assert option_words(t, 100 * WAD, False) == (0,) * 22


def test_another_expirys_fixing_does_not_matter():
    expiry = NOW + 900
    slice_ = flat(expiry, 100 * WAD, 100 * WAD, WAD // 4)
    other = report(100 * WAD, fixing_expiry=expiry + DAY, fixed_share=WAD // 2, fixed_average=240 * WAD)
    assert terms(other, slice_, SCAN) == terms(report(100 * WAD), slice_, SCAN)


def plain_words(t: Terms, strike: int, is_call: bool) -> tuple[int, ...]:
    """The definitions read literally: every value priced by itself, the gap by exact fractions."""
    k, sd = strike - t.fixed, t.sd(strike)

    def priced(forward, shocked):
        call, n1 = black(forward, k, shocked)
        return (call if is_call else put_of(call, forward, k)), call, n1

    now, now_call, n1 = priced(t.forward, sd)
    rows = [priced(f, sd * (t.vol_up, t.vol_down)[s % 2] // WAD if s < 14 else sd) for s, f in enumerate(t.forwards)]
    delta = t.forward * n1 // WAD - (0 if is_call else t.forward)
    bends = [
        Fraction(priced(moved, sd)[1] - now_call) - Fraction(n1 * (moved - t.forward), WAD)
        for moved in (t.above, t.below)
    ]
    bend = ceil(max(0, *bends) / UNIT) if k > 0 else 0
    gaps = [Fraction(0)]
    for volatility in (0, 1):
        cells = [s + volatility for s in ASCENDING]
        for a, b in pairwise(cells):
            p, n = max(rows[a][2] - 10**4, 0), min(rows[b][2] + 10**4, WAD)
            h, rise = t.forwards[b] - t.forwards[a], (rows[b][1] - rows[a][1]) * WAD
            if n > p and k > 0 and rise > p * h and n * h > rise:
                gaps.append(Fraction((rise - p * h) * (n * h - rise), (n - p) * h * WAD))
    values = [row[0] // UNIT - now // UNIT for row in rows]
    return (now // UNIT, floor(Fraction(delta, UNIT)), bend, ceil(Fraction(ceil(max(gaps)), UNIT)), *values)


def test_the_shared_computation_equals_the_plain_one():
    rng = random.Random(11)
    for _ in range(600):
        r, s, p, instrument = random_case(rng)
        t = terms(r, s, p)
        words = option_words(t, instrument.strike_wad, instrument.is_call)
        assert words == plain_words(t, instrument.strike_wad, instrument.is_call)
        assert mark(t, instrument.strike_wad, instrument.is_call) // UNIT == words[0]
        row = rng.randrange(18)
        one = mark_delta_row(t, instrument.strike_wad, instrument.is_call, row)
        assert one == (words[0], words[1], words[4 + row])
        assert mark_delta_row(t, instrument.strike_wad, instrument.is_call, None) == (words[0], words[1], 0)


def chain(expiry, strikes):
    return [Instrument(0, expiry, strikes[i // 2] * 10**8, i % 2 == 0, i) for i in range(2 * len(strikes))]


def test_a_blob_is_its_header_and_every_array_in_row_order():
    expiry = NOW + 30 * DAY
    r, s = report(100 * WAD), flat(expiry, 100 * WAD, 100 * WAD, WAD // 4)
    listed = chain(expiry, (80, 100, 120))
    body = arrays(r, s, SCAN, listed)
    header = Header(b"r" * 32, b"s" * 32, r.price, NOW, 3, len(listed))
    assert len(header.packed) == 96
    assert opened(header.packed + body) == (header, expiry_words(terms(r, s, SCAN), listed))
    with pytest.raises(ValueError, match="6 arrays"):
        opened(header.packed + body[:-1])


def test_words_survive_their_48_bits():
    words = (2**47 - 1, -(2**47), 0, 1, -1, *range(17))
    assert unpacked(packed(words)) == words
    with pytest.raises(OverflowError):
        packed((2**47, *words[1:]))


def test_what_has_no_array_is_refused():
    expiry = NOW + DAY
    r, s = report(100 * WAD), flat(expiry, 100 * WAD, 100 * WAD, WAD // 4)
    with pytest.raises(NoArray, match="settled"):
        terms(report(100 * WAD, timestamp=expiry), s, SCAN)
    with pytest.raises(NoArray, match="one underlying"):
        terms(report(100 * WAD, underlying=1), s, SCAN)
    with pytest.raises(NoArray, match="row 0"):
        arrays(r, s, SCAN, chain(expiry, (80, 100))[1:])
    with pytest.raises(NoArray, match="at most 185"):
        arrays(r, s, SCAN, chain(expiry, tuple(range(50, 143))))


def test_a_price_beyond_the_words_is_refused_not_wrapped():
    spot = 2 * 10**9 * WAD
    t = terms(report(spot), flat(NOW + DAY, spot, spot, WAD), SCAN)
    with pytest.raises(WordOutOfRange, match="48 bits"):
        option_words(t, spot, True)
