"""What is signed now and in which order: policy, reserve, rolling caps, block and balance, by hand."""

from dataclasses import replace

import pytest

from keeper.chain import Block, Call
from keeper.journal.policy_queries import SlotSpend
from keeper.journal.records import Intent
from keeper.lanes.books import Used, used
from keeper.lanes.choice import Priced, Purse, Refused, Room, carriers, choose
from keeper.lanes.jobs import job_of, serving
from keeper.lanes.rules import LaneRules, Windows
from keeper.plans import Liquidate, Plan, PublishArrays, RelayReports, SetParameters, TakeAuction
from keeper.sending.fees import Caps, Offer
from keeper.sending.limits import BalanceState, BalanceWatch, Books
from keeper.sending.priority import SendingPolicy
from keeper.venues.base import Sending

GAS, FEE = 100, 10
COST = GAS * FEE
PLENTY = 10**9
RULES = LaneRules(
    chain_id=1,
    gas=GAS,
    per_block=10,
    confirmations=1,
    patience=1,
    fees=Caps(FEE, FEE, FEE, spend=COST),
    exposure_cap=PLENTY,
    balance=BalanceWatch(0, 0),
    windows=Windows(PLENTY, PLENTY, PLENTY),
    policy=SendingPolicy("protocol", loss_budget=PLENTY),
)
NOTHING = Used(Books(7, 100_000, (), 0, 0), (0, 0), 0, 0)
ROOM = Room(NOTHING, (Purse("key", BalanceState("ok", PLENTY, "")),), 100 * GAS)


def liquidation(name: str) -> Liquidate:
    return Liquidate("v", name, "m", 1.0, 1.0, 9)


def parameter(name: str) -> SetParameters:
    return SetParameters("v", name, 1, 2, "why", 9)


def arrays(expiry: int) -> PublishArrays:
    return PublishArrays("v", 1, expiry, "r", "s", 1, "l", "0x", "why", 9)


def take(name: str) -> TakeAuction:
    return TakeAuction("v", name, "t", 1, 1, 1, 1, 0, False, 0, False, 1, 1.0, 99, 9)


def priced(*plans: Plan, at_risk: int = 0, worth: int | None = None, strikes: int = 0, others: tuple[Plan, ...] = ()):
    job = job_of(plans, at_risk, worth, GAS, COST, strikes, serving([*plans, *others]))
    carried = tuple(Intent(n, 1, plan, "intended", "", None) for n, plan in enumerate(plans))
    return Priced(carried, Sending(tuple(range(len(plans))), Call("0x", b"")), GAS, GAS, Offer(FEE, FEE), job, worth)


def names(chosen: list[Priced]) -> str:
    return " ".join(one.intents[0].plan.subject for one in chosen)


def causes(refused: list[Refused]) -> dict[str, str]:
    return {one.one.intents[0].plan.subject: one.cause for one in refused}


def test_liquidations_before_reports_before_parameters_and_the_most_at_risk_first() -> None:
    jobs = [priced(parameter("p")), priced(arrays(5)), priced(liquidation("small"), at_risk=1)]
    jobs += [priced(liquidation("large"), at_risk=9), priced(take("taken"), at_risk=5, worth=COST)]
    chosen, refused = choose(jobs, ROOM, RULES)
    assert (names(chosen), refused) == ("large taken small arrays:1 p", [])


def test_who_failed_before_counts_with_its_chance_only() -> None:
    jobs = [priced(liquidation("failing"), at_risk=9, strikes=2), priced(liquidation("fresh"), at_risk=4)]
    assert names(choose(jobs, ROOM, RULES)[0]) == "fresh failing"


def test_expiries_of_one_epoch_keep_their_turn_and_fall_together() -> None:
    plans = (arrays(5), arrays(6), arrays(7))
    jobs = [priced(plan, others=plans) for plan in plans]
    assert [one.intents[0].plan for one in choose(jobs, ROOM, RULES)[0]] == list(plans)
    chosen, refused = choose(jobs, replace(ROOM, used=replace(NOTHING, lanes=(0, 9))), RULES)
    assert [one.intents[0].plan for one in chosen] == [plans[0]]
    assert "none is left" in refused[0].cause and "needs v:publish_arrays" in refused[1].cause


def test_what_is_kept_for_liquidations_is_used_by_nobody_else() -> None:
    rules = replace(RULES, per_block=4, reserved_ppm=500_000)
    jobs = [priced(parameter(f"p{n}")) for n in range(4)]
    chosen, refused = choose(jobs, ROOM, rules)
    assert (names(chosen), set(causes(refused))) == ("p0 p1", {"p2", "p3"})
    used_up = replace(ROOM, used=replace(NOTHING, lanes=(0, 2)))
    chosen, refused = choose(
        [priced(liquidation("a")), priced(liquidation("b")), priced(parameter("p"))], used_up, rules
    )
    assert (names(chosen), set(causes(refused))) == ("a b", {"p"})


