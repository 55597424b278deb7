"""From failures to who is left alone: causes, the two rules, the retry budget, by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from keeper.isolation import Isolation
from keeper.journal.policy_queries import Failure
from keeper.plans import RelayReports
from keeper.sending.strikes import RETRIES, Struck, barred, cause_of


def reverts(at: int, subject: str = "a") -> Struck:
    return Struck(subject, f"v:liquidate:{subject}", "reverts", True, at, 5_000_000)


def unpaid(at: int, subject: str = "a") -> Struck:
    return Struck(subject, f"v:liquidate:{subject}", "would revert", False, at, 5_000_000)


@pytest.mark.parametrize(
    ("text", "on_chain", "cause"),
    [
        ("no PositionLiquidated for it", True, "reverts"),
        ("no event; used all of 1000 gas", True, "gas bomb"),
        ("simulation: out of gas", False, "gas bomb"),
        ("simulation: NL", False, "would revert"),
        ("simulation: used all of 1000 gas: too little, or a call that burns whatever it is given", False, "gas bomb"),
        ("simulation: reverted with 10000000 bytes: 0x", False, "large answer"),
    ],
)
def test_what_a_failure_tells(text: str, on_chain: bool, cause: str) -> None:
    assert cause_of(text, on_chain=on_chain) == cause


def test_the_second_revert_keeps_out_for_a_minute_and_at_its_end_it_may_be_tried() -> None:
    assert barred([reverts(100)], 100) == {}
    twice = [reverts(100), reverts(112)]
    assert "2 x reverts" in barred(twice, 171)["a"] and "to second 172" in barred(twice, 171)["a"]
    assert barred(twice, 172) == {}


def test_each_further_revert_doubles_the_stay_and_others_go_on() -> None:
    three = [reverts(100), reverts(200), reverts(300)]
    assert set(barred(three, 419)) == {"a"}
    assert barred(three, 420) == {}


def test_refusals_that_cost_nothing_are_borne_longer_and_never_for_more_than_five_minutes() -> None:
    assert barred([unpaid(12 * n) for n in range(3)], 24) == {}
    assert set(barred([unpaid(12 * n) for n in range(4)], 36 + 11)) == {"a"}
    many = [unpaid(1_000 * n) for n in range(40)]
    assert set(barred(many, 39_000 + 299)) == {"a"} and barred(many, 39_000 + 300) == {}


@pytest.mark.parametrize("failing", [reverts, unpaid])
def test_reports_are_never_left_alone_for_more_than_a_minute(failing: Callable[[int, str], Struck]) -> None:
    """One subject stands for all underlyings: an hour of it would be an hour without prices."""
    subject = RelayReports("v", "r", "0@100", "0x", 9).subject

    def failed(at: int) -> Struck:
        return replace(failing(at, subject), effect=RelayReports("v", "r", f"0@{at}", "0x", 9).effect)

    assert barred([failed(12 * n) for n in range(3)], 24) == {}
    many = [failed(100 * n) for n in range(40)]
    assert set(barred(many, 3_900 + 59)) == {subject} and barred(many, 3_900 + 60) == {}


def test_when_all_retries_are_spent_who_failed_once_waits_and_nobody_else() -> None:
    once = [reverts(1_000 + n, f"s{n}") for n in range(RETRIES.in_all)]
    found = barred(once, 2_000)
    assert len(found) == RETRIES.in_all and "retries of all effects" in found["s0"]
    assert "new" not in found
    assert barred(once[1:], 2_000) == {}  # one less
    assert barred(once, 1_000 + RETRIES.window_s) == {}  # the first is forgotten


def test_a_subject_that_fails_in_turns_by_two_causes_runs_out_of_retries() -> None:
    bombs = [Struck("a", "v:liquidate:a", "gas bomb", True, 1_000 + 300 * n, 1) for n in range(5)]
    both = sorted((*bombs, *(reverts(1_010 + 300 * n) for n in range(5))), key=lambda one: one.at)
    last = both[-1].at
    assert barred(both, last + 960) == {"a": "v:liquidate:a: 10 retries in 3600 s are spent"}  # stays are over by then
    assert barred(both[1:], last + 960) == {}


class Told:
    def __init__(self, *failures: Failure) -> None:
        self.told = failures

    def failures(self, since_timestamp: int) -> tuple[Failure, ...]:
        return tuple(one for one in self.told if one.timestamp > since_timestamp)


def failed(account: str, at: int) -> Failure:
    return Failure(account, f"v:liquidate:{account}", 1_234.5, "no event", True, at)


def test_the_alarm_names_who_is_new_and_what_stays_undone_and_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Told(failed("a", 100), failed("a", 110), failed("b", 100))
    isolation = Isolation(ledger)
    assert set(isolation.barred(120)) == {"a"}
    (record,) = caplog.records
    assert "1 left alone, 1234.50 USD at risk stay undone" in record.message and "a (quarantined" in record.message
    isolation.barred(121)
    assert len(caplog.records) == 1
    assert isolation.barred(170) == {} and isolation.undone_usd(170) == 0.0
    assert set(Isolation(ledger).barred(120)) == {"a"}  # another process knows the same
