"""Decisions about single accounts and parameters, by hand: who is liquidated, who is left alone, and why."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.margin.perp import margin
from keeper.chain import Block
from keeper.decide import Known, Policy, Rule, decide
from keeper.market import Prices
from keeper.plans import Held, Liquidate, Plan, SetParameters
from keeper.snapshot import Verdict, assemble, judge
from keeper.units import Ppm, Wad
from keeper.venues.base import Account, Market, Parameters, Position, VenueState
from keeper.venues.perp_curie import PerpCurie

OWN, ALICE, BOB, CAROL, DAVE = (f"0x{name}{'0' * 36}" for name in ("0e11", "a11c", "0b0b", "ca01", "da7e"))
BTC, ETH = "0x" + "b7" * 20, "0x" + "e7" * 20
WAD = 10**18
HOUR = 3_600

POLICY = Policy(
    own_account=OWN,
    liquidate=True,
    set_parameters=True,
    min_shortfall_usd=0.0,
    max_liquidations=10,
    plan_lifetime_blocks=3,
    rules=(),
)
NOTHING_KNOWN = Known(volatility={}, parameters={}, changed_at={})


def market(address: str = BTC, *, mark_usd: int = 8_000, is_open: bool = True) -> Market:
    return Market(address, "BTC", Wad(mark_usd * WAD), Wad(mark_usd * WAD), "0xfeed", is_open)


def position(size_btc: float, row: int = 0) -> Position:
    size, notional = Wad(int(size_btc * WAD)), Wad(-int(size_btc * 8_000 * WAD))
    return Position(row, size, notional, size, notional, Wad(0))


def account(address: str, *sizes: float, cash_usd: float = 0.0, orders: bool = False) -> Account:
    positions = tuple(position(size, row) for row, size in enumerate(sizes) if size)
    return Account(address, round(cash_usd * 10**6), Wad(0), Wad(0), orders, positions, ())


def state(*accounts: Account, markets: Sequence[Market] = (market(),), number: int = 100) -> VenueState:
    parameters = Parameters(Ppm(100_000), Ppm(62_500), Ppm(20_000), Ppm(100_000), Ppm(25_000))
    block = Block(number, "0xb10c", "0xb10b", 1_584_000_000, 7)
    return VenueState("perp_curie", block, 6, parameters, tuple(markets), (), accounts, {})


def prices(of: VenueState) -> Prices:
    return Prices(tuple(m.mark / WAD for m in of.markets), ("",) * len(of.markets), (), ())


def endangered(address: str, shortfall: float) -> Verdict:
    return Verdict(address, 500.0 - shortfall, 800.0, 500.0, (500.0 - shortfall) / 500.0, "endangered", False, "")


def own(excess: float, status: str = "healthy") -> Verdict:
    return Verdict(OWN, 1_000.0 + excess, 1_000.0, 625.0, 2.0, status, False, "")  # type: ignore[arg-type]


def decided(
    of: VenueState, *verdicts: Verdict, policy: Policy = POLICY, known: Known = NOTHING_KNOWN
) -> tuple[tuple[Plan, ...], tuple[Held, ...]]:
    return decide(of, prices(of), verdicts, known, policy)


def liquidated(plans: Sequence[Plan]) -> list[str]:
    return [p.account for p in plans if isinstance(p, Liquidate)]


# --- whom to liquidate --------------------------------------------------------------------------------


def test_the_largest_shortfall_comes_first() -> None:
    book = state(account(ALICE, 1.0), account(BOB, 1.0), account(CAROL, -1.0))
    verdicts = (endangered(ALICE, 10.0), endangered(BOB, 300.0), endangered(CAROL, 20.0), own(1e6))
    plans, holds = decided(book, *verdicts)
    assert liquidated(plans) == [BOB, CAROL, ALICE]
    assert not holds


def test_a_plan_says_what_where_how_much_and_until_when() -> None:
    plans, _ = decided(state(account(ALICE, 2.0)), endangered(ALICE, 12.5), own(1e6))
    assert plans == (Liquidate("perp_curie", ALICE, BTC, 12.5, 16_000.0, 103),)


def test_equity_equal_to_the_requirement_is_not_endangered_and_a_millionth_of_a_dollar_less_is() -> None:
    """Curie liquidates when accountValue < marginRequirement: 6.25 % of one bitcoin at 8000 USD is 500 USD."""
    book = state(account(ALICE, 1.0, cash_usd=500.0), account(BOB, 1.0, cash_usd=499.999999))
    curie = object.__new__(PerpCurie)  # its integer rule reads nothing but its arguments
    verdicts = judge(curie, book, prices(book), margin(*assemble(book, prices(book))))
    plans, holds = decided(book, *verdicts, own(1e6))
    assert liquidated(plans) == [BOB]
    assert not holds


def test_the_largest_open_market_is_asked_for() -> None:
    markets = (market(BTC, is_open=False), market(ETH, mark_usd=200))
    plans, _ = decided(state(account(ALICE, 9.0, 1.0), markets=markets), endangered(ALICE, 5.0), own(1e6))
    assert [(p.market, p.notional) for p in plans if isinstance(p, Liquidate)] == [(ETH, 200.0)]


def test_shorts_are_measured_by_their_size() -> None:
    markets = (market(BTC), market(ETH, mark_usd=200))
    plans, _ = decided(state(account(ALICE, -1.0, 30.0), markets=markets), endangered(ALICE, 5.0), own(1e6))
    assert [(p.market, p.notional) for p in plans if isinstance(p, Liquidate)] == [(BTC, 8_000.0)]


# --- whom to leave alone, and why ---------------------------------------------------------------------


def test_unknown_is_held_with_its_reason_and_never_liquidated() -> None:
    nan = float("nan")
    lost = Verdict(ALICE, nan, nan, nan, nan, "unknown", False, "BTC/USD: stale")
    plans, holds = decided(state(account(ALICE, 1.0)), lost, own(1e6))
    assert not plans
    assert holds == (Held(ALICE, "unknown: BTC/USD: stale"),)


def test_the_keepers_own_account_is_left_to_its_operator() -> None:
    plans, holds = decided(state(account(OWN, 1.0)), own(-2_000.0, "endangered"))
    assert not plans
    assert [(h.subject, "own account" in h.reason) for h in holds] == [(OWN, True)]


@pytest.mark.parametrize(
    ("held", "markets", "policy", "reason"),
    [
        (account(ALICE, 1.0), (market(),), replace(POLICY, liquidate=False), "policy.liquidate is off"),
        (account(ALICE, 1.0, orders=True), (market(),), POLICY, "open orders"),
        (account(ALICE, 1.0), (market(is_open=False),), POLICY, "its market is not open"),
        (account(ALICE), (market(),), POLICY, "no position left to take over"),
        (account(ALICE, 1.0), (market(),), replace(POLICY, min_shortfall_usd=12.6), "shortfall 12.50 USD below"),
        (account(ALICE, 1.0), (market(),), replace(POLICY, max_liquidations=0), "max_liquidations_per_tick 0"),
    ],
)
def test_each_reason(held: Account, markets: Sequence[Market], policy: Policy, reason: str) -> None:
    plans, holds = decided(state(held, markets=markets), endangered(ALICE, 12.5), own(1e6), policy=policy)
    assert not plans
    assert [h.subject for h in holds] == [ALICE]
    assert reason in holds[0].reason


def test_a_shortfall_of_exactly_the_least_is_enough() -> None:
    policy = replace(POLICY, min_shortfall_usd=12.5)
    plans, _ = decided(state(account(ALICE, 1.0)), endangered(ALICE, 12.5), own(1e6), policy=policy)
    assert liquidated(plans) == [ALICE]


def test_no_more_than_allowed_in_one_tick_and_the_worst_go_first() -> None:
    book = state(*(account(a, 1.0) for a in (ALICE, BOB, CAROL, DAVE)))
    verdicts = [endangered(a, s) for a, s in ((ALICE, 1.0), (BOB, 2.0), (CAROL, 3.0), (DAVE, 4.0))]
    plans, holds = decided(book, *verdicts, own(1e6), policy=replace(POLICY, max_liquidations=2))
    assert liquidated(plans) == [DAVE, CAROL]
    assert {h.subject for h in holds} == {ALICE, BOB}


# --- the keeper's own capacity ------------------------------------------------------------------------


def test_capacity_is_the_excess_over_initial_margin_and_its_last_dollar_may_be_used() -> None:
    """Each position of 8000 USD needs 800 USD of initial margin."""
    book = state(account(ALICE, 1.0), account(BOB, 1.0), account(CAROL, 1.0))
    verdicts = (endangered(ALICE, 3.0), endangered(BOB, 2.0), endangered(CAROL, 1.0))
    plans, holds = decided(book, *verdicts, own(1_600.0))
    assert liquidated(plans) == [ALICE, BOB]
    assert [h.subject for h in holds] == [CAROL]
    assert "needs 800.00 USD of initial margin, the keeper has 0.00 left" in holds[0].reason


def test_one_too_large_leaves_room_for_a_smaller_one() -> None:
    book = state(account(ALICE, 10.0), account(BOB, 1.0))
    plans, holds = decided(book, endangered(ALICE, 300.0), endangered(BOB, 1.0), own(1_000.0))
    assert liquidated(plans) == [BOB]
    assert [h.subject for h in holds] == [ALICE]


def test_a_keeper_whose_own_account_is_unknown_takes_nothing_over() -> None:
    nan = float("nan")
    lost = Verdict(OWN, nan, nan, nan, nan, "unknown", False, "not read")
    plans, holds = decided(state(account(ALICE, 1.0)), endangered(ALICE, 5.0), lost)
    assert not plans
    assert {h.subject for h in holds} == {OWN, ALICE}


def test_a_keeper_the_venue_never_saw_has_no_capacity() -> None:
    plans, holds = decided(state(account(ALICE, 1.0)), endangered(ALICE, 5.0))
    assert not plans
    assert "the keeper has 0.00 left" in holds[0].reason


def test_who_only_watches_has_no_account_and_no_limit() -> None:
    policy = replace(POLICY, own_account="")
    plans, _ = decided(state(account(ALICE, 1e6)), endangered(ALICE, 5.0), policy=policy)
    assert liquidated(plans) == [ALICE]


# --- parameters ---------------------------------------------------------------------------------------

BUFFER = Rule(
    parameter="mm_ratio_buffer",
    symbol="BTC/USD",
    calm=20_000,
    stressed=40_000,
    volatility_calm=0.8,
    volatility_stressed=3.0,
    max_step_tighten=5_000,
    max_step_loosen=1_000,
    min_interval_tighten_s=HOUR,
    min_interval_loosen_s=4 * HOUR,
    deadband=1_000,
)
RATIO = replace(BUFFER, parameter="collateral_ratio:0xe7", calm=700_000, stressed=600_000, max_step_tighten=20_000)


def moved(
    rule: Rule, at: int | None, volatility: float | None, *, since_s: int | None = None, policy: Policy = POLICY
) -> tuple[int, int] | str:
    """Return (old, new) of the one proposal, or why there is none."""
    now = state()
    known = Known(
        volatility={} if volatility is None else {rule.symbol: volatility},
        parameters={} if at is None else {rule.parameter: at},
        changed_at={} if since_s is None else {rule.parameter: now.block.timestamp - since_s},
    )
    plans, holds = decided(now, policy=replace(policy, rules=(rule,)), known=known)
    assert len(plans) + len(holds) == 1
    if holds:
        assert holds[0].subject == rule.parameter
        return holds[0].reason
    (plan,) = plans
    assert isinstance(plan, SetParameters) and plan.parameter == rule.parameter and plan.expires_at == 103
    return plan.old, plan.new


def test_the_target_follows_volatility_in_a_straight_line_between_its_ends() -> None:
    targets = [BUFFER.target(v) for v in (0.0, 0.8, 1.35, 1.9, 3.0, 50.0, float("inf"))]
    assert targets == [20_000, 20_000, 25_000, 30_000, 40_000, 40_000, 40_000]
    assert [RATIO.target(v) for v in (0.0, 1.9, 9.0)] == [700_000, 650_000, 600_000]


def test_risen_volatility_tightens_at_once_by_one_step_in_the_safe_direction() -> None:
    assert moved(BUFFER, 20_000, 3.0) == (20_000, 25_000)
    assert moved(RATIO, 700_000, 3.0) == (700_000, 680_000)


def test_fallen_volatility_loosens_by_the_smaller_step() -> None:
    assert moved(BUFFER, 40_000, 0.1) == (40_000, 39_000)
    assert moved(RATIO, 600_000, 0.1) == (600_000, 601_000)


def test_the_last_step_ends_at_the_target() -> None:
    assert moved(BUFFER, 27_000, 1.9) == (27_000, 30_000)
    assert moved(BUFFER, 38_500, 3.0) == (38_500, 40_000)


@pytest.mark.parametrize(("volatility", "wait_s"), [(3.0, HOUR), (0.1, 4 * HOUR)])
def test_each_direction_waits_its_own_time_in_block_time(volatility: float, wait_s: int) -> None:
    early = moved(BUFFER, 30_000, volatility, since_s=wait_s - 1)
    assert early == f"changed {wait_s - 1} s ago, next change after {wait_s} s"
    assert not isinstance(moved(BUFFER, 30_000, volatility, since_s=wait_s), str)


def test_a_number_somebody_else_set_outside_the_bounds_is_left_alone_with_the_reason() -> None:
    for rule, at in ((BUFFER, 19_999), (BUFFER, 40_001), (RATIO, 599_999), (RATIO, 700_001)):
        for volatility in (0.1, 9.0):
            assert "outside the configured bounds" in str(moved(rule, at, volatility))


def test_less_than_the_deadband_is_not_worth_a_transaction_and_exactly_it_is() -> None:
    assert "inside the deadband 1000" in str(moved(BUFFER, 29_001, 1.9))
    assert moved(BUFFER, 29_000, 1.9) == (29_000, 30_000)
    assert "inside the deadband" in str(moved(replace(BUFFER, deadband=0), 30_000, 1.9))


def test_what_is_not_known_is_not_moved() -> None:
    assert moved(BUFFER, 20_000, None) == "no realised volatility of BTC/USD yet"
    assert "not known at this block" in str(moved(BUFFER, None, 3.0))


def test_the_operator_can_switch_it_off() -> None:
    assert moved(BUFFER, 20_000, 3.0, policy=replace(POLICY, set_parameters=False)) == "policy.set_parameters is off"


def test_liquidations_come_before_parameters() -> None:
    policy = replace(POLICY, rules=(BUFFER,))
    known = Known({"BTC/USD": 3.0}, {"mm_ratio_buffer": 20_000}, {})
    plans, _ = decided(state(account(ALICE, 1.0)), endangered(ALICE, 5.0), own(1e6), policy=policy, known=known)
    assert [p.kind for p in plans] == ["liquidate", "set_parameters"]


def test_who_is_quarantined_takes_no_place_and_is_told_until_when() -> None:
    now, out = state(account("0xA", 1.0), account("0xB", 1.0)), "quarantined to second 9"
    both = endangered("0xA", 50.0), endangered("0xB", 5.0)
    known = replace(NOTHING_KNOWN, barred={"0xA": out})
    plans, holds = decided(now, *both, policy=replace(POLICY, max_liquidations=1, own_account=""), known=known)
    assert (liquidated(plans), holds) == (["0xB"], (Held("0xA", out),))


def test_a_quarantined_parameter_stays_where_it_is() -> None:
    known = Known({RATIO.symbol: 3.0}, {RATIO.parameter: RATIO.calm}, {}, barred={RATIO.parameter: "out"})
    plans, holds = decided(state(), policy=replace(POLICY, rules=(RATIO,)), known=known)
    assert (plans, holds) == ((), (Held(RATIO.parameter, "out"),))
