"""Parameters on their way: by hand where the spec names a number, and what holds after any writes and holds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.twin.ramps import GRACE, HELD, HaircutRamp, MarginRamp, ScanRamp, on_the_way, settled
from keeper.twin.records import MarginParameters
from tests.twin_worlds import MARGIN, NOW, SCAN, WAD

LOW = MarginParameters(10_000, 5_000, 50, 20, 0, 0, 0)
UP = ("mm_scalar", "short_mm_rate", "concentration_rate", "confidence_factor")


@pytest.mark.parametrize(
    ("later", "number"),
    [(-1, 100), (0, 100), (1, 100), (GRACE // 2, 150), (GRACE - 1, 199), (GRACE, 200), (2 * GRACE, 200)],
)
def test_a_number_stands_then_moves_in_a_line_and_rounds_down(later, number):
    assert on_the_way(100, 200, NOW, NOW + later) == number


def test_a_number_of_which_less_is_tighter_rounds_up():
    assert on_the_way(200, 100, NOW, NOW + 1, up=True) == 200
    assert on_the_way(200, 100, NOW, NOW + 1) == 199


def test_a_scan_moves_both_ways_from_a_day_after_its_write():
    wider = replace(SCAN, scan=SCAN.scan + 1_000, vol_up=SCAN.vol_up - 1_000)
    ramp = settled(SCAN).written(wider, NOW)
    assert (ramp.before, ramp.to, ramp.start) == (SCAN, wider, NOW + GRACE)
    assert ramp.at(NOW + GRACE) == SCAN
    half = ramp.at(NOW + GRACE + GRACE // 2)
    assert (half.scan, half.vol_up) == (SCAN.scan + 500, SCAN.vol_up - 500)
    assert ramp.at(NOW + 2 * GRACE) == wider
    again = ramp.written(SCAN, NOW + GRACE + GRACE // 2)  # from where it is, a whole grace
    assert (again.before, again.start) == (half, NOW + 2 * GRACE + GRACE // 2)


def test_a_listing_names_both_ends_and_the_start():
    ramp = ScanRamp(SCAN, replace(SCAN, scan=WAD // 10), 7)
    assert len(ramp.words) == 23
    assert ramp.words[0] == SCAN.scan
    assert ramp.words[11] == WAD // 10
    assert ramp.words[-1] == 7


def test_rates_tighten_for_im_at_once_and_for_mm_in_a_day_over_a_day():
    ramp = MarginRamp(MARGIN, MARGIN, 0)
    tighter = replace(MARGIN, im_scalar=13_000, mm_scalar=9_500, concentration_from=500 * WAD)
    moving = ramp.written(tighter, NOW)
    assert moving.to == tighter
    assert moving.mm(NOW + GRACE) == replace(tighter, mm_scalar=9_000, concentration_from=1_000 * WAD)
    half = moving.mm(NOW + GRACE * 3 // 2)
    assert (half.mm_scalar, half.concentration_from) == (9_250, 750 * WAD)
    assert moving.mm(NOW + 2 * GRACE) == tighter


def test_what_is_looser_counts_at_once_and_leaves_the_others_on_their_way():
    moving = MarginRamp(MARGIN, MARGIN, 0).written(replace(MARGIN, mm_scalar=9_500), NOW)
    later = NOW + GRACE + GRACE // 2
    both = moving.written(replace(moving.to, short_mm_rate=20), later)
    assert both.start == moving.start
    assert (both.mm(later).mm_scalar, both.mm(later).short_mm_rate) == (9_250, 20)


def test_a_tightening_under_way_starts_again_from_where_it_is():
    moving = MarginRamp(MARGIN, MARGIN, 0).written(replace(MARGIN, mm_scalar=9_500), NOW)
    later = NOW + GRACE + GRACE // 2
    again = moving.written(replace(moving.to, short_mm_rate=60), later)
    assert again.start == later + GRACE
    assert again.mm(again.start) == replace(again.to, mm_scalar=9_250, short_mm_rate=50)


def test_held_rates_stay_until_a_write_tightens():
    moving = MarginRamp(MARGIN, MARGIN, 0).written(replace(MARGIN, mm_scalar=9_500), NOW)
    held = moving.held(NOW + GRACE + GRACE // 2)
    assert (held.start, held.mm(HELD - 1).mm_scalar) == (HELD, 9_250)
    looser = held.written(replace(held.to, mm_scalar=9_400), NOW + 9 * GRACE)
    assert (looser.start, looser.mm(HELD - 1).mm_scalar) == (HELD, 9_250)
    tighter = held.written(replace(held.to, mm_scalar=9_600), NOW + 9 * GRACE)
    assert (tighter.start, tighter.mm(NOW + 11 * GRACE).mm_scalar) == (NOW + 10 * GRACE, 9_600)


def test_a_haircut_is_a_rate_of_its_own():
    ramp = HaircutRamp(1_000, 1_000, 0).written(1_200, NOW)
    assert [ramp.mm(NOW + GRACE + part) for part in (0, GRACE // 4, GRACE)] == [1_000, 1_050, 1_200]
    assert ramp.written(900, NOW + 1) == HaircutRamp(900, 900, NOW + GRACE)
    assert ramp.held(NOW + GRACE + GRACE // 4).mm(HELD - 1) == 1_050


numbers = st.integers(1, 9_999)
records = st.builds(
    MarginParameters, st.just(20_000), numbers, st.just(10_000), numbers, numbers, numbers, st.integers(0, 10**24)
)
steps = st.lists(st.tuples(st.integers(1, 3 * GRACE), st.one_of(st.none(), records)), min_size=1, max_size=12)


def no_tighter(left: MarginParameters, right: MarginParameters) -> bool:
    up = all(getattr(left, name) <= getattr(right, name) for name in UP)
    return up and left.concentration_from >= right.concentration_from


@given(records, steps)
def test_no_writes_and_holds_tighten_mm_within_a_day_or_beyond_im(first, sequence):
    ramp, now = MarginRamp(first, first, 0), NOW
    for wait, to in sequence:
        now += wait
        stood = ramp.mm(now)
        if to is None:
            if now >= ramp.start + GRACE or ramp.start == HELD:
                continue
            after = ramp.held(now)
            assert after.mm(now) == stood
        else:
            after = ramp.written(to, now)
        begun = after.start != ramp.start
        for later in (0, 1, GRACE // 2, GRACE - 1, GRACE, 3 * GRACE // 2, 2 * GRACE):
            assert no_tighter(after.mm(now + later), after.to)
            if not begun:
                assert no_tighter(after.mm(now + later), ramp.mm(now + later))
            elif later <= GRACE:
                assert no_tighter(after.mm(now + later), stood)
        if to is not None and after.start != HELD:
            assert replace(after.mm(now + 2 * GRACE), im_scalar=0, short_im_rate=0) == replace(
                to, im_scalar=0, short_im_rate=0
            )
        ramp = after


haircut_steps = st.lists(st.tuples(st.integers(1, 3 * GRACE), st.integers(0, 9_999)), min_size=1, max_size=12)


@given(st.integers(0, 9_999), haircut_steps)
def test_a_haircut_moves_as_a_rate_does(first, sequence):
    """The same rule on one number of a record of rates."""
    haircut, rates, now = HaircutRamp(first, first, 0), MarginRamp(*[replace(LOW, confidence_factor=first)] * 2, 0), NOW
    for wait, to in sequence:
        now += wait
        haircut, rates = haircut.written(to, now), rates.written(replace(LOW, confidence_factor=to), now)
        for later in (0, GRACE, GRACE + 1_000, 2 * GRACE):
            assert haircut.mm(now + later) == rates.mm(now + later).confidence_factor
