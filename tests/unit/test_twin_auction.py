"""Takes of the twin: by hand, and what every take must leave behind on random endangered books."""

import random
from dataclasses import replace
from fractions import Fraction

import pytest

from keeper.twin.auction import (
    NO_SCENARIOS,
    Allowance,
    Concentration,
    NotBelowMaintenance,
    NothingToTake,
    Payment,
    Terms,
    after,
    discount,
    largest,
    meaningful,
    moved,
    payment,
    quote,
    requirement_after,
    take,
)
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_scenario, groups_by_arrays, pack_scenarios
from keeper.twin.records import Book, Holding, Instrument, Leg
from tests.twin_worlds import calm, option_at, random_book

BUFFER = 2_000


def terms(equity: int, mm: int, share: int = 1_000) -> Terms:
    return Terms(equity * WAD, mm * WAD, share, 10)


def test_the_discount_grows_to_its_cap():
    assert [discount(t, 300, 600) for t in (0, 1, 2, 300, 599, 600, 10**6)] == [0, 0, 1, 150, 299, 300, 300]


def test_the_fraction_that_restores_the_buffer_by_hand():
    """E 60, MM 100, buffer 20 %, discount 10: 60 − 10 φ = 120 (1 − φ) at φ = 60 / 110."""
    assert 0 <= 60 * WAD // 110 - largest(terms(60, 100), (), BUFFER) <= 1


def test_an_insolvent_account_goes_as_a_whole():
    assert largest(terms(0, 100), (), BUFFER) == WAD
    assert largest(terms(-5, 100), (), BUFFER) == WAD


