"""Takes of one tick count on one insurance fund: what the first is promised the second does not expect. And what is
tried again."""

from dataclasses import replace

import pytest

from keeper.auctions import AuctionPolicy, Standing, liquidations
from keeper.chain import Block
from keeper.memory import Memory
from keeper.plans import ANY_SEQUENCE, TakeAuction, take_effect
from keeper.twin.auction import Allowance, discount, take
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_scenario, groups_by_arrays, pack_scenarios
from keeper.twin.records import Book, Instrument, Leg
from keeper.venues.portfolio import AuctionRules, PortfolioAccount, PortfolioState
from tests.twin_worlds import calm

WEAK = tuple(f"0x{n:040x}" for n in (0xA, 0xB))
TAKERS = tuple(f"0x{n:040x}" for n in (0xC, 0xD))
RULES = AuctionRules(500, 500, 900, 86_400)
POLICY = AuctionPolicy(
    start=True, take=True, end=False, end_excess=0, takers=TAKERS,
    min_shortfall_usd=0.0, min_profit_usd=-1.0, max_a_tick=10, deadline_s=60,
)  # fmt: skip
NOTHING = Memory()


def failing() -> tuple[Book, int]:
    """A perpetual that owes 100 USD, and the row that proves it."""
    book = Book(0, (Leg(Instrument(0), 10 * WAD),))
    scenarios = pack_scenarios({g.underlying: g.row for g in groups_by_arrays(book, calm())})
    return replace(book, cash=-by_scenario(book, calm(), scenarios).equity - 100 * WAD), scenarios


def planned(fund: int, allowed: int, memory: Memory = NOTHING) -> list[TakeAuction]:
    """Return what is planned of two equal accounts in auction by two takers."""
    now = calm().now
    book, scenarios = failing()
    standings = {}
    for name in WEAK:
        account = PortfolioAccount(name, 7, 3, now - RULES.growth, book)
        standings[name] = Standing(account, by_scenario(book, calm(), scenarios), scenarios, None, None, "")
    for name in TAKERS:
        rich = Book(10**9 * WAD)
        account = PortfolioAccount(name, 7, 0, 0, rich)
        standings[name] = Standing(account, by_scenario(rich, calm(), scenarios), scenarios, None, None, "")
    accounts = tuple(s.account for s in standings.values())
    state = PortfolioState(
        "reference", Block(100, "0xb10c", "0xb10b", now, 7), calm(), (), {}, RULES, fund,
        Allowance(allowed, 0, 0, RULES.bonus_period), accounts, {},
    )  # fmt: skip
    plans, _ = liquidations(state, standings, POLICY, memory, 3)
    return [plan for plan in plans if isinstance(plan, TakeAuction)]


def quoted(fund: int, allowed: int) -> int:
    book, scenarios = failing()
    share = discount(RULES.growth, RULES.discount_cap, RULES.growth)
    return take(
        book, calm(), scenarios, discount_bps=share, buffer=RULES.buffer, most=WAD, fund=fund, allowed=allowed
    ).quote


def test_the_second_take_expects_what_the_first_leaves_of_the_allowance() -> None:
    rich = 10**6 * WAD
    whole = -quoted(rich, rich) - 100 * WAD
    assert whole > 0
    first, second = planned(rich, whole * 3 // 2)
    assert (first.taker, second.taker) == TAKERS
    assert first.max_price == -100 * WAD - whole
    assert second.max_price == quoted(rich, whole * 3 // 2 - whole)
    assert first.max_price < second.max_price < -100 * WAD


def test_the_second_take_expects_what_the_first_leaves_of_the_fund() -> None:
    """250 of fund, each owes 100: 150 may be bonus while the one's debt is covered, less than 150 after it."""
    first, second = planned(250 * WAD, 10**6 * WAD)
    assert first.max_price == quoted(250 * WAD, 10**6 * WAD)
    assert second.max_price > first.max_price


def test_a_take_that_came_to_nothing_is_tried_again_at_any_sequence_and_a_little_dearer() -> None:
    """A deposit in every block raises sequence and price: the least profit on what was read still holds."""
    first, other = planned(1_000 * WAD, 1_000 * WAD)
    missed = frozenset({take_effect("reference", first.taker, first.account, first.auction_id)})
    again, unchanged = planned(1_000 * WAD, 1_000 * WAD, Memory(failed=missed))
    assert (again.sequence, again.taker_sequence) == (ANY_SEQUENCE, ANY_SEQUENCE)
    assert again.max_fraction == first.max_fraction == WAD
    assert (again.max_price - first.max_price) / WAD == pytest.approx(first.profit - POLICY.min_profit_usd)
    assert unchanged == other
