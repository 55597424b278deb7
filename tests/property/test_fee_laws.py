"""Laws of the fee curve: monotone in urgency, never above a cap, never below what a pool needs, finitely many bumps."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keeper.sending.fees import Caps, Hold, Market, Need, Offer, offer, replacement

WEI_A_GAS = st.integers(0, 10**13)
MARKETS = st.builds(Market, WEI_A_GAS, st.lists(WEI_A_GAS, max_size=8).map(tuple))
NEEDS = st.builds(
    Need,
    gas=st.integers(21_000, 30_000_000),
    value_at_risk=st.integers(0, 10**22),
    blocks_left=st.integers(-3, 50),
    attempts=st.integers(0, 20),
    worth=st.one_of(st.none(), st.integers(0, 10**22)),
)


@st.composite
def all_caps(draw: st.DrawFn) -> Caps:
    tip = draw(WEI_A_GAS)
    return Caps(
        max_fee=draw(WEI_A_GAS),
        tip=tip,
        tip_ceiling=tip + draw(WEI_A_GAS),
        spend=draw(st.integers(0, 10**21)),
        share_ppm=draw(st.integers(0, 10**6)),
        bumps=draw(st.integers(0, 20)),
    )


CAPS = all_caps()
OFFERS = st.tuples(WEI_A_GAS, WEI_A_GAS).map(lambda pair: Offer(max(pair), min(pair)))
SIBLINGS = st.lists(OFFERS, min_size=1, max_size=5)


@given(MARKETS, NEEDS, CAPS)
def test_an_offer_is_includable_now_and_within_every_cap(market: Market, need: Need, caps: Caps) -> None:
    found = offer(market, need, caps)
    if isinstance(found, Hold):
        assert found.needed > found.allowed or found.allowed == 0
        return
    assert market.base_fee <= found.max_fee <= caps.max_fee
    assert found.tip <= caps.tip
    assert found.max_fee * need.gas <= caps.spend
    if need.worth is not None:
        assert found.max_fee * need.gas * 10**6 <= need.worth * caps.share_ppm


@given(MARKETS, NEEDS, CAPS, st.integers(0, 10**22), st.integers(0, 30), st.integers(0, 5))
def test_more_urgent_never_offers_less(
    market: Market, need: Need, caps: Caps, more_value: int, fewer_blocks: int, more_attempts: int
) -> None:
    calm = offer(market, need, caps)
    urgent = offer(
        market,
        replace(
            need,
            value_at_risk=need.value_at_risk + more_value,
            blocks_left=need.blocks_left - fewer_blocks,
            attempts=need.attempts + more_attempts,
        ),
        caps,
    )
    if isinstance(calm, Hold):
        assert urgent == calm
    else:
        assert isinstance(urgent, Offer)
        assert urgent.max_fee >= calm.max_fee
        assert urgent.tip >= calm.tip


@given(MARKETS, NEEDS, CAPS, SIBLINGS)
def test_a_replacement_satisfies_the_pool_and_the_caps_or_is_held(
    market: Market, need: Need, caps: Caps, siblings: list[Offer]
) -> None:
    found = replacement(market, need, caps, siblings)
    if isinstance(found, Hold):
        return
    assert all(8 * found.max_fee >= 9 * s.max_fee and found.max_fee > s.max_fee for s in siblings)
    assert all(8 * found.tip >= 9 * s.tip and found.tip > s.tip for s in siblings)
    assert market.base_fee <= found.max_fee <= caps.max_fee
    assert found.tip <= caps.tip_ceiling
    assert found.max_fee * need.gas <= caps.spend
    assert need.attempts <= caps.bumps


@given(MARKETS, NEEDS, CAPS, SIBLINGS)
def test_a_replacement_is_only_held_for_a_reason_that_holds(
    market: Market, need: Need, caps: Caps, siblings: list[Offer]
) -> None:
    found = replacement(market, need, caps, siblings)
    if isinstance(found, Hold):
        assert found.needed > found.allowed or found.allowed == 0


def steps_of_an_eighth(low: int, high: int) -> int:
    """Return how many least bumps fit from `low` to `high`: an eighth more each, rounded up, at least 1 wei."""
    count = 0
    while (low := max(low + 1, (9 * low + 7) // 8)) <= high:
        count += 1
    return count


@given(st.lists(MARKETS, min_size=30, max_size=30), CAPS, st.integers(21_000, 10**7))
def test_one_nonce_has_finitely_many_attempts_whatever_the_market_does(
    markets: list[Market], caps: Caps, gas: int
) -> None:
    attempts: list[Offer] = []
    for market in markets:
        need = Need(gas, 0, 3, attempts=len(attempts))
        found = replacement(market, need, caps, attempts) if attempts else offer(market, need, caps)
        if isinstance(found, Offer):
            attempts.append(found)
    assert len(attempts) <= 1 + caps.bumps
    assert len(attempts) <= 2 + steps_of_an_eighth(max(attempts[0].max_fee, 1) if attempts else 1, caps.max_fee)