def test_a_keeper_that_may_send_one_a_block_also_sends_others() -> None:
    assert names(choose([priced(parameter("p"))], ROOM, replace(RULES, per_block=1, reserved_ppm=200_000))[0]) == "p"


def test_the_reserve_of_a_blocks_gas() -> None:
    tight = replace(ROOM, block_gas=4 * GAS)
    rules = replace(RULES, reserved_ppm=500_000)
    chosen, refused = choose([priced(parameter(f"p{n}")) for n in range(3)], tight, rules)
    assert names(chosen) == "p0 p1" and "a block holds 400 gas, 0 is left beside" in causes(refused)["p2"]
    assert names(choose([priced(liquidation(f"a{n}")) for n in range(5)], tight, rules)[0]) == "a0 a1 a2 a3"
    waiting = replace(tight, used=replace(NOTHING, waiting_gas=2 * GAS))  # others that a block has not taken yet
    assert names(choose([priced(parameter("p")), priced(liquidation("a"))], waiting, rules)[0]) == "a"


def test_a_block_is_filled_by_what_is_used_and_the_last_limit_must_fit() -> None:
    """As a block is built: each transaction finds what the ones before it left, and must find its whole limit."""
    jobs = [replace(priced(liquidation(f"a{n}")), uses=GAS * 4 // 5) for n in range(6)]
    assert names(choose(jobs, replace(ROOM, block_gas=GAS + 3 * (GAS * 4 // 5)), RULES)[0]) == "a0 a1 a2 a3"
    assert names(choose(jobs, replace(ROOM, block_gas=GAS + 3 * (GAS * 4 // 5) - 1), RULES)[0]) == "a0 a1 a2"


@pytest.mark.parametrize(
    ("cap", "rules"),
    [
        ("block", replace(RULES, windows=Windows(2 * COST, PLENTY, PLENTY))),
        ("hour", replace(RULES, windows=Windows(PLENTY, 2 * COST, PLENTY))),
        ("day", replace(RULES, windows=Windows(PLENTY, PLENTY, 2 * COST))),
        ("exposure", replace(RULES, exposure_cap=2 * COST)),
    ],
)
def test_each_cap_stops_what_goes_beyond_it_with_an_alarm(cap: str, rules: LaneRules) -> None:
    chosen, refused = choose([priced(liquidation(name)) for name in "abc"], ROOM, rules)
    assert names(chosen) == "a b"
    (stop,) = refused
    assert stop.about and cap in stop.cause and f"expected at most 0 wei, found {COST}" in stop.cause


def test_the_balance_carries_what_was_chosen_before() -> None:
    poor = replace(ROOM, purses=(Purse("key", BalanceState("ok", 3 * COST - 1, "")),))
    chosen, refused = choose([priced(liquidation(name)) for name in "abc"], poor, RULES)
    assert names(chosen) == "a b" and refused[0].cause.startswith("balance: ")
    stopped = replace(ROOM, purses=(Purse("key", BalanceState("stop", PLENTY, "too little")),))
    assert choose([priced(liquidation("a"))], stopped, RULES)[0] == []


def test_protocol_loses_up_to_its_budget_a_day_and_what_pays_goes_on() -> None:
    rules = replace(RULES, policy=SendingPolicy("protocol", loss_budget=3 * COST))
    spent = replace(ROOM, used=replace(NOTHING, lost=2 * COST))
    jobs = [priced(liquidation("a"), at_risk=2), priced(liquidation("b"), at_risk=1), priced(take("t"), worth=COST)]
    chosen, refused = choose(jobs, spent, rules)
    assert names(chosen) == "a t"
    assert refused[0].about and "the rest of the day's budget" in causes(refused)["b"]


def test_profit_sends_what_nets_enough_and_best_first() -> None:
    rules = replace(RULES, policy=SendingPolicy("profit", least_net=500))
    jobs = [priced(take("poor"), worth=COST + 499), priced(take("fair"), worth=COST + 500)]
    jobs += [priced(take("rich"), worth=5 * COST), priced(liquidation("unpaid"), at_risk=PLENTY)]
    chosen, refused = choose(jobs, ROOM, rules)
    assert (names(chosen), set(causes(refused))) == ("rich fair", {"poor", "unpaid"})


# --- the account of what was spent -----------------------------------------------------------------------


class Recorded:
    def __init__(self, *spends: SlotSpend) -> None:
        self._spends = spends

    def spends(self, *_: object) -> tuple[SlotSpend, ...]:
        return self._spends


def spend(state: str, block: int, at: int, *kinds: str, wei: int = 100, gas: int = GAS) -> SlotSpend:
    return SlotSpend(1, state, block, at, gas, wei, kinds)  # type: ignore[arg-type]


def test_the_account_of_a_day() -> None:
    now = 100_000
    ledger = Recorded(
        spend("final", 1, now - 86_399, "set_parameters"),
        spend("final", 2, now - 3_600, "liquidate"),
        spend("final", 3, now - 3_599, "take_auction"),
        spend("mined", 6, now - 12, "liquidate", "liquidate"),
        spend("offered", 7, now, "publish_arrays"),
        spend("offered", 7, now),  # a filler
        spend("offered", 1, now - 90_000, "liquidate"),  # open for more than a day: at stake and spent before
    )
    found = used(ledger, "key", Block(7, "0x", "0x", now, 1), priced=True)  # type: ignore[arg-type]
    assert (found.lanes, found.waiting_gas, found.lost) == ((0, 2), 2 * GAS, 500)
    assert (found.books.exposure, found.books.liquidation_exposure) == (400, 200)
    assert sum(one.wei for one in found.books.spends) == 700
    within_hour = [one for one in found.books.spends if one.timestamp > now - 3_600]
    assert sum(one.wei for one in within_hour) == 400
    assert sum(one.wei for one in within_hour if one.for_liquidation) == 200
    assert used(ledger, "key", Block(7, "0x", "0x", now, 1), priced=False).lost == 600  # type: ignore[arg-type]


# --- several keys ------------------------------------------------------------------------------------------


def purse(address: str, free: int = PLENTY, waiting: int = 0, *, stuck: bool = False) -> Purse:
    return Purse(address, BalanceState("ok", free, ""), waiting, stuck)


def lanes(chosen: list[Priced]) -> str:
    return " ".join(one.lane for one in chosen)


def test_the_emptiest_line_goes_first_and_none_gets_ahead() -> None:
    there = replace(ROOM, purses=(purse("a", waiting=2), purse("b")))
    chosen, _ = choose([priced(liquidation(str(n)), at_risk=9 - n) for n in range(6)], there, RULES)
    assert lanes(chosen) == "b b a b a b"


def test_a_stuck_line_is_passed_over_while_another_can_pay_and_then_still_taken() -> None:
    there = replace(ROOM, purses=(purse("stuck", stuck=True), purse("free", 2 * COST, waiting=7)))
    chosen, refused = choose([priced(liquidation(str(n)), at_risk=9 - n) for n in range(3)], there, RULES)
    assert (lanes(chosen), refused) == ("free free stuck", [])


def test_a_key_without_ether_leaves_its_work_to_the_other_and_all_empty_ones_are_told() -> None:
    jobs = [priced(liquidation(str(n)), at_risk=9 - n) for n in range(3)]
    chosen, refused = choose(jobs, replace(ROOM, purses=(purse("poor", COST - 1), purse("rich"))), RULES)
    assert (lanes(chosen), refused) == ("rich rich rich", [])
    chosen, refused = choose(jobs, replace(ROOM, purses=(purse("poor", COST - 1), purse("rich", COST))), RULES)
    assert lanes(chosen) == "rich" and all("send ETH to the key" in cause for cause in causes(refused).values())


def test_what_needs_one_key_goes_on_its_line_however_long_or_not_at_all() -> None:
    tied = replace(priced(arrays(5)), lanes=frozenset({"home"}))
    there = replace(ROOM, purses=(purse("home", waiting=9), purse("other")))
    assert lanes(choose([tied], there, RULES)[0]) == "home"
    chosen, refused = choose([tied], replace(ROOM, purses=(purse("other"),)), RULES)
    assert not chosen and "expected the line of home" in refused[0].cause


def test_any_key_may_carry_what_the_venue_takes_from_all_and_what_rests_on_nothing_before_it() -> None:
    able = {"home": {0: GAS}, "other": {0: GAS}, "poor": {1: GAS}}
    assert carriers(priced(liquidation("a")).intents, "home", able) == {"home", "other"}
    assert carriers(priced(liquidation("a")).intents, "home", {**able, "home": {}}) == {"home"}  # only behind others
    assert carriers(priced(take("t"), worth=COST).intents, "home", able) == {"home"}
    assert carriers(priced(arrays(5)).intents, "home", able) == {"home"}
    reports = RelayReports("v", "r", "1@9", "0x", 9)  # not to wait behind what is stuck on the home line
    assert carriers(priced(reports).intents, "home", able) == {"home", "other"}


def test_caps_count_all_keys_together() -> None:
    rules = replace(RULES, exposure_cap=3 * COST)
    there = replace(ROOM, purses=(purse("a"), purse("b")))
    chosen, refused = choose([priced(liquidation(str(n)), at_risk=9 - n) for n in range(5)], there, rules)
    assert (lanes(chosen), len(refused)) == ("a b a", 2)


def test_a_take_that_came_to_nothing_is_a_loss_at_what_it_cost() -> None:
    now = 100_000
    taken, failed = (
        replace(spend("final", 3, now, "take_auction", wei=70), in_vain=in_vain) for in_vain in (False, True)
    )
    found = used(Recorded(taken, failed), None, Block(7, "0x", "0x", now, 1), priced=True)  # type: ignore[arg-type]
    assert found.lost == 70
