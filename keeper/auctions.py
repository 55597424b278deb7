"""Whose auction to start and what to buy: from standings to plans, with a reason for everybody left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from keeper.memory import Memory
from keeper.plans import ANY_SEQUENCE, Held, Plan, StartAuction, TakeAuction, start_effect, take_effect
from keeper.twin.auction import NO_SCENARIOS, NotBelowMaintenance, NothingToTake, Payment, Take, after, discount, take
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays, by_legs, by_scenario, by_settled_arrays
from keeper.twin.records import Book, Check
from keeper.twin.world import MarginRefused, World
from keeper.units import WAD_DECIMALS, to_base, to_float
from keeper.venues.portfolio import PortfolioAccount, PortfolioState

HALVINGS: Final = 5
"""A taker without room for a sixteenth of an auction leaves it to others."""


ROUNDING_USD: Final = 1e-6
"""The contract rounds a price up: in the block of its start an auction has no discount yet, and a take breaks even but
for a wei. A keeper that asks for no profit does not wait for the next block."""


@dataclass(frozen=True, slots=True)
class AuctionPolicy:
    """What the operator allows."""

    start: bool
    take: bool
    takers: tuple[str, ...]  # the accounts that buy, one auction each at a time
    min_shortfall_usd: float
    min_profit_usd: float
    max_a_tick: int
    deadline_s: int  # of every call, from the block it is decided at
    end: bool
    end_excess: int  # of equity over MM before an auction is ended, parts per million of MM


@dataclass(frozen=True, slots=True)
class Standing:
    """What can be shown of one account at one block; None where the contract would refuse to say."""

    account: PortfolioAccount
    proof: Check | None  # by the scenarios below, recomputed from the newest report and slices
    scenarios: int  # the worst row an underlying
    newest: Check | None  # by the newest epochs' arrays
    settled: Check | None
    why: str  # there is no proof, '' where there is

    def withheld(self, why: str) -> "Standing":
        """Return the account's standing when its statements are not believed: nothing can be shown."""
        return replace(self, proof=None, newest=None, settled=None, why=why)

    @property
    def by_arrays(self) -> bool:
        """Whether the published arrays show a shortfall: the newest and the settled ones must agree."""
        return all(check is not None and check.excess < 0 for check in (self.newest, self.settled))

    @property
    def by_proof(self) -> bool:
        return self.proof is not None and self.proof.excess < 0

    @property
    def below(self) -> bool:
        return self.by_arrays or self.by_proof

    @property
    def shown(self) -> Check | None:
        """The statement to report: what a proof would say, and where there is none, the newest arrays'."""
        if self.by_arrays and not self.by_proof:
            return self.newest
        return self.proof or self.newest

    @property
    def shortfall(self) -> float:
        """USD, > 0 when below MM."""
        shown = self.shown
        return 0.0 if shown is None else to_float(-shown.excess, WAD_DECIMALS)


def liquidations(
    state: PortfolioState,
    standings: Mapping[str, Standing],
    policy: AuctionPolicy,
    memory: Memory,
    lifetime_blocks: int,
) -> tuple[list[Plan], list[Held]]:
    """Return starts and then takes, largest shortfall first but what the chain just refused after all others."""
    plans: list[Plan] = []
    holds: list[Held] = []
    urgent = sorted(
        (s for s in standings.values() if s.below),
        key=lambda s: (start_effect(state.venue, s.account.name) in memory.refused, -s.shortfall, s.account.name),
    )
    starting, running = [s for s in urgent if not s.account.auction_id], [s for s in urgent if s.account.auction_id]
    expires_at, deadline = state.block.number + lifetime_blocks, state.block.timestamp + policy.deadline_s
    for found in starting:
        reason = _not_started(state, found, policy, memory, len(plans))
        if reason:
            holds.append(Held(found.account.name, reason))
        else:
            plans.append(_start(state, found, memory, deadline, expires_at))
    takes, kept = _takes(state, standings, running, policy, memory, deadline, expires_at)
    return plans + takes, holds + kept


