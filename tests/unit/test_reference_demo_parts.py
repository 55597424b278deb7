"""What the reference demo is made of, without a chain: paths, surfaces, people, and what a run must show."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from keeper.demo.curie_play import CURIE
from keeper.demo.path import BTC_MARCH_2020, DAYS_CLOSE, ETH_MARCH_2020, price_at
from keeper.demo.reference_board import BTC, CAP, ETH, EXPIRIES, FLOOR, PATHS, STRIKES, board_at, seen_at, volatility_at
from keeper.demo.reference_book import KINDS, TRADERS, wishes
from keeper.demo.reference_play import REFERENCE
from keeper.demo.run import SLOWEST, crosschecked, pace, shortcomings
from keeper.reference.manifest import Listed

START = BTC_MARCH_2020[0][0]
HOUR = 3_600


def test_ether_has_bitcoins_hours_and_its_own_days() -> None:
    assert [hour for hour, _ in ETH_MARCH_2020] == [hour for hour, _ in BTC_MARCH_2020]
    btc, eth = dict(BTC_MARCH_2020), dict(ETH_MARCH_2020)
    for at, btc_close, eth_close in DAYS_CLOSE:
        assert eth[at] / btc[at] == pytest.approx(eth_close / btc_close, rel=1e-4)
    assert min(eth.values()) / eth[START] == pytest.approx(0.48, abs=0.01)


def test_prices_are_the_closes_on_the_hour_and_a_straight_line_between() -> None:
    (first, opening), (second, closing) = BTC_MARCH_2020[:2]
    assert price_at(BTC_MARCH_2020, first) == opening
    assert price_at(BTC_MARCH_2020, second) == closing
    assert price_at(BTC_MARCH_2020, first + HOUR / 4) == pytest.approx(opening + (closing - opening) / 4)
    assert price_at(BTC_MARCH_2020, first - 1) == opening
    assert price_at(BTC_MARCH_2020, BTC_MARCH_2020[-1][0] + 1) == BTC_MARCH_2020[-1][1]


def test_volatility_is_calm_before_the_crash_and_at_its_cap_in_it_and_knows_nothing_of_what_is_to_come() -> None:
    crash = 1_584_007_200  # the hour that closes a seventh lower
    before, after = (volatility_at(PATHS[BTC], crash + seconds) for seconds in (-1, 0))
    assert FLOOR <= before < 1.5
    assert after == CAP
    past = tuple(row for row in PATHS[BTC] if row[0] < crash)
    assert volatility_at(past, crash - 1) == before


def test_surfaces_rise_with_the_crash_and_least_far_out_and_end_with_their_expiry() -> None:
    calm, wild = seen_at(START), seen_at(START + 24 * HOUR)
    rises = [after.a / before.a for before, after in zip(calm.slices, wild.slices, strict=True)]
    assert len(rises) == 2 * len(EXPIRIES)
    for of_coin in (rises[:3], rises[3:]):
        assert of_coin == sorted(of_coin, reverse=True)
        assert min(of_coin) > 1.5
    assert {s.expiry for s in seen_at(EXPIRIES[0]).slices} == set(EXPIRIES[1:])


def test_the_first_expiry_is_inside_the_path() -> None:
    assert START < EXPIRIES[0] < BTC_MARCH_2020[-1][0] < EXPIRIES[1]
    board = board_at(START - 2_400)
    assert [START - 2_400 + after + 59 for after in board.underlyings[ETH].expiries] == list(EXPIRIES)


def people(count: int = TRADERS) -> Any:
    prices = [195 * 10**18, 7_934 * 10**18, 10**18]
    strikes = [tuple(price * share // 1_000 // 10**10 for share in STRIKES) for price in prices]
    listed = tuple(Listed(f"U{u}", True, EXPIRIES, strikes[u]) for u in range(3))
    return wishes(SimpleNamespace(underlyings=listed), prices, count)  # type: ignore[arg-type]


def test_people_are_the_same_every_time_and_of_every_kind() -> None:
    found = people()
    assert found == people()
    assert len(found) >= 300
    assert len({wish.kind for wish in found}) == len(KINDS)
    assert {leg.underlying for wish in found for leg, _ in wish.legs} == {ETH, BTC}
    assert sum(len(wish.legs) >= 8 for wish in found) >= 30
    assert {wish.token for wish in found} == {None, 0, 1, 2}
    assert all(size and wish.cover > 1 for wish in found for _, size in wish.legs)


def test_bought_protection_comes_before_what_is_sold() -> None:
    for wish in people():
        if wish.kind in ("vertical", "iron condor"):
            signs = [size > 0 for _, size in wish.legs]
            assert signs == sorted(signs, reverse=True)


def seen(**changes: Any) -> dict[str, Any]:
    none = dict.fromkeys(("missed", "reverted", "duplicates", "status_disagreements"), 0)
    return {**REFERENCE.at_least, **CURIE.at_least, **REFERENCE.at_least, **none, "max_rel_diff": 1e-12, **changes}


def test_a_machine_slower_than_the_paces_own_gets_blocks_as_much_slower_within_bounds() -> None:
    calm, seconds = REFERENCE.calm_block_s, REFERENCE.block_seconds
    assert pace(REFERENCE, calm / 2) == seconds, "a faster machine has no easier time"
    assert pace(REFERENCE, calm) == seconds
    assert pace(REFERENCE, calm * 1.5) == pytest.approx(seconds * 1.5)
    assert pace(REFERENCE, calm * 9) == seconds * SLOWEST


@pytest.mark.parametrize(
    ("count", "found"),
    [*((count, least - 1) for count, least in REFERENCE.at_least.items()), ("missed", 1), ("engine_apart", 1)],
)
def test_a_run_that_shows_less_falls_short(count: str, found: int) -> None:
    assert shortcomings(REFERENCE, seen()) == []
    (short,) = shortcomings(REFERENCE, seen(**{count: found}))
    assert short.startswith(f"{count}: expected")


def test_a_difference_beyond_the_band_falls_short() -> None:
    (short,) = shortcomings(REFERENCE, seen(max_rel_diff=2e-9))
    assert short.startswith("max_rel_diff")
    assert len(shortcomings(REFERENCE, seen(max_rel_diff=float("nan")))) == 1


def test_the_engines_difference_is_the_largest_share_of_a_band() -> None:
    ticks = [{"compared": 3, "apart": 0, "largest_usd": usd, "its_band_usd": 0.5} for usd in (0.1, 0.2, 0.05)]
    lines = [orjson.dumps({"block": n, "crosscheck": tick}) for n, tick in enumerate(ticks)]
    found = crosschecked([*lines, b'{"block": 4, "cros', b""])
    assert found == {"engine_max_diff": 0.4, "engine_apart": 0, "engine_compared": 9}
    assert crosschecked([b'{"block": 1, "crosscheck": {}}']) == {}
