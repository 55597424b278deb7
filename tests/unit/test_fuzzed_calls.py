"""Every call that can change a contract of the reference venue or of the keeper is fuzzed, where it succeeds and where
it is refused; pure maths is fuzzed at length."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "contracts/test"
ABIS: Final = (*(ROOT / "abis/reference").glob("*.json"), *(ROOT / "abis/keeper").glob("*.json"))
LENGTH: Final = "forge-config: default.fuzz.runs = 10000"

STRANGERS: Final = "Ownership.testFuzz_only_the_owner_may"
NOBODY: Final = "KeeperExecutor.testFuzz_strangers_do_nothing"
OWNERSHIP: Final = {
    "transferOwnership": ("Ownership.testFuzz_ownership_moves_when_the_heir_accepts", STRANGERS),
    "acceptOwnership": ("Ownership.testFuzz_ownership_moves_when_the_heir_accepts", STRANGERS),
    "renounceOwnership": ("Ownership.testFuzz_who_renounces_leaves_no_heir", STRANGERS),
}

# Contract and function: the test in which it succeeds, the test in which it is refused (None: nothing is to refuse).
FUZZED: Final[dict[str, dict[str, tuple[str, str | None]]]] = {
    "MarginVenue": {
        **OWNERSHIP,
        "deposit": (
            "Custody.testFuzz_what_goes_in_comes_out",
            "VenueCalls.testFuzz_a_deposit_counts_whole_or_not_at_all",
        ),
        "withdraw": (
            "Custody.testFuzz_what_goes_in_comes_out",
            "VenueCalls.testFuzz_a_withdrawal_needs_right_sequence_and_means",
        ),
        "swap": (
            "VenueSwaps.testFuzz_a_swap_moves_exactly_what_it_says",
            "VenueCalls.testFuzz_a_swap_delivers_or_is_undone",
        ),
        "matchOrders": (
            "Orders.testFuzz_a_trade_creates_and_destroys_nothing",
            "Orders.testFuzz_any_changed_field_voids_the_signature",
        ),
        "cancel": ("VenueCalls.testFuzz_a_cancelled_order_is_dead", "VenueCalls.testFuzz_a_cancelled_order_is_dead"),
        "raiseNonceFloor": (
            "Orders.testFuzz_a_nonce_floor_only_rises",
            "VenueCalls.testFuzz_only_who_may_raises_the_nonce_floor",
        ),
        "setDelegate": (
            "Delegates.testFuzz_a_grant_ends_with_the_second_it_names",
            "Delegates.testFuzz_only_the_owner_names_delegates",
        ),
        "revokeDelegates": (
            "VenueCalls.testFuzz_revoking_ends_every_grant",
            "Delegates.testFuzz_only_the_owner_names_delegates",
        ),
        "touch": ("Settlement.testFuzz_book_is_what_a_touch_makes", None),
        "seize": (
            "Venue.testFuzz_seize_moves_and_creates_nothing",
            "VenueCalls.testFuzz_seize_takes_no_more_than_all_nor_than_the_fund",
        ),
        "creditFund": (
            "VenueCalls.testFuzz_only_the_risk_arrays_credit_the_fund",
            "VenueCalls.testFuzz_only_the_risk_arrays_credit_the_fund",
        ),
        "setGuardian": ("VenueCalls.testFuzz_the_guardian_pauses_and_the_owner_too", STRANGERS),
        "setLimits": (
            "Venue.testFuzz_limits_stay_within_their_bounds",
            "Venue.testFuzz_limits_stay_within_their_bounds",
        ),
        "setPaused": (
            "VenueCalls.testFuzz_the_guardian_pauses_and_the_owner_too",
            "Venue.testFuzz_only_the_owner_sets",
        ),
        "setSwapper": ("VenueCalls.testFuzz_swappers_are_those_allowed_now", STRANGERS),
        "wireAuctions": ("VenueCalls.testFuzz_auctions_are_wired_once", "VenueCalls.testFuzz_auctions_are_wired_once"),
    },
    "Auctions": {
        **OWNERSHIP,
        "setBonus": ("Bonuses.testFuzz_a_new_limit_keeps_what_is_spent_within_its_bound", STRANGERS),
        "startAuction": ("Auctions.test_any_take", "AuctionCalls.testFuzz_a_start_needs_a_shortfall_in_time"),
        "startAuctions": (
            "AuctionCalls.testFuzz_each_of_many_starts_stands_alone",
            "AuctionCalls.testFuzz_each_of_many_starts_stands_alone",
        ),
        "take": ("Auctions.test_any_take", "AuctionCalls.testFuzz_a_take_needs_what_it_names"),
        "endAuction": (
            "AuctionCalls.testFuzz_an_auction_ends_at_maintenance_by_every_measure",
            "AuctionCalls.testFuzz_an_auction_ends_at_maintenance_by_every_measure",
        ),
    },
    "RiskArrays": {
        **OWNERSHIP,
        "bond": (
            "RiskArraysExtremes.testFuzz_bonds_come_back_whole_where_nothing_was_wrong",
            "ArrayCalls.testFuzz_only_who_is_allowed_bonds",
        ),
        "requestUnbond": (
            "RiskArraysExtremes.testFuzz_bonds_come_back_whole_where_nothing_was_wrong",
            "ArrayCalls.testFuzz_without_a_bond_nothing_is_asked_back",
        ),
        "finishUnbond": (
            "RiskArraysExtremes.testFuzz_bonds_come_back_whole_where_nothing_was_wrong",
            "ArrayCalls.testFuzz_without_a_bond_nothing_is_asked_back",
        ),
        "publish": (
            "RiskArraysExtremes.testFuzz_random_publications_change_nothing_or_what_they_should",
            "RiskArraysExtremes.testFuzz_random_publications_change_nothing_or_what_they_should",
        ),
        "challenge": (
            "RiskArraysChallenge.testFuzz_any_single_changed_word_is_proven",
            "RiskArraysChallenge.testFuzz_a_correct_array_survives_every_challenge",
        ),
        "fine": (
            "RiskArraysBonds.testFuzz_fines_add_up_however_often_they_are_asked_for",
            "ArrayCalls.testFuzz_a_fine_is_for_the_seconds_after_the_heartbeat",
        ),
        "collect": ("ArrayCalls.testFuzz_collecting_takes_what_is_free", None),
        "payUnpaid": ("ArrayCalls.testFuzz_what_was_unpaid_is_paid_once", None),
        "setPublisher": ("ArrayCalls.testFuzz_who_may_publish_is_as_set_until_proven_wrong", STRANGERS),
        "wireVenue": ("ArrayCalls.testFuzz_the_venue_is_wired_once", STRANGERS),
    },
    "PriceRelay": {
        **OWNERSHIP,
        "relay": (
            "PriceCalls.testFuzz_reports_are_taken_whole_or_refused_by_name",
            "Quorum.testFuzz_any_changed_field_voids_the_signatures",
        ),
        "relayMany": (
            "PriceCalls.testFuzz_a_batch_of_reports_is_each_in_order_or_nothing",
            "Relays.testFuzz_anything_else_that_is_wrong_reverts_the_batch",
        ),
        "setSigners": ("Quorum.testFuzz_thresholds_are_a_majority_at_least", STRANGERS),
        "setPriceLimit": ("RelayJumps.testFuzz_price_limits_within_their_bounds", STRANGERS),
        "setFundingLimits": ("PriceCalls.testFuzz_funding_stays_within_the_hard_cap", STRANGERS),
    },
    "KeeperExecutor": {
        "run": ("KeeperExecutor.testFuzz_exactly_the_least_profit_is_enough_and_a_unit_less_is_not", NOBODY),
        "tryMany": ("ExecutorAttacks.testFuzz_a_lying_balance_harms_nobody_else", NOBODY),
        "attempt": ("ExecutorAttacks.testFuzz_a_lying_balance_harms_nobody_else", NOBODY),
        "onFlashLoan": ("ExecutorAttacks.testFuzz_a_fee_is_paid_to_the_unit_and_never_more_than_agreed", NOBODY),
        "uniswapV3SwapCallback": (
            "KeeperExecutor.testFuzz_a_sale_takes_what_it_is_told_and_brings_the_least_or_nothing",
            "ExecutorAttacks.testFuzz_nobody_draws_outside_of_a_sale",
        ),
        "sweep": (
            "KeeperExecutor.testFuzz_anyone_may_sweep_to_the_receiver",
            "KeeperExecutor.testFuzz_a_sweep_that_leaves_something_is_undone",
        ),
        "allowPool": (
            "KeeperExecutor.testFuzz_a_pool_is_the_factorys_and_sells_one_of_its_two_tokens",
            "KeeperExecutor.testFuzz_an_operator_is_no_admin",
        ),
        **dict.fromkeys(
            ("bond", "requestUnbond", "finishUnbond"),
            (
                "KeeperExecutor.testFuzz_a_bond_comes_from_the_admin_and_ends_at_the_receiver",
                "KeeperExecutor.testFuzz_an_operator_is_no_admin",
            ),
        ),
        **dict.fromkeys(
            ("grantRole", "revokeRole", "renounceRole"), ("KeeperExecutor.testFuzz_operators_come_and_go", NOBODY)
        ),
    },
    "SurfaceRelay": {
        **OWNERSHIP,
        "relay": (
            "RiskArraysExtremes.testFuzz_slices_are_taken_whole_or_refused_by_name",
            "Quorum.testFuzz_any_changed_field_of_a_slice_voids_the_signatures",
        ),
        "relayMany": (
            "PriceCalls.testFuzz_a_batch_of_slices_is_each_in_order_or_nothing",
            "PriceCalls.testFuzz_a_batch_of_slices_is_each_in_order_or_nothing",
        ),
        "setSigners": ("Quorum.testFuzz_thresholds_are_a_majority_at_least", STRANGERS),
        "setSurfaceLimit": ("RelayJumps.testFuzz_surface_limits_within_their_bounds", STRANGERS),
    },
    "Products": {
        **OWNERSHIP,
        "addUnderlying": ("ProductCalls.testFuzz_an_underlying_is_added_whole_or_not", STRANGERS),
        "listExpiry": ("RiskArraysExtremes.testFuzz_listed_expiries_stay_apart_and_in_order", STRANGERS),
        "listOptions": ("ProductCalls.testFuzz_options_are_listed_once_and_in_range_or_not_at_all", STRANGERS),
        "setScanParameters": ("Products.testFuzz_accepted_scans_keep_prices_positive", STRANGERS),
        "setMarginParameters": ("ProductCalls.testFuzz_margin_parameters_within_their_bounds", STRANGERS),
        "addCollateral": (
            "ProductCalls.testFuzz_a_collateral_is_what_its_token_says_with_haircut_enough",
            STRANGERS,
        ),
        "setCollateral": ("ProductCalls.testFuzz_of_a_collateral_only_haircut_and_cap_change", STRANGERS),
    },
}


def changing(contract: str) -> set[str]:
    """Names of the functions that may change state."""
    (path,) = (path for path in ABIS if path.stem == contract)
    entries = json.loads(path.read_text())
    abi = entries if isinstance(entries, list) else entries["abi"]
    return {e["name"] for e in abi if e["type"] == "function" and e["stateMutability"] not in ("view", "pure")}


def fuzz_tests(source: str) -> dict[str, str]:
    """Tests with arguments: the text from the comment above each to the end of its head, by name."""
    heads = re.finditer(r"((?: *///[^\n]*\n)*) *function (test\w*)\(\s*[^\s)][^)]*\)([^{]*)\{", source)
    return {head[2]: head[0] for head in heads}


def test_contracts_with_calls_are_all_here() -> None:
    with_calls = {path.stem for path in ABIS if changing(path.stem)}
    assert with_calls - {"InTurn"} == set(FUZZED)  # which is on no chain: an override of one call


@pytest.mark.parametrize("contract", FUZZED)
def test_every_changing_call_is_fuzzed(contract: str) -> None:
    assert changing(contract) == set(FUZZED[contract])
    for tests in FUZZED[contract].values():
        for name in filter(None, tests):
            file, test = name.split(".")
            sources = [path.read_text() for path in TESTS.rglob(f"{file}.t.sol")]
            assert any(test in fuzz_tests(source) for source in sources), name


def test_pure_maths_is_fuzzed_at_length_and_nothing_less_than_the_profile_says() -> None:
    short, found = [], 0
    for path in sorted((ROOT / "contracts/test").rglob("*.sol")):
        source = path.read_text()
        others = source.count("forge-config:") - source.count("forge-config: default.isolate = true")
        assert others == source.count(LENGTH), path.name
        for name, head in fuzz_tests(source).items():
            if not re.search(r"\bpure\s*\{$", head):
                continue
            found += 1
            if LENGTH not in head:
                short.append(f"{path.stem}.{name}")
    assert found > 20
    assert not short