def _not_started(state: PortfolioState, found: Standing, policy: AuctionPolicy, memory: Memory, planned: int) -> str:
    if not policy.start:
        return "policy.liquidate is off"
    if found.account.name in policy.takers:
        return "the keeper's own account: add collateral"
    if found.account.name in memory.barred:
        return memory.barred[found.account.name]
    if start_effect(state.venue, found.account.name) in memory.under_way:
        return "already under way"
    if found.shortfall < policy.min_shortfall_usd:
        return f"shortfall {found.shortfall:.2f} USD below policy.min_shortfall_usd"
    if planned >= policy.max_a_tick:
        return f"policy.max_liquidations_per_tick {policy.max_a_tick} reached"
    return ""


def _start(state: PortfolioState, found: Standing, memory: Memory, deadline: int, expires_at: int) -> StartAuction:
    missed = memory.missed(start_effect(state.venue, found.account.name))
    return StartAuction(
        venue=state.venue,
        account=found.account.name,
        sequence=ANY_SEQUENCE if missed else found.account.sequence,  # it shows the shortfall all the same
        by_arrays=found.by_arrays,
        scenarios=NO_SCENARIOS if found.by_arrays else found.scenarios,
        legs=len(found.account.book.legs),
        shortfall=found.shortfall,
        deadline=deadline,
        expires_at=expires_at,
    )


# --- takes ---------------------------------------------------------------------------------------------


def _takes(
    state: PortfolioState,
    standings: Mapping[str, Standing],
    running: Sequence[Standing],
    policy: AuctionPolicy,
    memory: Memory,
    deadline: int,
    expires_at: int,
) -> tuple[list[Plan], list[Held]]:
    """Return at most one take a taker: each raises his sequence, so a second one would not find what it expects."""
    plans: list[Plan] = []
    holds: list[Held] = []
    open_takes = [effect for effect in memory.under_way if effect.startswith(f"{state.venue}:take_auction:")]
    busy, taken = {e.split(":")[2] for e in open_takes}, {e.split(":", 3)[3] for e in open_takes}
    known = [standings[name] for name in policy.takers if name in standings and standings[name].shown is not None]
    free = [taker for taker in known if taker.account.name not in busy]
    for found in running:
        auction = f"{found.account.name}:{found.account.auction_id}"
        answer = (
            "already under way" if auction in taken else _take(state, found, free, policy, memory, deadline, expires_at)
        )
        if isinstance(answer, str):
            holds.append(Held(found.account.name, f"in auction {found.account.auction_id}: {answer}"))
        else:
            plan, paid = answer
            plans.append(plan)
            free = [taker for taker in free if taker.account.name != plan.taker]
            # The next one counts on what this one leaves of the fund: should it not come, the price is the lower.
            bonus = state.bonus.spend(paid.bonus, state.block.timestamp)
            state = replace(state, fund=state.fund - paid.from_fund, bonus=bonus)
    return plans, holds


