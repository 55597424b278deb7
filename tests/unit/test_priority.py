"""The order of sending, the two policies, quarantine and the retry budget, each by hand."""

from fractions import Fraction
from typing import get_args

import pytest

from keeper.plans import Plan
from keeper.sending.priority import RANKS, Job, SendingPolicy, ordered
from keeper.sending.quarantine import Quarantine, QuarantineRule, RetryBudget

PROTOCOL, PROFIT = SendingPolicy("protocol"), SendingPolicy("profit")


def job(key: str, kind: str = "liquidate", at_risk: int = 100, *, gas: int = 10, **more: object) -> Job:
    return Job(key, kind, at_risk, 10**6, gas, **more)  # type: ignore[arg-type]


def keys(jobs: tuple[Job, ...]) -> str:
    return " ".join(j.key for j in jobs)


def test_every_kind_of_plan_has_a_rank() -> None:
    kinds = {plan.__dataclass_fields__["kind"].default for plan in get_args(Plan)}
    assert kinds == set(RANKS)
    with pytest.raises(ValueError, match="expected a kind of"):
        job("x", "mint")


def test_value_at_risk_times_probability_per_gas() -> None:
    jobs = [
        job("small", at_risk=100, gas=10),
        job("cheap", at_risk=100, gas=5),
        Job("unlikely", "liquidate", 1000, 50_000, 10),
        job("same as small", at_risk=200, gas=20),
    ]
    assert keys(ordered(jobs, PROTOCOL)) == "cheap small same as small unlikely"
    assert PROTOCOL.score(jobs[2]) == Fraction(5)


def test_liquidations_before_reports_before_parameters_whatever_they_are_worth() -> None:
    jobs = [job("parameter", "set_parameters", 10**9), job("report", "publish_arrays", 10**6), job("start", at_risk=1)]
    assert keys(ordered(jobs, PROTOCOL)) == "start report parameter"


def test_a_report_that_a_liquidation_needs_goes_just_before_it() -> None:
    jobs = [
        job("large", at_risk=1000),
        job("needs it", at_risk=500),
        job("needs it too", at_risk=50),
        job("small", at_risk=400),
        job("report", "publish_arrays", 0, serves=("needs it", "needs it too", "not there")),
        job("other report", "publish_arrays", 10**9),
    ]
    assert keys(ordered(jobs, PROTOCOL)) == "large report needs it small needs it too other report"


def test_servings_chain_and_a_circle_ends() -> None:
    chain = [
        job("c", at_risk=9),
        job("b", "publish_arrays", 0, serves=("c",)),
        job("a", "set_parameters", serves=("b",)),
    ]
    assert keys(ordered(chain, PROTOCOL)) == "a b c"
    circle = [job("a", at_risk=1, serves=("b",)), job("b", at_risk=2, serves=("a",))]
    assert set(ordered(circle, PROTOCOL)) == set(circle)


def test_profit_sends_only_what_pays_and_orders_by_what_it_earns() -> None:
    good = job("good", at_risk=1, profit=100, cost=10)
    better = job("better", at_risk=0, profit=200, cost=10)
    poor = job("poor", at_risk=10**9, profit=5, cost=10)
    assert keys(ordered([good, poor, better], PROFIT)) == "better good poor"
    assert [PROFIT.refusal(j, 0) for j in (good, better)] == ["", ""]
    assert "expected a net of 0 at least, found -5" in PROFIT.refusal(poor, 0)
    assert SendingPolicy("profit", least_net=90).refusal(good, 0) == ""
    assert SendingPolicy("profit", least_net=91).refusal(good, 0) != ""


def test_protocol_may_lose_up_to_its_budget_and_not_a_wei_more() -> None:
    policy = SendingPolicy("protocol", loss_budget=100)
    loses = job("loses", profit=0, cost=40)
    assert policy.refusal(loses, 60) == ""
    assert "the rest of the day's budget" in policy.refusal(loses, 61)
    assert policy.refusal(job("pays", profit=40, cost=40), 100) == ""
    assert PROTOCOL.refusal(loses, 0) != ""
    with pytest.raises(ValueError, match="loss budget"):
        SendingPolicy("profit", loss_budget=1)


def test_gas_is_paid_even_when_the_job_fails() -> None:
    assert Job("even", "take_auction", 0, 500_000, 1, profit=100, cost=30).net == 20


# --- quarantine -----------------------------------------------------------------------------------------

RULE = QuarantineRule(tolerated=1, first_s=60, longest_s=200, forgotten_s=1000)


def test_a_stay_begins_after_the_tolerated_strikes_doubles_and_is_bounded() -> None:
    assert [RULE.stay(strikes) for strikes in range(6)] == [0, 0, 60, 120, 200, 200]
    assert RULE.stay(10**6) == 200


def test_an_always_reverting_account_stays_out_until_its_second_of_expiry_and_others_do_not() -> None:
    state = Quarantine(RULE).struck("bad", "reverts", 1000, 7)
    assert state.holds("bad", 1000) is None
    state = state.struck("bad", "reverts", 1010, 9)
    held = state.holds("bad", 1069)
    assert held is not None
    assert (held.cause, held.strikes, held.until) == ("reverts", 2, 1070)
    assert state.holds("bad", 1070) is None
    assert state.holds("good", 1020) is None


def test_causes_are_counted_apart_and_exposure_once_a_subject() -> None:
    state = Quarantine(RULE)
    for cause in ("reverts", "gas bomb"):
        state = state.struck("bad", cause, 0, 50).struck("bad", cause, 0, 70)  # type: ignore[arg-type]
    state = state.struck("other", "reverts", 0, 5).struck("other", "reverts", 0, 5).struck("mild", "reverts", 0, 900)
    assert state.value_at_risk(59) == 75
    assert state.value_at_risk(60) == 0


def test_old_strikes_are_forgotten_and_pruned() -> None:
    state = Quarantine(RULE).struck("bad", "reverts", 0, 1).struck("bad", "reverts", 0, 1)  # until 60
    assert state.pruned(1059).entries == state.entries
    assert state.pruned(1060).entries == {}
    assert state.struck("bad", "reverts", 1059, 1).entries["bad", "reverts"].strikes == 3
    assert state.struck("bad", "reverts", 1060, 1).entries["bad", "reverts"].strikes == 1


def test_retries_are_spent_per_effect_and_in_all_and_come_back() -> None:
    budget = RetryBudget(per_effect=2, in_all=3, window_s=100)
    for at in (0, 10):
        assert budget.refusal("a", at) == ""
        budget = budget.spent("a", at)
    assert "2 retries in 100 s are spent" in budget.refusal("a", 99)
    assert budget.refusal("a", 100) == ""  # the first is exactly a window old
    budget = budget.spent("b", 20)
    assert "3 retries of all effects" in budget.refusal("c", 50)
    assert len(budget.spent("c", 1000).tried) == 1
