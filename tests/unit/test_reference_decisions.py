"""Whose auction is started and what is bought, by hand: pure decisions on statements made up here."""

from dataclasses import replace

import pytest

from keeper.auctions import AuctionPolicy, Standing, liquidations, spare
from keeper.chain import Block
from keeper.errors import JournalError
from keeper.journal import plan_text
from keeper.memory import Memory
from keeper.plans import ANY_SEQUENCE, PublishArrays, StartAuction, TakeAuction, start_effect
from keeper.portfolios import verdict
from keeper.twin.auction import NO_SCENARIOS, Allowance
from keeper.twin.records import Book, Check
from keeper.twin.world import Limits, World
from keeper.venues.portfolio import AuctionRules, PortfolioAccount, PortfolioState, account_id, account_name

WAD = 10**18
ALICE, BOB, CAROL = (f"0x{name}{'0' * 36}" for name in ("a11c", "0b0b", "ca01"))
NO_BONUS = Allowance(0, 0, 0, 86_400)
ROW_4 = NO_SCENARIOS ^ 0xFF ^ 4
POLICY = AuctionPolicy(
    start=True,
    take=True,
    takers=(CAROL,),
    min_shortfall_usd=0.0,
    min_profit_usd=0.0,
    max_a_tick=10,
    deadline_s=60,
    end=True,
    end_excess=10_000,
)


def account(name: str, auction: int = 0) -> PortfolioAccount:
    return PortfolioAccount(name, 7, auction, 1_000 if auction else 0, Book(0))


def check(excess: int, mm: int = 100) -> Check:
    """Return a statement whose equity is so many dollars above an MM of 100."""
    return Check((mm + excess) * WAD, 2 * mm * WAD, mm * WAD)


def standing(
    name: str, proof: int | None, newest: int | None = None, settled: int | None = None, auction: int = 0
) -> Standing:
    shown = [None if excess is None else check(excess) for excess in (proof, newest, settled)]
    return Standing(
        account(name, auction), shown[0], ROW_4, shown[1], shown[2], "" if proof is not None else "no report"
    )


def state(*standings: Standing) -> PortfolioState:
    block = Block(100, "0xb10c", "0xb10b", 1_900, 7)
    world = World(1_900, {}, (), Limits(600, 600, 600, 600))
    accounts = tuple(s.account for s in standings)
    rules = AuctionRules(500, 500, 900, 86_400)
    return PortfolioState("reference", block, world, (), {}, rules, 0, NO_BONUS, accounts, {})


def decided(
    *standings: Standing, policy: AuctionPolicy = POLICY, **memory: frozenset[str]
) -> tuple[list, dict[str, str]]:
    by_name = {s.account.name: s for s in standings}
    plans, holds = liquidations(state(*standings), by_name, policy, Memory(**memory), 3)
    return plans, {hold.subject: hold.reason for hold in holds}


# --- who is below maintenance --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proof", "newest", "settled", "status"),
    [
        (0, 0, 0, "healthy"),  # equity equal to MM satisfies it
        (-1, 5, 5, "endangered"),  # one scenario proves it, whatever was published
        (5, -1, -1, "endangered"),  # both sets of arrays say so
        (5, -1, 5, "healthy"),  # the newest alone may be false
        (5, 5, -1, "healthy"),
        (5, None, None, "healthy"),  # stale arrays do not make unknown what a proof can show
        (None, 5, 5, "healthy"),
        (None, -1, -1, "endangered"),
        (None, None, None, "unknown"),
        (None, None, 5, "unknown"),  # the settled arrays alone are ten minutes old
    ],
)
def test_what_may_be_shown_decides_the_verdict(
    proof: int | None, newest: int | None, settled: int | None, status: str
) -> None:
    found = standing(ALICE, proof, newest, settled)
    assert verdict(found.account, found).status == status


def test_an_unknown_account_is_neither_started_nor_called_healthy() -> None:
    found = standing(ALICE, None)
    assert decided(found) == ([], {})
    shown = verdict(found.account, found)
    assert (shown.status, shown.reason) == ("unknown", "no report")
    assert shown.health != shown.health  # NaN


# --- what is started -----------------------------------------------------------------------------------


def test_a_start_says_whom_how_and_until_when() -> None:
    (plan,), holds = decided(standing(ALICE, -40, 5, 5))
    assert plan == StartAuction("reference", ALICE, 7, False, ROW_4, 0, 40.0, 1_960, 103)
    assert not holds


def test_arrays_are_the_cheaper_proof_where_both_sets_agree() -> None:
    (plan,), _ = decided(standing(ALICE, -40, -30, -20))
    assert (plan.by_arrays, plan.scenarios) == (True, NO_SCENARIOS)


def test_the_largest_shortfall_comes_first_but_what_was_refused_last() -> None:
    both = standing(ALICE, -10), standing(BOB, -20)
    assert [p.account for p in decided(*both)[0]] == [BOB, ALICE]
    refused = frozenset({start_effect("reference", BOB)})
    assert [p.account for p in decided(*both, refused=refused)[0]] == [ALICE, BOB]


