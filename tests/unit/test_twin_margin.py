"""Margin of the twin: books worked by hand, every limit at its equality case, and what must hold of any book."""

import random
from dataclasses import replace

import pytest

from keeper.twin.fixed import WAD
from keeper.twin.margin import (
    by_arrays,
    by_arrays_regardless,
    by_scenario,
    by_settled_arrays,
    groups_by_arrays,
    groups_by_scenario,
    mark_of,
    pack_scenarios,
    value_of,
)
from keeper.twin.records import Book, Check, Holding, Instrument, Leg
from keeper.twin.world import (
    ArrayMissing,
    MovedTooFar,
    NoEpoch,
    NoReport,
    NoSlice,
    StaleEpoch,
    StaleReport,
    StaleSlice,
    UnknownRow,
    Unsettled,
)
from tests.twin_worlds import DAY, LIMITS, NOW, PRICES, SCAN, board, calm, moved, option_at, random_book

ETH = Instrument(0)
BTC = Instrument(1)
NONE = 2**256 - 1


def usd(amount: str) -> int:
    whole, _, part = amount.partition(".")
    return int(whole) * WAD + int(part.ljust(18, "0") or 0)


def test_a_long_perpetual_by_hand():
    """2 ETH at 3,000: the outermost row 0.85 · 0.9875 loses 963.75, the tails less; confidence 0.05 % of 6,000 is 3."""
    check = by_arrays(Book(1_000 * WAD, (Leg(ETH, 2 * WAD),)), calm())
    assert check == Check(usd("7000"), usd("1207.6875"), usd("870.375"))
    (group,) = groups_by_arrays(Book(0, (Leg(ETH, 2 * WAD),)), calm())
    assert group.row == 12


def test_a_short_perpetual_by_hand():
    """Up, 1.15 · 1.0125 loses 16.4375 %: 986.25; the deep tail 62 % · 20 % only 12.4 %."""
    check = by_arrays(Book(20_000 * WAD, (Leg(ETH, -2 * WAD),)), calm())
    assert check == Check(usd("14000"), usd("1235.8125"), usd("890.625"))


