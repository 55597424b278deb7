"""The fee curve by hand, at its caps, and over the crash of T1 and the faults F17 and F21."""

from dataclasses import replace

import pytest

from keeper.sending.fees import (
    Caps,
    Hold,
    Market,
    Need,
    Offer,
    bumped,
    curve_tip,
    is_stuck,
    offer,
    replacement,
)

GWEI = 10**9
ETHER = 10**18
CAPS = Caps(max_fee=1000 * GWEI, tip=50 * GWEI, tip_ceiling=500 * GWEI, spend=10 * ETHER)
MARKET = Market(30 * GWEI, (GWEI, 3 * GWEI, 2 * GWEI))


def taken(found: Offer | Hold) -> Offer:
    assert isinstance(found, Offer), found
    return found


def test_by_hand_with_nothing_at_risk_and_nine_blocks_left() -> None:
    """Pressure 1/10: median 2 gwei, spread 1 gwei, so 2.1 gwei; twice 30 gwei on top."""
    assert taken(offer(MARKET, Need(100_000, 0, 9), CAPS)) == Offer(62_100_000_000, 2_100_000_000)


def test_by_hand_after_three_attempts_with_six_blocks_left() -> None:
    """Pressure 4/10: every attempt that was not enough makes the next one more pressing."""
    assert taken(offer(MARKET, Need(100_000, 0, 6, attempts=3), CAPS)).tip == 2_400_000_000