@pytest.mark.parametrize("miss", ["refused", "failed"])
def test_a_start_that_came_to_nothing_is_tried_again_at_any_sequence(miss: str) -> None:
    """Else an owner who deposits a unit in every block would be ahead of it for ever."""
    both = standing(ALICE, -10), standing(BOB, -20)
    plans, _ = decided(*both, **{miss: frozenset({start_effect("reference", BOB)})})
    assert {p.account: p.sequence for p in plans} == {BOB: ANY_SEQUENCE, ALICE: 7}


@pytest.mark.parametrize(("fraction", "dearer"), [(WAD, 40 * WAD), (WAD // 4, 160 * WAD)])
def test_a_dearer_account_leaves_the_least_profit_on_the_part_bought(fraction: int, dearer: int) -> None:
    assert spare(50.0, 10.0, fraction) == dearer
    assert spare(10.0, 10.0, fraction) == 0


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (replace(POLICY, start=False), "policy.liquidate is off"),
        (replace(POLICY, takers=(ALICE,)), "own account"),
        (replace(POLICY, min_shortfall_usd=40.01), "below policy.min_shortfall_usd"),
        (replace(POLICY, max_a_tick=0), "max_liquidations_per_tick 0 reached"),
    ],
)
def test_everyone_left_alone_has_a_reason(policy: AuctionPolicy, reason: str) -> None:
    plans, holds = decided(standing(ALICE, -40), policy=policy)
    assert plans == []
    assert reason in holds[ALICE]


def test_a_start_under_way_is_not_repeated() -> None:
    plans, holds = decided(standing(ALICE, -40), under_way=frozenset({start_effect("reference", ALICE)}))
    assert (plans, holds) == ([], {ALICE: "already under way"})


def test_an_account_in_auction_is_not_started_again() -> None:
    plans, holds = decided(standing(ALICE, -40, auction=3))
    assert plans == []
    assert holds[ALICE].startswith("in auction 3: none of the 1 takers is free")


def test_a_taker_busy_with_another_auction_buys_nothing_more() -> None:
    busy = frozenset({take().effect})
    plans, holds = decided(standing(ALICE, -40, auction=3), standing(CAROL, 500), under_way=busy)
    assert plans == []
    assert "takers is free" in holds[ALICE]


# --- plans ---------------------------------------------------------------------------------------------


def take() -> TakeAuction:
    return TakeAuction("reference", BOB, CAROL, 9, 7, 1, WAD, -(10**21), False, ROW_4, True, 12, 3.5, 1_960, 103)


def publication(expiry: int, report: str = "11") -> PublishArrays:
    ids = ("0x" + report * 32, "0x" + "22" * 32)
    return PublishArrays("reference", 0, expiry, *ids, 1, "0x" + "33" * 32, "0x" + "00" * 264, "moved", 103)


@pytest.mark.parametrize(
    "plan", [take(), publication(5), StartAuction("reference", ALICE, 7, False, ROW_4, 12, 40.0, 1_960, 103)]
)
def test_a_stored_plan_is_the_plan_that_was_decided(plan: TakeAuction | PublishArrays | StartAuction) -> None:
    """Scenarios have 256 bits and prices may be negative: nothing of them is lost on the way."""
    assert plan_text.decode(plan.kind, plan_text.encode(plan)) == plan


def test_a_plan_of_a_later_version_is_refused() -> None:
    with pytest.raises(JournalError, match="publish_arrays"):
        plan_text.decode("bid_auction", "{}")


def test_a_publication_counts_its_options() -> None:
    assert publication(5).options == 2


@pytest.mark.parametrize(("owner", "sub"), [(ALICE, 0), (BOB, 1), (CAROL, 2**96 - 1)])
def test_an_accounts_name_gives_its_id_back(owner: str, sub: int) -> None:
    number = int(owner, 16) << 96 | sub
    name = account_name(number, owner)
    assert account_id(name) == number
    assert len(name) <= 80  # as the journal holds it


def test_ids_of_two_sub_accounts_have_different_names() -> None:
    assert account_name(int(ALICE, 16) << 96, ALICE) == ALICE
    assert account_name(int(ALICE, 16) << 96 | 12, ALICE) == f"{ALICE}/12"


def test_who_is_quarantined_is_neither_started_nor_bought() -> None:
    state_of = [standing(ALICE, -40), standing(BOB, -40, auction=3), standing(CAROL, 500)]
    by_name = {s.account.name: s for s in state_of}
    memory = Memory(barred={ALICE: "out", BOB: "out"})
    plans, holds = liquidations(state(*state_of), by_name, replace(POLICY, take=True), memory, 3)
    assert plans == []
    assert {hold.subject: hold.reason for hold in holds} == {ALICE: "out", BOB: "in auction 3: out"}
