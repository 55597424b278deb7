"""Caps on spending: each at equality and one wei beyond, windows in block time, the reserve, the balance."""

from dataclasses import replace

import pytest

from keeper.sending.limits import (
    Ask,
    Attempted,
    BalanceWatch,
    Books,
    Spend,
    SpendCaps,
    affordable,
    exposure,
    permit,
    room,
    watch,
)

CAPS = SpendCaps(
    per_transaction=100, per_block=200, per_hour=1000, per_day=5000, exposure=300, share_of_worth_ppm=500_000
)
EMPTY = Books(10, 100_000, (), 0, 0)


def spent(wei: int, *, block: int = 1, at: int = 0, liquidation: bool = False) -> Spend:
    return Spend(block, at, wei, liquidation)


@pytest.mark.parametrize(
    ("cap", "books", "most"),
    [
        ("transaction", EMPTY, 100),
        ("block", replace(EMPTY, spends=(spent(130, block=10, at=100_000),)), 70),
        ("hour", replace(EMPTY, spends=(spent(960, at=100_000 - 3599),)), 40),
        ("day", replace(EMPTY, spends=(spent(4950, at=100_000 - 86_399),)), 50),
        ("exposure", replace(EMPTY, exposure=260), 40),
    ],
)
def test_each_cap_allows_equality_and_stops_a_wei_beyond_with_an_alarm(cap: str, books: Books, most: int) -> None:
    assert permit(Ask(most), books, CAPS) is None
    stop = permit(Ask(most + 1), books, CAPS)
    assert stop is not None
    assert (stop.cap, stop.asked, stop.left) == (cap, most + 1, most)
    assert f"expected at most {most} wei, found {most + 1}" in stop.alarm


@pytest.mark.parametrize(("cap", "seconds"), [("hour", 3600), ("day", 86_400)])
def test_a_spend_leaves_the_window_at_its_very_end_and_block_time_alone_says_when(cap: str, seconds: int) -> None:
    full = 1000 if cap == "hour" else 5000
    books = replace(EMPTY, spends=(spent(full, at=100_000 - seconds),))
    assert permit(Ask(1), books, CAPS) is None
    stop = permit(Ask(1), replace(books, timestamp=99_999), CAPS)
    assert stop is not None
    assert stop.cap == cap


def test_spends_of_blocks_a_reorg_took_away_still_count() -> None:
    later = spent(190, block=12, at=100_024)
    stop = permit(Ask(11), replace(EMPTY, spends=(later,)), CAPS)
    assert stop is not None
    assert stop.cap == "block"


def test_a_share_of_the_job_s_worth_binds_where_it_is_known() -> None:
    assert permit(Ask(50, worth=100), EMPTY, CAPS) is None
    stop = permit(Ask(51, worth=101), EMPTY, CAPS)  # 50.5 rounds down
    assert stop is not None
    assert (stop.cap, stop.left) == ("share of worth", 50)
    assert permit(Ask(1, worth=-5), EMPTY, CAPS) is not None
    assert permit(Ask(100), EMPTY, CAPS) is None


def test_a_replacement_adds_only_what_it_is_dearer_and_a_cheaper_cancel_nothing() -> None:
    full = replace(EMPTY, exposure=300)
    assert permit(Ask(80, siblings_worst=90), full, CAPS) is None
    stop = permit(Ask(95, siblings_worst=90), full, CAPS)
    assert stop is not None
    assert (stop.cap, stop.asked) == ("exposure", 5)


def test_exposure_counts_one_attempt_a_nonce_and_cancels_like_all_others() -> None:
    attempts = [
        Attempted("a", 1, 100_000, 10),  # original
        Attempted("a", 1, 100_000, 12),  # replacement
        Attempted("a", 1, 21_000, 90),  # cancel, the dearest of the three
        Attempted("a", 2, 10, 1),
        Attempted("b", 1, 10, 2),
    ]
    assert exposure(attempts) == 21_000 * 90 + 10 + 20
    assert exposure([]) == 0


def test_the_reserve_is_for_liquidations_used_or_not() -> None:
    assert room(100, 0, 0, 300_000, for_liquidation=False) == 70
    assert room(100, 0, 60, 300_000, for_liquidation=False) == 10
    assert room(100, 20, 60, 300_000, for_liquidation=False) == 10  # within the reserve they take from nobody
    assert room(100, 35, 60, 300_000, for_liquidation=False) == 5
    assert room(100, 20, 60, 300_000, for_liquidation=True) == 20
    assert room(100, 90, 60, 300_000, for_liquidation=True) == 0
    assert room(3, 0, 0, 1, for_liquidation=False) == 2  # of three lanes, any reserve keeps one


def test_other_kinds_stop_before_the_reserve_and_liquidations_go_on() -> None:
    caps = replace(CAPS, reserved_ppm=500_000)
    books = replace(EMPTY, exposure=150)
    stop = permit(Ask(1), books, caps)
    assert stop is not None
    assert stop.cap == "exposure"
    assert permit(Ask(100, for_liquidation=True), books, caps) is None


def test_the_balance_alerts_before_it_stops_and_counts_what_is_at_stake() -> None:
    thresholds = BalanceWatch(alert_below=100, stop_below=50)
    assert watch(150, 50, thresholds).state == "ok"
    assert watch(149, 50, thresholds).state == "alert"
    assert watch(100, 50, thresholds).state == "alert"
    assert watch(99, 50, thresholds).state == "stop"
    assert watch(10, 50, thresholds).free == -40
    assert "found 99" in watch(149, 50, thresholds).alarm


def test_a_stop_opens_nothing_new_and_still_lets_the_head_be_replaced() -> None:
    low = watch(40, 0, BalanceWatch(100, 50))
    assert affordable(Ask(1), low) is not None
    assert affordable(Ask(30, siblings_worst=20), low) is None
    assert affordable(Ask(61, siblings_worst=20), low) is not None
    assert affordable(Ask(101), watch(100, 0, BalanceWatch(10, 5))) is not None
    assert affordable(Ask(100), watch(100, 0, BalanceWatch(10, 5))) is None


@pytest.mark.parametrize(
    "wrong",
    [lambda: replace(CAPS, per_day=-1), lambda: replace(CAPS, reserved_ppm=10**6 + 1), lambda: BalanceWatch(1, 2)],
)
def test_nonsense_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]