def _take(
    state: PortfolioState,
    found: Standing,
    free: Sequence[Standing],
    policy: AuctionPolicy,
    memory: Memory,
    deadline: int,
    expires_at: int,
) -> tuple[TakeAuction, Payment] | str:
    """Return what to buy of one account in auction and what that pays, or why nothing."""
    if not policy.take:
        return "portfolio.take is off"
    if found.account.name in memory.barred:
        return memory.barred[found.account.name]
    taker = next((taker for taker in free if taker.account.name != found.account.name), None)
    if taker is None:
        return f"none of the {len(policy.takers)} takers is free and known here"
    offer = affordable(state, found, taker.account.book)
    if isinstance(offer, str):
        return offer
    taken, way = offer
    worth = by_scenario(taken.part, state.world, NO_SCENARIOS).equity
    profit = to_float(worth - taken.payment.price, WAD_DECIMALS)
    if profit < policy.min_profit_usd - ROUNDING_USD:
        return f"expected profit {profit:,.2f} USD below portfolio.min_profit_usd"
    missed = memory.missed(take_effect(state.venue, taker.account.name, found.account.name, found.account.auction_id))
    plan = TakeAuction(
        venue=state.venue,
        account=found.account.name,
        taker=taker.account.name,
        auction_id=found.account.auction_id,
        sequence=ANY_SEQUENCE if missed else found.account.sequence,
        taker_sequence=ANY_SEQUENCE if missed else taker.account.sequence,
        max_fraction=taken.fraction,
        max_price=taken.quote + (spare(profit, policy.min_profit_usd, taken.fraction) if missed else 0),
        by_arrays=way is Way.ARRAYS,
        scenarios=NO_SCENARIOS if way is Way.ARRAYS else found.scenarios,
        taker_by_legs=way is Way.PROOF_AND_LEGS,
        legs=len(found.account.book.legs) + len(taker.account.book.legs),
        profit=profit,
        deadline=deadline,
        expires_at=expires_at,
    )
    return plan, taken.payment


def spare(profit: float, least: float, fraction: int) -> int:
    """Return how much dearer the whole account may get, USD wad, so that a part still leaves the least profit.

    A deposit before a take raises what is bought and its price alike, so the price as read would hold the take up.
    """
    return to_base(profit - least, WAD_DECIMALS, up=False) * WAD // fraction


class Way(Enum):
    """How a take shows the account's shortfall and the taker's IM."""

    ARRAYS = "both sets show both"
    PROOF_AND_ARRAYS = "scenarios the shortfall, both sets the IM"
    PROOF_AND_LEGS = "scenarios the shortfall, the bound without netting the IM"


def affordable(state: PortfolioState, found: Standing, taker: Book) -> tuple[Take, Way] | str:
    """Return the largest of the takes φ, φ/2, φ/4 … that leaves the taker covered, and how to show it, or why none.

    By arrays where they show the shortfall and the taker's IM, which is cheaper; else by scenarios.
    """
    why = "nothing shows a shortfall"
    for way in Way:
        if found.by_arrays if way is Way.ARRAYS else found.by_proof:
            answer = _largest(state, found, taker, way)
            if isinstance(answer, Take):
                return answer, way
            why = answer
    return why


def _largest(state: PortfolioState, found: Standing, taker: Book, way: Way) -> Take | str:
    """Return the largest take that one way shows, or why none.

    It is the contract's own to the last integer; in a later block its discount has grown, and the taker pays less.
    """
    account, path = found.account, None if way is Way.ARRAYS else found.scenarios
    share = discount(
        state.block.timestamp - account.auction_started_at, state.auctions.discount_cap, state.auctions.growth
    )
    most, why = WAD, ""
    for _ in range(HALVINGS):
        try:
            taken = take(
                account.book, state.world, path,
                discount_bps=share, buffer=state.auctions.buffer, most=most, fund=state.fund,
                allowed=state.bonus.left(state.block.timestamp),
            )  # fmt: skip
            _, mine = after(account.book, taker, taken)
            if covered(mine, state.world, by_legs_alone=way is Way.PROOF_AND_LEGS):
                return taken
        except (NotBelowMaintenance, NothingToTake) as error:
            return why or str(error)
        except MarginRefused as error:
            return f"the taker's margin cannot be shown: {error}"
        most, why = taken.fraction // 2, "capacity: the taker would be below IM"
    return why


def covered(taker: Book, world: World, *, by_legs_alone: bool) -> bool:
    """Return whether a taker may hold this: IM by the bound that needs no arrays, or under both sets (ADR 17).

    Raises MarginRefused where what is asked says nothing.
    """
    rules = (by_legs,) if by_legs_alone else (by_arrays, by_settled_arrays)
    return all(check.equity >= check.im for check in (rule(taker, world) for rule in rules))
