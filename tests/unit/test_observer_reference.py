"""The reference observer on hand-made blocks: what it counts, by which rows it asks, and what it calls things."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from keeper.abi import interface
from keeper.venues.portfolio import account_id

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
events = importlib.import_module("observer_events")
observer = importlib.import_module("observer_reference")
rules = importlib.import_module("observer_rules")
venue = importlib.import_module("observer_venue")

OWNER = "0x" + "ab" * 20
ALICE, BOB, TAKER = f"{OWNER}/1", f"{OWNER}/2", "0x" + "cd" * 20
WAD = 10**18


def view(equity: int = 10, mm: int = 5, auction: int = 0, legs: int = 1, **fields: Any) -> Any:
    held = venue.Held("", legs, (0, 1), (0, 1))
    said = rules.Statement(equity * WAD, 2 * mm * WAD, mm * WAD)
    return venue.View(held, auction, 0, said, said, **fields)


def facts(number: int, **fields: Any) -> Any:
    nothing = {
        "introduced": {}, "started": (), "taken": (), "ended": 0, "refused_starts": 0, "bad_debt": 0, "reports": 0,
        "publications": 0, "settlements": 0, "parameter_updates": 0, "sent": (),
    }  # fmt: skip
    return events.Facts(number, f"0x{number:02x}", f"0x{number - 1:02x}", 600 * number, **nothing | fields)


def tally() -> Any:
    return observer.Tally("0xkeeper", frozenset({TAKER}))


def take(counted: Any, number: int, liquidatable: set[str], **fields: Any) -> None:
    counted.take(facts(number, **fields), {ALICE: view(legs=9), BOB: view()}, liquidatable, 7 * WAD)


def test_four_blocks_without_a_start_are_a_miss_and_a_start_in_the_fourth_is_not() -> None:
    late, in_time = tally(), tally()
    for number in range(1, 4):
        take(late, number, {ALICE})
        take(in_time, number, {ALICE})
    take(late, 4, {ALICE})
    take(in_time, 4, set(), started=(ALICE,))
    assert (late.report()["missed"], in_time.report()["missed"]) == (1, 0)
    assert in_time.report()["started_with_many_legs"] == 1


def test_what_is_bought_by_others_is_not_the_keepers() -> None:
    counted = tally()
    take(counted, 1, set(), taken=((ALICE, TAKER), (BOB, OWNER)))
    assert counted.report()["liquidated"] == 1


def test_reverts_and_what_is_asked_twice_in_a_block_are_counted() -> None:
    counted, start = tally(), ((1, 7),)
    take(counted, 1, set(), sent=(events.Sent(True, start), events.Sent(False, start), events.Sent(True, ((2, 7),))))
    found = counted.report()
    assert (found["reverted"], found["duplicates"], found["transactions"]) == (1, 1, 3)


def test_a_chain_that_does_not_hang_together_is_no_report() -> None:
    counted = tally()
    take(counted, 1, set())
    with pytest.raises(observer.ObserverError, match="reorganised"):
        take(counted, 3, set())


def test_arrays_count_where_they_alone_show_a_shortfall() -> None:
    short = rules.Statement(1 * WAD, 4 * WAD, 2 * WAD)
    by_arrays = venue.View(view().held, 0, 0, view().proof, None, short, short)
    assert by_arrays.below
    assert by_arrays.said == short
    one_set = venue.View(view().held, 0, 0, view().proof, None, short, view().proof)
    assert not one_set.below
    assert one_set.said == view().proof
    assert not venue.View(view().held, 0, 0, None, None, None).below, "what cannot be read is no shortfall"


def test_who_is_near_by_any_of_both_measures_is_searched_until_known_to_be_below() -> None:
    doubts = {equity: view(equity=equity, mm=100).in_doubt for equity in (99, 100, 109, 111)}
    assert doubts == {99: False, 100: True, 109: True, 111: False}
    assert not view(equity=105, mm=100, auction=3).in_doubt
    far = view(equity=111, mm=100)
    assert venue.View(far.held, 0, 0, far.proof, rules.Statement(150 * WAD, 0, 105 * WAD)).in_doubt
    assert venue.View(far.held, 0, 0, far.proof, None).in_doubt, "what cannot be read is no reason not to look"


def test_names_are_the_journals_in_lower_case() -> None:
    for name in (OWNER, ALICE):
        assert events.named(account_id(name)) == name
        assert observer.number_of(name) == account_id(name)


@pytest.mark.parametrize(
    ("constant", "contract", "event"),
    [
        ("BALANCE_CHANGE", "reference/MarginVenue", "BalanceChange"),
        ("BAD_DEBT", "reference/MarginVenue", "BadDebt"),
        ("STARTED", "reference/Auctions", "AuctionStarted"),
        ("REFUSED", "reference/Auctions", "AuctionRefused"),
        ("TAKEN", "reference/Auctions", "Taken"),
        ("ENDED", "reference/Auctions", "AuctionEnded"),
        ("PUBLISHED", "reference/RiskArrays", "ArraysPublished"),
        ("REPORT", "keeper/PriceRelay", "ReportSet"),
        ("SETTLED", "keeper/PriceRelay", "Settled"),
    ],
)
def test_it_listens_to_events_that_the_contracts_emit(constant: str, contract: str, event: str) -> None:
    assert getattr(events, constant) == interface(contract).event(event).topic


@pytest.mark.parametrize(
    ("module", "constant", "contract", "function"),
    [
        (events, "START", "reference/Auctions", "startAuction"),
        (events, "STARTS", "reference/Auctions", "startAuctions"),
        (events, "TAKE", "reference/Auctions", "take"),
        (events, "END", "reference/Auctions", "endAuction"),
        (events, "PUBLISH", "reference/RiskArrays", "publish"),
        (venue, "START", "reference/Auctions", "startAuction"),
        (venue, "BY_SCENARIO", "reference/Margin", "byScenario"),
        (venue, "BY_OLD_ARRAYS", "reference/Margin", "byArraysRegardless"),
        (venue, "BY_ARRAYS", "reference/Margin", "byArrays"),
        (venue, "BY_SETTLED", "reference/Margin", "bySettledArrays"),
    ],
)
def test_it_asks_functions_that_the_contracts_have(module: Any, constant: str, contract: str, function: str) -> None:
    assert getattr(module, constant) == "0x" + interface(contract).function(function).selector.hex()


def test_a_batch_of_starts_asks_for_each_account() -> None:
    calls = [(account_id(name), 0, 0, True, 0) for name in (ALICE, BOB)]
    starts = interface("reference/Auctions").function("startAuctions")
    data = "0x" + starts.packed(OWNER, calls).data.hex()
    one = interface("reference/Auctions").function("startAuction").packed(OWNER, calls[0])
    assert events.subjects(data)[0] == events.subjects("0x" + one.data.hex())[0]
    assert [account for _, account in events.subjects(data)] == [account_id(ALICE), account_id(BOB)]
    assert events.subjects("0x12345678") == ()
