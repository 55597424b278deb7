"""The observer's rules on hand-made sequences: who was missed, and how far the journal is from the protocol."""

import importlib
import sqlite3
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
observer = importlib.import_module("observer")
chain = importlib.import_module("observer_chain")

ALICE, BOB, CAROL = ("0x" + digit * 40 for digit in "abc")


def run(*blocks: tuple[set[str], set[str]], refusal: str | None = None):
    """Step through (liquidatable, liquidated) pairs from block 100 on."""
    streaks = observer.streaks()
    for number, (liquidatable, liquidated) in enumerate(blocks, start=100):
        streaks.step(number, liquidatable, liquidated, lambda _account: refusal)
    return streaks


def test_four_blocks_without_a_liquidation_are_a_miss():
    (missed,) = run(*[({ALICE}, set())] * 4).missed
    assert (missed.account, missed.first_block, missed.last_block) == (ALICE, 100, 103)


def test_three_blocks_are_not():
    streaks = run(*[({ALICE}, set())] * 3, (set(), set()))
    assert [streak.reason for streak in streaks.closed] == ["recovered"]


def test_a_miss_is_counted_once_a_streak_and_again_in_the_next_streak():
    streaks = run(*[({ALICE}, set())] * 9, (set(), set()), *[({ALICE}, set())] * 4)
    assert [streak.first_block for streak in streaks.missed] == [100, 110]
    assert [streak.reason for streak in streaks.closed] == ["missed", "missed"]


def test_a_partial_liquidation_restarts_the_count_with_the_next_block():
    still = ({ALICE}, set())
    partly = ({ALICE}, {ALICE})
    assert run(still, still, still, partly, still, still, still).missed == []
    assert len(run(still, still, still, partly, still, still, still, still).missed) == 1


def test_a_liquidation_in_the_fourth_block_is_in_time_even_if_partial():
    streaks = run(*[({ALICE}, set())] * 3, ({ALICE}, {ALICE}), (set(), set()))
    assert [streak.reason for streak in streaks.closed] == ["liquidated"]


def test_a_break_of_one_block_starts_a_new_span():
    assert run(*[({ALICE}, set())] * 3, (set(), set()), *[({ALICE}, set())] * 3).missed == []


def test_only_an_empty_insurance_fund_excuses():
    streaks = run(*[({ALICE}, set())] * 4, refusal="execution reverted: CH_IIC")
    assert [streak.reason for streak in streaks.closed] == ["insurance_empty"]
    (missed,) = run(*[({ALICE}, set())] * 4, refusal="execution reverted: CH_NEFCI").missed
    assert "CH_NEFCI" in missed.detail


def test_an_excused_account_is_missed_if_the_excuse_goes_away_for_four_blocks():
    streaks = observer.streaks()
    for number in range(8):
        streaks.step(number, {ALICE}, set(), lambda _account, number=number: "CH_IIC" if number < 5 else None)
    assert [(streak.reason, streak.last_block) for streak in streaks.closed] == [("insurance_empty", 3), ("missed", 7)]


def test_the_end_of_the_run_closes_short_streaks_and_not_missed_ones():
    streaks = run(({ALICE}, set()), *[({ALICE, BOB}, set())] * 3)
    streaks.finish(103)
    assert [(streak.account, streak.reason) for streak in streaks.closed] == [(ALICE, "missed"), (BOB, "ended")]


def view(value: int = 0, requirement: int = 0, **rest) -> object:
    fields = {"initial_margin": 0, "has_order": False, "liquidatable_in": ()} | rest
    return chain.View(account_value=value, margin_requirement=requirement, **fields)


def facts(number: int, views, *, timestamp: int = 0, liquidations=(), sent=()) -> object:
    return chain.BlockFacts(
        number=number,
        hash=f"0x{number:064x}",
        parent_hash=f"0x{number - 1:064x}",
        timestamp=timestamp,
        index_price=0,
        mark_price=0,
        views=views,
        liquidations=tuple(liquidations),
        bad_debt=0,
        parameter_updates=0,
        keeper_transactions=tuple(sent),
        read_seconds=0.0,
    )


def tally() -> object:
    return observer.Tally(keeper=CAROL, settlement_decimals=6)


def test_an_account_with_open_orders_is_not_liquidatable():
    assert not view(liquidatable_in=("0x1",), has_order=True).liquidatable
    assert view(liquidatable_in=("0x1",)).liquidatable


