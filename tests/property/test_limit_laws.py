"""Whatever is asked in whatever order, what was permitted stays within every cap at every prefix (invariant I5)."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.sending.limits import Ask, Attempted, Books, Spend, SpendCaps, exposure, permit, room

AMOUNT = st.integers(0, 500)
CAPS = st.builds(
    SpendCaps,
    per_transaction=AMOUNT,
    per_block=AMOUNT,
    per_hour=st.integers(0, 1500),
    per_day=st.integers(0, 3000),
    exposure=AMOUNT,
    share_of_worth_ppm=st.integers(0, 10**6),
    reserved_ppm=st.integers(0, 10**6),
)
STEP = st.tuples(st.integers(0, 4), st.integers(0, 200), st.booleans(), st.sampled_from([0, 12, 1800, 43_200]))


@given(CAPS, st.lists(STEP, max_size=40))
def test_no_prefix_of_permitted_attempts_breaks_a_cap(caps: SpendCaps, steps: list[tuple[int, int, bool, int]]) -> None:
    """Five nonces, attempts at any price, cancels included; every nonce stays open, the worst the caps can meet."""
    now, block = 10**6, 1
    attempts: list[Attempted] = []
    booked: dict[int, Spend] = {}
    for nonce, price, liquidation, wait in steps:
        now, block = now + wait, block + (wait > 0)
        kind = booked[nonce].for_liquidation if nonce in booked else liquidation
        held = exposure(a for a in attempts if a.nonce in booked and booked[a.nonce].for_liquidation)
        books = Books(block, now, tuple(booked.values()), exposure(attempts), held)
        before = max((a.worst for a in attempts if a.nonce == nonce), default=0)
        if permit(Ask(price, before, for_liquidation=kind), books, caps) is not None:
            continue
        attempts.append(Attempted("key", nonce, 1, price))
        first = booked.get(nonce, Spend(block, now, 0, kind))
        booked[nonce] = Spend(first.block_number, first.timestamp, max(before, price), kind)
        assert price <= caps.per_transaction
        assert exposure(attempts) <= caps.exposure
        others = exposure(a for a in attempts if not booked[a.nonce].for_liquidation)
        assert others <= caps.exposure - caps.exposure * caps.reserved_ppm // 10**6
        assert sum(s.wei for s in booked.values() if s.timestamp > now - 86_400) <= max(caps.per_day, 0) or (
            before > 0 and price <= before
        )


@given(AMOUNT, AMOUNT, AMOUNT, st.integers(0, 10**6))
def test_liquidations_always_have_at_least_the_room_of_others(
    total: int, liquidations: int, others: int, reserved: int
) -> None:
    mine = room(total, liquidations, others, reserved, for_liquidation=True)
    theirs = room(total, liquidations, others, reserved, for_liquidation=False)
    assert 0 <= theirs <= mine <= total


@given(st.lists(st.builds(Attempted, st.just("key"), st.integers(0, 3), AMOUNT, AMOUNT)))
def test_exposure_is_what_the_worst_choice_of_one_attempt_a_nonce_costs(attempts: list[Attempted]) -> None:
    worst = {nonce: [a.worst for a in attempts if a.nonce == nonce] for nonce in {a.nonce for a in attempts}}
    assert exposure(attempts) == sum(sorted(costs)[-1] for costs in worst.values())
    assert exposure(attempts) >= max((a.worst for a in attempts), default=0)