def test_concentration_makes_the_fraction_smaller():
    """80 of 100 MM linear, 20 charged beyond a free 20: a tenth less of the account frees 8 + 4, not 10."""
    concentrated = (Concentration(20 * WAD, 20 * WAD),)
    fraction = largest(terms(95, 100, 0), concentrated, BUFFER)
    # 95 = 1.2 · (100 − 120 φ)
    assert fraction == pytest.approx((120 - 95) / 144 * WAD, rel=1e-12)
    assert fraction < largest(terms(95, 100, 0), (), BUFFER)
    # Past the threshold, at half the account, MM is linear again: 10 = 1.2 · 80 · (1 − φ)
    assert largest(terms(10, 100, 0), concentrated, BUFFER) == pytest.approx((1 - 10 / 96) * WAD, rel=1e-12)
    assert requirement_after(terms(95, 100, 0), concentrated, WAD // 10) == 88 * WAD + 10


def test_who_pays_a_discount_beyond_equity():
    """Equity 5, discount 10: five from the account, five from the fund while it has them."""
    whole = terms(5, 100)
    assert payment(whole, WAD, 5 * WAD, 100 * WAD, 9 * WAD) == Payment(-5 * WAD + 1, 5 * WAD, 0, 0, 5 * WAD)
    assert payment(whole, WAD, 5 * WAD, 2 * WAD, 9 * WAD) == Payment(-2 * WAD + 1, 2 * WAD, 0, 3 * WAD, 2 * WAD)
    assert quote(whole, WAD, 3 * WAD) == -2 * WAD


def test_who_pays_a_deficit():
    """Equity −30, discount 10, fund 12: twelve from the fund, eighteen shared, no bonus."""
    paid = payment(terms(-30, 100), WAD, -30 * WAD - 1, 12 * WAD, 9 * WAD)
    assert paid == Payment(-30 * WAD, 12 * WAD, 18 * WAD, 10 * WAD)
    rich = payment(terms(-30, 100), WAD, -30 * WAD - 1, 100 * WAD, 10 * WAD)
    assert rich == Payment(-40 * WAD, 40 * WAD, 0, 0, 10 * WAD)
    # A bonus ends with its allowance, debt does not.
    for allowed in (0, 4):
        paid = payment(terms(-30, 100), WAD, -30 * WAD - 1, 100 * WAD, allowed * WAD)
        assert paid == Payment(-(30 + allowed) * WAD, (30 + allowed) * WAD, 0, (10 - allowed) * WAD, allowed * WAD)


def test_what_was_spent_comes_back_in_a_line():
    """30 in 60 seconds: a half a second; what came back is rounded down, and nothing comes back beyond the whole."""
    bonus = Allowance(30, 0, 0, 60)
    assert bonus.left(10**9) == 30
    spent = bonus.spend(20, 1_000)
    assert [spent.left(t) for t in (1_000, 1_001, 1_002, 1_039, 1_040, 10**6)] == [10, 10, 11, 29, 30, 30]
    assert spent.spend(0, 1_010) is spent
    assert spent.spend(15, 1_010) == Allowance(30, 30, 1_010, 60)
    assert Allowance(10, 25, 0, 60).left(6) == 0  # lowered after it was spent


def test_amounts_move_toward_zero():
    option = Leg(Instrument(0), -3)
    book = Book(-5, (option, Leg(Instrument(1), 1)), (Holding(0, 7),))
    assert moved(book, WAD // 2) == Book(-2, (replace(option, size=-1),), (Holding(0, 3),))


def test_too_small_a_take_is_none():
    assert not meaningful(terms(60, 100), 0)
    assert meaningful(terms(60, 100), WAD // 2)
    assert meaningful(Terms(25, 40, 0, 10), WAD // 2)  # twice the grain is freed
    assert not meaningful(Terms(25, 39, 0, 10), WAD // 2)
    assert meaningful(Terms(25, 39, 0, 10), WAD)


def endangered(rng: random.Random) -> tuple[Book, int]:
    """A random book whose cash puts its equity somewhere from −20 % to 100 % of MM, and its worst scenarios."""
    book = random_book(rng, rng.randint(1, 12), collateral=rng.randint(0, 2), perpetuals=rng.random() < 0.5)
    scenarios = pack_scenarios({g.underlying: g.row for g in groups_by_arrays(book, calm())})
    check = by_scenario(book, calm(), scenarios)
    equity = check.mm * rng.choice((-20, -1, 1, 5, 30, 60, 99)) // 100
    return replace(book, cash=book.cash + equity - check.equity), scenarios


def test_what_every_take_leaves():
    """Excess over MM does not fall, equity ÷ MM does not fall while equity > 0, nor pass the buffer."""
    rng = random.Random(13)
    taken = insolvent = partial = 0
    for _ in range(300):
        book, scenarios = endangered(rng)
        share, fund = rng.choice((0, 100, 500, 1_000)), rng.choice((0, 10 ** rng.randint(18, 26)))
        allowed = rng.choice((0, 10 ** rng.randint(18, 24)))
        try:
            done = take(
                book,
                calm(),
                scenarios,
                discount_bps=share,
                buffer=BUFFER,
                most=rng.choice((WAD, WAD // 3)),
                fund=fund,
                allowed=allowed,
            )
        except NothingToTake:
            continue
        before = by_scenario(book, calm(), scenarios)
        left, right = after(book, Book(0), done)
        now = by_scenario(left, calm(), scenarios)
        taken += 1
        insolvent += before.equity <= 0
        partial += done.fraction < WAD
        assert now.excess >= before.excess
        if before.equity > 0 and now.mm > 0:
            assert Fraction(now.equity, now.mm) >= Fraction(before.equity, before.mm)
            assert Fraction(now.equity, now.mm) <= Fraction(10_000 + BUFFER, 10_000)
        assert not done.restored or now.excess >= 0
        assert left.cash + right.cash == book.cash + done.payment.from_fund + done.payment.shared
        assert 0 <= done.payment.from_fund <= fund
        assert done.payment.bonus <= allowed
    assert taken > 200
    assert insolvent > 50
    assert partial > 80


def test_a_healthy_account_is_not_taken():
    book = Book(10**24, (Leg(Instrument(0), WAD),))
    for scenarios in (None, NO_SCENARIOS):
        with pytest.raises(NotBelowMaintenance):
            take(book, calm(), scenarios, discount_bps=0, buffer=BUFFER, most=WAD, fund=0, allowed=0)


def test_by_arrays_both_sets_must_show_the_shortfall_and_the_lower_requirement_counts():
    """A short call: a settled epoch that has it cheaper shows health, one that scans it less counts for the buffer."""
    call = option_at(0, 30, 100, True)
    scenarios = pack_scenarios({0: 10})
    book = Book(0, (Leg(call, -WAD),))
    book = replace(book, cash=-by_scenario(book, calm(), scenarios).equity + 100 * WAD)
    known = calm().underlyings[0]

    def settled_as(words):
        arrays = tuple(words if row == call.index else w for row, w in enumerate(known.current.arrays[call.expiry]))
        settled = replace(known.settled, arrays={call.expiry: arrays})
        return replace(calm(), underlyings={0: replace(known, settled=settled)})

    def taken(world):
        return take(book, world, None, discount_bps=0, buffer=BUFFER, most=WAD, fund=0, allowed=0)

    mark, *rest = known.current.arrays[call.expiry][call.index]
    same = taken(calm())
    with pytest.raises(NotBelowMaintenance):
        taken(settled_as((mark - 3_000 * 10**6, *rest)))
    calmer = taken(settled_as((mark, *rest[:3], *(change // 2 for change in rest[3:]))))
    assert 0 < calmer.fraction < same.fraction