def test_only_the_keepers_liquidations_count_as_its_own():
    counted = tally()
    done = [chain.Liquidation(ALICE, "0x1", 1, CAROL), chain.Liquidation(BOB, "0x1", 1, ALICE)]
    counted.take(facts(1, {ALICE: view(), BOB: view()}, liquidations=done), lambda _account: None)
    assert counted.counts()["liquidated"] == 1


def test_two_transactions_for_one_account_in_one_block_are_a_duplicate():
    counted = tally()
    sent = [chain.Transaction("0x1", True, (ALICE, "0x9")), chain.Transaction("0x2", False, (ALICE, "0x9"))]
    counted.take(facts(1, {ALICE: view()}, sent=sent), lambda _account: None)
    assert (counted.counts()["duplicates"], counted.counts()["reverted"]) == (1, 1)


def test_accounts_becoming_liquidatable_are_grouped_by_hour_steps_after_the_first_block():
    counted = tally()
    bad, good = view(liquidatable_in=("0x1",)), view()
    steps = [
        (1_000, {ALICE: good, BOB: good}),
        (1_900, {ALICE: bad, BOB: good}),
        (4_600, {ALICE: good, BOB: bad}),  # the last second of the first step
        (4_601, {ALICE: bad, BOB: bad}),
    ]
    for number, (timestamp, views) in enumerate(steps):
        counted.take(facts(number, views, timestamp=timestamp), lambda _account: None)
    assert counted.counts()["most_liquidatable_in_one_hour"] == 2
    assert {hour: len(who) for hour, who in counted.newly_liquidatable.items()} == {0: 0, 1: 2, 2: 1}
    assert counted.counts()["liquidatable"] == 2


def test_a_reorganised_chain_is_refused():
    counted = tally()
    counted.take(facts(1, {}), lambda _account: None)
    with pytest.raises(observer.ObserverError, match="reorganised"):
        counted.take(facts(3, {}), lambda _account: None)


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE ticks (id INTEGER, block_number INTEGER, block_hash TEXT)")
        database.execute("CREATE TABLE margins (tick_id, account, equity REAL, im REAL, mm REAL, health, status TEXT)")
        database.execute("INSERT INTO ticks VALUES (1, 7, '0x07')")
        rows = [
            (1, ALICE.upper().replace("X", "x"), 2_000.0, 300.0, 100.0, None, "healthy"),
            (1, BOB, None, None, None, None, "unknown"),
            (1, CAROL, 1.0, 0.0, 0.5, None, "endangered"),
        ]
        database.executemany("INSERT INTO margins VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.close()
    return path


def test_the_largest_relative_difference_is_found_with_a_floor_of_one_dollar(journal):
    seen = {
        "0x07": {
            ALICE: view(2_000_000_002, 100 * 10**18, initial_margin=300 * 10**18),
            BOB: view(5, 5),
            CAROL: view(1_000_000, 25 * 10**16),
        }
    }
    compared = observer.compare(journal, seen, 6)
    assert compared.comparisons == 6
    assert compared.max_rel_diff == 0.25  # carol's 0.50 against 0.25 USD, over 1 USD
    assert compared.worst == {"block": 7, "account": CAROL, "field": "mm", "keeper": 0.5, "protocol": 0.25}
    assert compared.status == {"healthy": 1, "unknown": 1, "endangered": 1}
    assert compared.status_disagreements == 1  # carol: the views do not call her liquidatable


def test_rows_of_other_blocks_are_not_compared(journal):
    compared = observer.compare(journal, {"0x08": {ALICE: view()}}, 6)
    assert (compared.comparisons, compared.max_rel_diff, compared.unseen) == (0, None, 3)


def test_a_missing_number_is_a_difference_and_not_skipped(journal):
    with sqlite3.connect(journal) as database:
        database.execute("UPDATE margins SET mm = NULL WHERE account = ?", (CAROL,))
    database.close()
    compared = observer.compare(journal, {"0x07": {CAROL: view(1_000_000)}}, 6)
    assert compared.max_rel_diff == sys.float_info.max


def test_without_a_journal_nothing_is_compared(tmp_path):
    assert observer.compare(tmp_path / "none.sqlite", {}, 6).comparisons == 0