def test_at_the_deadline_it_pays_the_highest_tip_and_one_block_s_value_at_risk() -> None:
    found = taken(offer(MARKET, Need(100_000, ETHER // 1000, 0), CAPS))
    assert found.tip == 3 * GWEI + 10 * GWEI  # 1e15 wei over 1e5 gas
    assert found == taken(offer(MARKET, Need(100_000, ETHER // 1000, -5), CAPS))


def test_without_tips_seen_it_offers_one_wei() -> None:
    assert taken(offer(Market(0, ()), Need(21_000, 0, 0), CAPS)) == Offer(1, 1)


@pytest.mark.parametrize(
    ("caps", "for_worth"),
    [
        (replace(CAPS, max_fee=30 * GWEI), False),
        (replace(CAPS, spend=100_000 * 30 * GWEI), False),
        (replace(CAPS, share_ppm=500_000), True),
    ],
)
def test_a_cap_equal_to_the_base_fee_still_offers_and_a_wei_less_does_not(caps: Caps, for_worth: bool) -> None:
    allowed = 30 * GWEI
    need = Need(100_000, 0, 3, worth=2 * 100_000 * 30 * GWEI)
    assert taken(offer(MARKET, need, caps)).max_fee == allowed
    assert offer(Market(30 * GWEI + 1, MARKET.tips), need, caps) == Hold(
        "base fee above the cap", 30 * GWEI + 1, allowed, for_worth
    )


def test_headroom_leaves_two_bumps_below_the_cap_and_need_does_not() -> None:
    caps = replace(CAPS, max_fee=81 * GWEI)
    spared = taken(offer(Market(40 * GWEI, (GWEI,)), Need(21_000, 0, 5), caps))
    assert spared.max_fee == 64 * GWEI
    assert bumped(bumped(spared.max_fee)) <= caps.max_fee
    needed = taken(offer(Market(80 * GWEI, (GWEI,)), Need(21_000, 0, 5), caps))
    assert needed.max_fee == 81 * GWEI


def test_a_replacement_never_follows_the_market_down() -> None:
    """F17: the base fee falls to a tenth between two attempts; the pool still wants an eighth more in both."""
    first = taken(offer(MARKET, Need(21_000, 0, 9), CAPS))
    second = taken(replacement(Market(3 * GWEI, (1,)), Need(21_000, 0, 8, attempts=1), CAPS, (first,)))
    assert (second.max_fee, second.tip) == (bumped(first.max_fee), bumped(first.tip))


@pytest.mark.parametrize("field", ["base fee", "tips"])
def test_when_one_field_s_market_rises_both_fields_rise(field: str) -> None:
    """F17: Geth refuses a replacement that raises only one of the two."""
    first = taken(offer(MARKET, Need(21_000, 0, 9), CAPS))
    market = Market(90 * GWEI, MARKET.tips) if field == "base fee" else Market(MARKET.base_fee, (20 * GWEI,))
    second = taken(replacement(market, Need(21_000, 0, 8, attempts=1), CAPS, (first,)))
    assert second.max_fee * 10 >= first.max_fee * 11
    assert second.tip * 10 >= first.tip * 11


def test_siblings_count_field_by_field() -> None:
    siblings = (Offer(80 * GWEI, GWEI), Offer(70 * GWEI, 16 * GWEI))
    found = taken(replacement(Market(1, (1,)), Need(21_000, 0, 8, attempts=2), CAPS, siblings))
    assert (found.max_fee, found.tip) == (90 * GWEI, 18 * GWEI)


def test_a_live_head_at_the_cap_is_held_and_says_by_how_much() -> None:
    caps = replace(CAPS, max_fee=100 * GWEI, tip_ceiling=50 * GWEI)
    need = Need(21_000, 0, 0, attempts=1)
    assert replacement(MARKET, need, caps, (Offer(100 * GWEI, GWEI),)) == Hold(
        "replacement above the cap", 112_500_000_000, 100 * GWEI
    )
    assert replacement(MARKET, need, caps, (Offer(60 * GWEI, 50 * GWEI),)) == Hold(
        "replacement above the tip ceiling", 56_250_000_000, 50 * GWEI
    )


def test_bumps_end() -> None:
    caps = replace(CAPS, bumps=2)
    for attempts, held in [(1, False), (2, False), (3, True)]:
        found = replacement(MARKET, Need(21_000, 0, 9, attempts=attempts), caps, (Offer(GWEI, GWEI),))
        assert isinstance(found, Hold) is held


def test_one_replacement_reaches_a_market_that_many_least_bumps_would_not() -> None:
    """F21: at an eighth a block the market twenty times higher is 26 blocks away, the deadline is 3."""
    first = taken(offer(MARKET, Need(200_000, ETHER // 100, 6), CAPS))
    market = Market(20 * MARKET.base_fee, (40 * GWEI,))
    assert first.max_fee * (9 / 8) ** 3 < market.base_fee
    second = taken(replacement(market, Need(200_000, ETHER // 100, 3, attempts=1), CAPS, (first,)))
    assert second.includable(market.base_fee)
    assert not is_stuck(second, market)


def test_a_crash_with_a_base_fee_twenty_times_higher_in_three_blocks() -> None:
    """T1's market with a replacement a block: from the fourth block on the attempt is includable."""
    best = taken(offer(MARKET, Need(300_000, ETHER // 50, 6), CAPS))
    attempts = [best]
    for block in range(1, 7):
        market = Market(min(30 * 3**block, 600) * GWEI, (2 * GWEI, 5 * GWEI, 9 * GWEI))
        if is_stuck(best, market):
            need = Need(300_000, ETHER // 50, 6 - block, attempts=len(attempts))
            best = taken(replacement(market, need, CAPS, attempts))
            attempts.append(best)
    assert best.includable(600 * GWEI)
    assert len(attempts) <= 4
    assert all(a.max_fee <= CAPS.max_fee for a in attempts)


def test_stuck_means_not_includable_or_below_every_recent_tip() -> None:
    market = Market(10, (2, 5))
    assert not is_stuck(Offer(12, 2), market)  # equality pays the least tip that was enough
    assert is_stuck(Offer(11, 2), market)
    assert is_stuck(Offer(100, 1), market)
    assert is_stuck(Offer(9, 2), Market(10, ()))
    assert not is_stuck(Offer(10, 2), Market(10, ()))


def test_pressure_is_whole_at_the_last_bump_however_far_the_deadline() -> None:
    caps = replace(CAPS, bumps=4)
    last = curve_tip(MARKET, Need(21_000, 21_000 * GWEI, 1000, attempts=4), caps)
    assert last == 3 * GWEI + GWEI == curve_tip(MARKET, Need(21_000, 21_000 * GWEI, 0), caps)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Offer(1, 2),
        lambda: Offer(1, -1),
        lambda: Need(0, 0, 0),
        lambda: Need(1, -1, 0),
        lambda: Market(-1, ()),
        lambda: Market(1, (3, -1)),
        lambda: replace(CAPS, tip_ceiling=1),
        lambda: replacement(MARKET, Need(1, 0, 0), CAPS, ()),
    ],
)
def test_nonsense_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]
