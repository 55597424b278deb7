"""Whose auction is ended, by hand: every statement that can be read must show MM, and no start may follow."""

from dataclasses import replace

import pytest

from keeper.auctions import AuctionPolicy, Standing, liquidations
from keeper.chain import Block
from keeper.journal import plan_text
from keeper.memory import Memory
from keeper.plans import ANY_SEQUENCE, EndAuction, Plan, end_effect
from keeper.recoveries import recoveries
from keeper.twin.auction import NO_SCENARIOS, Allowance
from keeper.twin.records import Book, Check, Instrument, Leg
from keeper.twin.world import Limits, World
from keeper.venues.portfolio import AuctionRules, PortfolioAccount, PortfolioState

WAD = 10**18
ALICE = "0xa11c" + "0" * 36
MM = 100
POLICY = AuctionPolicy(
    start=True, take=True, takers=(), min_shortfall_usd=0.0, min_profit_usd=0.0, max_a_tick=10, deadline_s=60,
    end=True, end_excess=10_000,
)  # fmt: skip
LATER = Instrument(0, 10_000, 3_000 * 10**8, True, 0)


def check(excess: int | None) -> Check | None:
    """Return a statement whose equity is so many dollars above an MM of 100."""
    return None if excess is None else Check((MM + excess) * WAD, 2 * MM * WAD, MM * WAD)


def standing(proof: int | None, newest: int | None, settled: int | None, book: Book | None = None) -> Standing:
    account = PortfolioAccount(ALICE, 7, 3, 1_000, book or Book(0))
    return Standing(account, check(proof), NO_SCENARIOS, check(newest), check(settled), "" if proof else "no report")


def decided(
    found: Standing, policy: AuctionPolicy = POLICY, under_way: frozenset[str] = frozenset(),
    refused: frozenset[str] = frozenset(), failed: frozenset[str] = frozenset(),
) -> tuple[list[EndAuction], list[str], list[Plan]]:  # fmt: skip
    """Return the ends, why there is none, and what else is planned of the same account."""
    block = Block(100, "0xb10c", "0xb10b", 1_900, 7)
    world = World(1_900, {}, (), Limits(600, 600, 600, 600))
    rules = AuctionRules(500, 500, 900, 86_400)
    state = PortfolioState(
        "reference", block, world, (), {}, rules, 0, Allowance(0, 0, 0, 86_400), (found.account,), {}
    )
    memory = Memory(under_way, refused, failed)
    plans, holds = recoveries(state, {ALICE: found}, policy, memory, 3)
    others, _ = liquidations(state, {ALICE: found}, policy, memory, 3)
    return plans, [hold.reason for hold in holds], others


def test_an_end_says_whose_which_and_until_when() -> None:
    plans, holds, others = decided(standing(50, 40, 30))
    assert plans == [EndAuction("reference", ALICE, 3, 7, 0, 30.0, 1_960, 103)]
    assert (holds, others) == ([], [])
    assert plan_text.decode("end_auction", plan_text.encode(plans[0])) == plans[0]
    assert plans[0].effect == end_effect("reference", ALICE, 3)


def test_an_end_that_failed_is_tried_again_at_any_sequence() -> None:
    plans, _, _ = decided(standing(50, 40, 30), failed=frozenset({end_effect("reference", ALICE, 3)}))
    assert [plan.sequence for plan in plans] == [ANY_SEQUENCE]


@pytest.mark.parametrize(
    ("proof", "newest", "settled", "ends"),
    [
        (1, 1, 1, True),  # 1 % of MM, the least
        (5, None, 5, True),  # the set that can be read is enough
        (5, 5, None, True),
        (5, None, None, True),  # a book without legs has MM by the bound without netting
        (5, 5, -1, False),  # the contract would refuse
        (5, -1, 5, False),
        (0, 5, 5, False),  # MM by an equality that the next block may undo
        (5, 0, 5, False),
        (None, 5, 5, False),  # nobody can show what the proof that started it says now
    ],
)
def test_every_statement_that_can_be_read_must_show_maintenance(
    proof: int | None, newest: int | None, settled: int | None, ends: bool
) -> None:
    plans, holds, _ = decided(standing(proof, newest, settled))
    assert (len(plans), len(holds)) == (int(ends), int(not ends))


def test_without_arrays_and_slices_nothing_can_be_shown() -> None:
    plans, (reason,), _ = decided(standing(5, None, None, Book(0, (Leg(LATER, WAD),))))
    assert plans == []
    assert "neither arrays nor slices" in reason


@pytest.mark.parametrize(("proof", "newest", "settled"), [(-1, 5, 5), (5, -1, -1)])
def test_who_is_below_is_never_ended(proof: int, newest: int, settled: int) -> None:
    assert decided(standing(proof, newest, settled), replace(POLICY, take=False))[:2] == ([], [])


def test_an_end_and_a_start_never_follow_each_other_on_one_state() -> None:
    """Whatever the statements are: where the end is due, the account without its auction is not started."""
    shown = (None, -1, 0, 1, 5)
    for found in (standing(p, n, s) for p in shown for n in shown for s in shown):
        if decided(found, replace(POLICY, end_excess=0))[0]:
            out = replace(found, account=replace(found.account, auction_id=0, auction_started_at=0))
            assert decided(out) == ([], [], [])


def test_a_price_that_swings_around_maintenance_ends_nothing() -> None:
    """At 0.5 % above and below: 1 % is wanted, so a start stays started; at zero excess it would flap."""
    swings = [replace(standing(1, 1, 1), proof=Check(199 * WAD, 0, 200 * WAD)), standing(0, 0, 0)] * 5
    assert not any(decided(found)[0] for found in swings)
    assert decided(standing(0, 0, 0), replace(POLICY, end_excess=0))[0]


@pytest.mark.parametrize(
    ("memory", "reason"), [("under_way", "its end is under way"), ("refused", "refused its end a few blocks ago")]
)
def test_an_end_asked_for_is_not_asked_again(memory: str, reason: str) -> None:
    asked = frozenset({end_effect("reference", ALICE, 3)})
    plans, (why,), _ = decided(standing(5, 5, 5), **{memory: asked})  # type: ignore[arg-type]
    assert plans == []
    assert why.endswith(reason)
    other = frozenset({end_effect("reference", ALICE, 2)})
    assert decided(standing(5, 5, 5), **{memory: other})[0]  # type: ignore[arg-type]


def test_the_operator_may_leave_it_to_the_owners() -> None:
    plans, holds, _ = decided(standing(5, 5, 5), replace(POLICY, end=False))
    assert (plans, holds) == ([], ["in auction 3: portfolio.end is off"])
