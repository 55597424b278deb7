"""Whose auction to start and what to buy: from standings to plans, with a reason for everybody left alone."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from keeper.plans import Held, Plan, StartAuction, TakeAuction, start_effect
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays, by_scenario, by_settled_arrays, pack_scenarios
from keeper.twin.records import BPS, Book, Check, Holding, Leg
from keeper.twin.world import MarginRefused
from keeper.units import WAD_DECIMALS, to_float
from keeper.venues.portfolio import AuctionRules, PortfolioAccount, PortfolioState

SMALLEST_SHARE: Final = 16
"""A taker without room for a sixteenth of an auction leaves it to others."""


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


@dataclass(frozen=True, slots=True)
class Standing:
    """What can be shown of one account at one block; None where the contract would refuse to say."""

    account: PortfolioAccount
    proof: Check | None  # by the scenarios below, recomputed from the newest report and slices
    scenarios: int  # the worst row an underlying
    newest: Check | None  # by the newest epochs' arrays
    settled: Check | None
    why: str  # there is no proof, '' where there is

    @property
    def by_arrays(self) -> bool:
        """Whether the published arrays show a shortfall: the newest and the settled ones must agree."""
        both = self.newest, self.settled
        return all(check is not None and check.excess < 0 for check in both)

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
    under_way: Set[str],
    refused: Set[str],
    lifetime_blocks: int,
) -> tuple[list[Plan], list[Held]]:
    """Return starts and then takes, largest shortfall first but what the chain just refused after all others."""
    plans: list[Plan] = []
    holds: list[Held] = []
    urgent = sorted(
        (s for s in standings.values() if s.below or s.account.auction_id),
        key=lambda s: (start_effect(state.venue, s.account.name) in refused, -s.shortfall, s.account.name),
    )
    starting, running = [s for s in urgent if not s.account.auction_id], [s for s in urgent if s.account.auction_id]
    expires_at, deadline = state.block.number + lifetime_blocks, state.block.timestamp + policy.deadline_s
    for found in starting:
        reason = _not_started(state, found, policy, under_way, len(plans))
        if reason:
            holds.append(Held(found.account.name, reason))
        else:
            plans.append(_start(state, found, deadline, expires_at))
    takes, kept = _takes(state, standings, running, policy, under_way, deadline, expires_at)
    return plans + takes, holds + kept


def _not_started(
    state: PortfolioState, found: Standing, policy: AuctionPolicy, under_way: Set[str], planned: int
) -> str:
    if not policy.start:
        return "policy.liquidate is off"
    if found.account.name in policy.takers:
        return "the keeper's own account: add collateral"
    if start_effect(state.venue, found.account.name) in under_way:
        return "already under way"
    if found.shortfall < policy.min_shortfall_usd:
        return f"shortfall {found.shortfall:.2f} USD below policy.min_shortfall_usd"
    if planned >= policy.max_a_tick:
        return f"policy.max_liquidations_per_tick {policy.max_a_tick} reached"
    return ""


def _start(state: PortfolioState, found: Standing, deadline: int, expires_at: int) -> StartAuction:
    return StartAuction(
        venue=state.venue,
        account=found.account.name,
        sequence=found.account.sequence,
        by_arrays=found.by_arrays,
        scenarios=pack_scenarios({}) if found.by_arrays else found.scenarios,
        legs=len(found.account.book.legs),
        shortfall=found.shortfall,
        deadline=deadline,
        expires_at=expires_at,
    )


# --- takes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """What the auction of one account asks for now. USD wad; AuctionMath.sol tells the rules."""

    equity: int  # at the marks, signed
    mm: int  # by the path that shows the shortfall
    discount: int  # D on the whole account
    fraction: int  # largest that restores to the buffer, wad: concentration may make it smaller

    @property
    def price(self) -> int:
        """Of the whole account, E − D; negative: the taker is paid."""
        return self.equity - self.discount


def offered(found: Standing, state: PortfolioState) -> Offer | None:
    """Return the present offer, or None where the account is not shown to be below MM."""
    try:
        equity = by_scenario(found.account.book, state.world, pack_scenarios({})).equity
    except MarginRefused:
        return None
    if found.by_arrays and found.newest is not None and found.settled is not None:
        mm = min(found.newest.mm, found.settled.mm)
    elif found.proof is not None:
        mm = found.proof.mm
    else:
        return None
    if equity >= mm:
        return None
    discount = mm * discount_now(state.auctions, state.block.timestamp - found.account.auction_started_at) // BPS
    return Offer(equity, mm, discount, _largest(equity, mm, discount, state.auctions.buffer))


def discount_now(rules: AuctionRules, elapsed: int) -> int:
    """Return the discount `elapsed` seconds into an auction, BPS of MM. As Auctions.discount."""
    return rules.discount_cap * elapsed // rules.growth if elapsed < rules.growth else rules.discount_cap


def _largest(equity: int, mm: int, discount: int, buffer: int) -> int:
    """Return φ of E − φ·min(D, E) = (1 + buffer)(1 − φ)·MM, at most 1, wad; 1 for E <= 0."""
    target = mm * (BPS + buffer) // BPS
    borne = min(discount, equity)
    if equity <= 0 or target <= borne:
        return WAD
    return min(WAD, max(0, (target - equity) * WAD // (target - borne)))


def _takes(
    state: PortfolioState,
    standings: Mapping[str, Standing],
    running: Sequence[Standing],
    policy: AuctionPolicy,
    under_way: Set[str],
    deadline: int,
    expires_at: int,
) -> tuple[list[Plan], list[Held]]:
    """Return at most one take a taker: each raises his sequence, so a second one would not find what it expects."""
    plans: list[Plan] = []
    holds: list[Held] = []
    busy = {effect.split(":")[2] for effect in under_way if effect.startswith(f"{state.venue}:take_auction:")}
    taken = {effect.split(":", 3)[3] for effect in under_way if effect.startswith(f"{state.venue}:take_auction:")}
    free = [standings[name] for name in policy.takers if name in standings and name not in busy]
    for found in running:
        auction = f"{found.account.name}:{found.account.auction_id}"
        plan = "already under way" if auction in taken else _take(state, found, free, policy, deadline, expires_at)
        if isinstance(plan, TakeAuction):
            plans.append(plan)
            free = [taker for taker in free if taker.account.name != plan.taker]
        else:
            holds.append(Held(found.account.name, f"in auction {found.account.auction_id}: {plan}"))
    return plans, holds


def _take(
    state: PortfolioState,
    found: Standing,
    free: Sequence[Standing],
    policy: AuctionPolicy,
    deadline: int,
    expires_at: int,
) -> TakeAuction | str:
    """Return what to buy of one account in auction, or why nothing."""
    if not policy.take:
        return "portfolio.take is off"
    taker = next((taker for taker in free if taker.account.name != found.account.name), None)
    if taker is None:
        return f"none of the {len(policy.takers)} takers is free and known here"
    offer = offered(found, state)
    if offer is None:
        return "not shown to be below MM now"
    fraction = _affordable(state, found, taker, offer)
    if isinstance(fraction, str):
        return fraction
    profit = to_float(offer.discount * fraction // WAD, WAD_DECIMALS)
    if profit < policy.min_profit_usd:
        return f"expected profit {profit:,.2f} USD below policy.min_profit_usd"
    return TakeAuction(
        venue=state.venue,
        account=found.account.name,
        taker=taker.account.name,
        auction_id=found.account.auction_id,
        sequence=found.account.sequence,
        taker_sequence=taker.account.sequence,
        max_fraction=WAD if fraction == offer.fraction else fraction,
        max_price=offer.price,
        by_arrays=found.by_arrays,
        scenarios=pack_scenarios({}) if found.by_arrays else found.scenarios,
        legs=len(found.account.book.legs),
        profit=profit,
        deadline=deadline,
        expires_at=expires_at,
    )


def _affordable(state: PortfolioState, found: Standing, taker: Standing, offer: Offer) -> int | str:
    """Return the largest of the fractions φ, φ/2, φ/4 … that leaves the taker at IM under both sets of arrays."""
    fraction, tries = offer.fraction, SMALLEST_SHARE
    why = "its fraction is 0"
    while tries and fraction:
        after = merged(taker.account.book, found.account.book, fraction, -offer.price * fraction // WAD)
        try:
            checks = by_arrays(after, state.world), by_settled_arrays(after, state.world)
        except MarginRefused as error:
            return f"the taker's margin cannot be shown: {error}"
        if all(check.equity >= check.im for check in checks):
            return fraction
        why = "capacity: the taker would be below IM"
        fraction, tries = fraction // 2, tries // 2
    return why


def merged(taker: Book, account: Book, fraction: int, cash: int) -> Book:
    """Return the taker's book after buying `fraction` (wad) of the account's and receiving `cash` (USD wad)."""
    sizes = {leg.instrument: leg.size for leg in taker.legs}
    for leg in account.legs:
        sizes[leg.instrument] = sizes.get(leg.instrument, 0) + _toward_zero(leg.size, fraction)
    amounts = {holding.index: holding.amount for holding in taker.collateral}
    for holding in account.collateral:
        amounts[holding.index] = amounts.get(holding.index, 0) + holding.amount * fraction // WAD
    return replace(
        taker,
        cash=taker.cash + _toward_zero(account.cash, fraction) + cash,
        legs=tuple(Leg(instrument, size) for instrument, size in sizes.items() if size),
        collateral=tuple(Holding(index, amount) for index, amount in amounts.items() if amount),
    )


def _toward_zero(amount: int, fraction: int) -> int:
    part = abs(amount) * fraction // WAD
    return part if amount >= 0 else -part