def test_collateral_is_a_leg_and_pays_its_haircut_by_hand():
    """1.5 WBTC of 8 decimals at 60,000: scan 16.0625 % of 90,000, haircut 15 %, confidence 45."""
    check = by_arrays(Book(0, (), (Holding(1, 150_000_000),)), calm())
    scan, haircut, confidence = usd("14456.25"), usd("13500"), usd("45")
    assert check == Check(usd("90000"), scan * 5 // 4 + haircut + confidence, scan * 9 // 10 + haircut + confidence)


def test_a_stablecoins_scan_is_its_depeg_by_hand():
    """1,000 at 1 USD: rows reach 0.98 · (1 − 1/600), the deep tail half the coin at 30 %, widened: 15.025 %."""
    group = groups_by_arrays(Book(0, (), (Holding(2, 10**9),)), calm())[0]
    assert group.row == 17
    assert group.scan == pytest.approx(1_000 * 0.3 * (1 - 0.5 * (1 - 0.02 / 12)) * 10**4 * 10**36, rel=1e-12)


def test_collateral_hedges_a_short_perpetual_of_its_underlying():
    """Long and short the same amount there is nothing to scan: the haircut is all."""
    check = by_arrays(Book(0, (Leg(ETH, -2 * WAD),), (Holding(0, 2 * WAD),)), calm())
    assert check == Check(0, usd("600"), usd("600"))


def test_no_credit_between_underlyings():
    long, short = Leg(ETH, 20 * WAD), Leg(BTC, -WAD)
    together = by_arrays(Book(0, (long, short)), calm())
    assert together.im == by_arrays(Book(0, (long,)), calm()).im + by_arrays(Book(0, (short,)), calm()).im


def test_concentration_starts_beyond_the_threshold_by_hand():
    """1,001 ETH: 2 % of 3,000 on the one beyond 1,000."""
    at, beyond = (by_arrays(Book(0, (Leg(ETH, n * WAD),)), calm()) for n in (1_000, 1_001))
    assert beyond.mm - at.mm == at.mm // 1_000 + usd("60")


def test_a_far_short_option_costs_its_minimum():
    """A put at 70 % a day before expiry: 1 % (IM) and 0.5 % (MM) of spot; nothing else differs."""
    put = option_at(0, 1, 70, call=False)
    group = groups_by_scenario(Book(0, (Leg(put, -WAD),)), calm(), pack_scenarios({0: 0}))[0]
    assert (group.im - group.mm) == 3_000 * 50 * 10**4 * WAD * WAD


def test_a_long_option_is_margined_by_its_row_and_gap_by_hand():
    """The worst of mark − row, plus the gap word on the grid, read off the published words themselves."""
    call = option_at(0, 30, 100, call=True)
    words = calm().underlyings[0].current.arrays[call.expiry][call.index]
    mark, _, _, gap, *rows = words
    grid = max(-row for row in rows[:14]) + gap
    tails = [-row * cover // 10**4 for row, cover in zip(rows[14:], (3_500, 3_500, 2_000, 2_500), strict=True)]
    (group,) = groups_by_arrays(Book(0, (Leg(call, WAD),)), calm())
    assert grid > max(tails)
    assert group.scan == grid * 10**30 * 10**4
    assert group.worth == mark * 10**30
    assert group.common == 10**30 * 10**8


def test_a_box_spread_has_nothing_to_scan_but_words_and_gaps():
    """+C90 −C110 −P90 +P110 pays 600 whatever happens: rows differ by at most a unit a leg."""
    legs = (
        Leg(option_at(0, 30, 90, True), WAD), Leg(option_at(0, 30, 110, True), -WAD),
        Leg(option_at(0, 30, 90, False), -WAD), Leg(option_at(0, 30, 110, False), WAD),
    )  # fmt: skip
    (group,) = groups_by_arrays(Book(0, legs), calm())
    gaps = sum(
        calm().underlyings[0].current.arrays[leg.instrument.expiry][leg.instrument.index][3] for leg in legs[::3]
    )
    assert group.worth == pytest.approx(600 * 10**36, abs=4 * 10**30)
    assert gaps * 10**34 <= group.scan <= (gaps + 4) * 10**34


def test_equal_legs_add_and_order_does_not_matter():
    rng = random.Random(1)
    for _ in range(20):
        book = random_book(rng, 12, collateral=2, perpetuals=True)
        check = by_arrays(book, calm())
        shuffled = rng.sample(book.legs, len(book.legs))
        assert by_arrays(replace(book, legs=tuple(shuffled)), calm()) == check
        first = book.legs[0]
        doubled = replace(book, legs=(replace(first, size=2 * first.size), *book.legs[1:]))
        if first.size < 0:  # the same sign both times, so that long and short quantities add as well
            assert by_arrays(replace(book, legs=(first, *book.legs)), calm()) == by_arrays(doubled, calm())


def test_opposite_legs_of_one_instrument_have_no_worth():
    call = option_at(1, 8, 105, True)
    check = by_arrays(Book(0, (Leg(call, 3 * WAD), Leg(call, -3 * WAD))), calm())
    assert check.equity == 0


def test_twice_the_book_is_twice_the_requirement_without_concentration():
    rng = random.Random(2)
    for _ in range(20):
        book = random_book(rng, 5)
        small = replace(book, legs=tuple(replace(leg, size=leg.size // 10**6) for leg in book.legs if leg.size > 10**6))
        twice = replace(small, cash=2 * small.cash, legs=tuple(replace(leg, size=2 * leg.size) for leg in small.legs))
        one, two = by_arrays(small, calm()), by_arrays(twice, calm())
        assert 0 <= 2 * one.im - two.im <= 1
        assert 0 <= 2 * one.mm - two.mm <= 1
        assert 0 <= two.equity - 2 * one.equity <= 1


# ---- one scenario ----


def test_one_scenario_never_exceeds_the_arrays_and_reaches_them_where_no_gap_is_charged():
    rng = random.Random(3)
    for _ in range(40):
        book = random_book(rng, 8, collateral=1, perpetuals=True)
        shorts = replace(book, legs=tuple(replace(leg, size=-abs(leg.size)) for leg in book.legs))
        for held, reaches in ((book, False), (shorts, True)):
            rows = {group.underlying: group.row for group in groups_by_arrays(held, calm())}
            arrays, proof = by_arrays(held, calm()), by_scenario(held, calm(), pack_scenarios(rows))
            assert proof.equity == arrays.equity
            assert proof.mm <= arrays.mm
            assert not reaches or proof == arrays
            anything = {u: rng.choice((*range(18), 255)) for u in range(3)}
            assert by_scenario(held, calm(), pack_scenarios(anything)).mm <= arrays.mm


def test_without_scenarios_nothing_is_scanned():
    book = Book(0, (Leg(ETH, 2 * WAD),))
    check = by_scenario(book, calm(), NONE)
    assert check == Check(usd("6000"), usd("3"), usd("3"))
    assert groups_by_scenario(book, calm(), NONE)[0].row == 255


@pytest.mark.parametrize("row", [18, 100, 254])
def test_a_row_that_does_not_exist_is_refused(row):
    with pytest.raises(UnknownRow, match=str(row)):
        by_scenario(Book(0, (Leg(ETH, WAD),)), calm(), pack_scenarios({0: row}))


def test_marks_and_what_legs_are_worth():
    call = option_at(0, 30, 100, True)
    words = calm().underlyings[0].current.arrays[call.expiry][call.index]
    assert mark_of(ETH, calm()) == PRICES[0]
    assert mark_of(call, calm()) // 10**12 == words[0]
    assert value_of(Leg(call, -3 * WAD), calm()) == -3 * words[0] * 10**30
    assert value_of(Leg(ETH, -WAD), calm()) == -3_000 * WAD * WAD


# ---- after a move ----


def test_the_mark_after_any_allowed_move_is_never_above_full_revaluation():
    """The move limit is 1.25 %; time and slices kept, so that only the price differs."""
    rng = random.Random(5)
    for _ in range(60):
        book = random_book(rng, 6)
        prices = {u: PRICES[u] * rng.randint(98_750, 101_250) // 100_000 for u in (0, 1)}
        there = moved(calm(), prices)
        full = by_scenario(book, there, NONE).equity
        units = sum(abs(leg.size) for leg in book.legs) * 2 // 10**6 + 1
        assert by_arrays(book, there).equity <= full + units


def test_a_move_of_the_whole_limit_is_allowed_and_a_wei_more_is_not():
    book = Book(0, (Leg(option_at(0, 8, 100, True), WAD),))
    limit = PRICES[0] * SCAN.move // WAD
    for sign in (1, -1):
        by_arrays(book, moved(calm(), {0: PRICES[0] + sign * limit}))
        beyond = moved(calm(), {0: PRICES[0] + sign * (limit + 1)})
        with pytest.raises(MovedTooFar, match="publish"):
            by_arrays(book, beyond)
        assert by_settled_arrays(book, beyond) == by_arrays_regardless(book, beyond)
        half = PRICES[0] * (SCAN.scan // 2) // WAD
        by_settled_arrays(book, moved(calm(), {0: PRICES[0] + sign * half}))
        with pytest.raises(MovedTooFar):
            by_settled_arrays(book, moved(calm(), {0: PRICES[0] + sign * (half + 1)}))


def test_perpetuals_and_collateral_alone_need_no_epoch():
    far = moved(calm(), {0: 2 * PRICES[0]}, later=LIMITS.epoch_age + 1)
    assert by_arrays(Book(0, (Leg(ETH, WAD),)), far).equity == 6_000 * WAD


# ---- limits ----


def aged(seconds: int, *, fresh_report: bool = True):
    """The calm world `seconds` later; its reports are new unless told otherwise."""
    prices = {0: PRICES[0], 1: PRICES[1], 2: PRICES[2]} if fresh_report else {}
    return moved(calm(), prices, later=seconds)


def test_ages_equal_to_their_limits_are_allowed():
    book = Book(0, (Leg(option_at(0, 8, 100, True), WAD),))
    by_arrays(book, aged(LIMITS.report_age, fresh_report=False))
    with pytest.raises(StaleReport, match="301s old"):
        by_arrays_regardless(book, aged(LIMITS.report_age + 1, fresh_report=False))
    by_arrays(book, aged(LIMITS.epoch_age))
    with pytest.raises(StaleEpoch, match="901s old"):
        by_arrays(book, aged(LIMITS.epoch_age + 1))
    by_settled_arrays(book, aged(LIMITS.epoch_age + LIMITS.window))
    with pytest.raises(StaleEpoch, match="1501s old"):
        by_settled_arrays(book, aged(LIMITS.epoch_age + LIMITS.window + 1))
    by_arrays_regardless(book, aged(LIMITS.epoch_age + LIMITS.window + 1))
    by_scenario(book, aged(LIMITS.slice_age), NONE)
    with pytest.raises(StaleSlice, match="601s old"):
        by_scenario(book, aged(LIMITS.slice_age + 1), NONE)


def test_what_is_not_there_is_refused_by_name():
    option = option_at(0, 8, 100, True)
    book = Book(0, (Leg(option, WAD),))
    without = replace(calm(), underlyings={0: replace(calm().underlyings[0], current=None, slices={})})
    with pytest.raises(NoEpoch, match="current"):
        by_arrays(book, without)
    by_settled_arrays(book, without)
    with pytest.raises(NoSlice, match="no slice"):
        by_scenario(book, without, NONE)
    with pytest.raises(NoReport, match="underlying 1"):
        by_arrays(Book(0, (Leg(BTC, WAD),)), without)
    listed_later = replace(option, index=len(board(0, option.expiry)))
    with pytest.raises(ArrayMissing, match="listed later"):
        by_arrays(Book(0, (Leg(listed_later, WAD),)), calm())


def test_an_expired_leg_is_unsettled_whatever_the_path():
    book = Book(0, (Leg(option_at(0, 1, 100, True), WAD),))
    over = aged(DAY)
    known = over.underlyings[0]
    fresh = replace(known, slices={e: replace(s, timestamp=over.now) for e, s in known.slices.items()})
    over = replace(over, underlyings={0: fresh})
    for margin in (by_arrays_regardless, lambda b, w: by_scenario(b, w, NONE)):
        with pytest.raises(Unsettled, match=f"expiry {NOW + DAY}"):
            margin(book, over)


def test_a_small_debt_is_equity_below_zero_rounded_down():
    assert by_arrays(Book(-1, ()), calm()) == Check(-1, 0, 0)
    call = option_at(0, 30, 100, True)
    assert by_arrays(Book(0, (Leg(call, -1),)), calm()).equity < -PRICES[0] // WAD // 20


def test_no_gap_is_charged_where_a_tail_is_the_worst_row():
    """With the extreme counted in full a long call loses most there: exactly mark − row, no cell lies beyond it."""
    call = option_at(0, 30, 100, True)
    known = calm().underlyings[0]
    full = replace(known.current, parameters=replace(SCAN, extreme_cover=10_000))
    world = replace(calm(), underlyings={0: replace(known, current=full)})
    (group,) = groups_by_arrays(Book(0, (Leg(call, WAD),)), world)
    words = full.arrays[call.expiry][call.index]
    assert words[3] > 0
    assert (group.row, group.scan) == (15, -words[4 + 15] * 10**30 * 10**4)


def test_confidence_is_rounded_up():
    """A wei of an option under a confidence of a wei: far below one fine unit, and one is charged."""
    known = calm().underlyings[0]
    tight = replace(known, report=replace(known.report, confidence=1))
    book = Book(0, (Leg(option_at(0, 30, 100, True), 1),))
    (group,) = groups_by_scenario(book, replace(calm(), underlyings={0: tight}), NONE)
    assert group.mm == 10_000 * 10**4
