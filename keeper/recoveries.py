"""Whose auction to end: accounts that were topped up or reduced, or that prices have brought back.

The contract ends an auction for whoever shows equity of at least MM by every statement that can be read. Here all of
them must, and the proof by each underlying's worst row, of which the one that started the auction is never worse: then
nothing shows a shortfall, and no start follows the end. `end_excess` keeps a price that swings around MM from starting
and ending it over and over.
"""

from collections.abc import Mapping

from keeper.auctions import AuctionPolicy, Standing
from keeper.memory import Memory
from keeper.plans import ANY_SEQUENCE, EndAuction, Held, end_effect
from keeper.twin.margin import by_legs
from keeper.twin.records import Check
from keeper.twin.world import MarginRefused, World
from keeper.units import PPM_DECIMALS, WAD_DECIMALS, to_float
from keeper.venues.portfolio import PortfolioState


def recoveries(
    state: PortfolioState,
    standings: Mapping[str, Standing],
    policy: AuctionPolicy,
    memory: Memory,
    lifetime_blocks: int,
) -> tuple[list[EndAuction], list[Held]]:
    """Return the ends due, and why each other account that is in auction without a shortfall stays there."""
    plans: list[EndAuction] = []
    holds: list[Held] = []
    for found in standings.values():
        auction = found.account.auction_id
        if found.below or not auction:
            continue
        effect = end_effect(state.venue, found.account.name, auction)
        checks = statements(found, state.world)
        reason = (
            memory.barred.get(found.account.name) or _not_ended(checks, found, policy) or _already_asked(effect, memory)
        )
        if reason:
            holds.append(Held(found.account.name, f"in auction {auction}: {reason}"))
        else:
            sequence = ANY_SEQUENCE if memory.missed(effect) else found.account.sequence
            plans.append(_end(state, found, checks, sequence, policy, lifetime_blocks))
    return plans, holds


def statements(found: Standing, world: World) -> tuple[Check, ...]:
    """Return every statement that can be read and so counts; empty where the contract could not be shown enough."""
    if found.proof is None:
        return ()
    sets = [check for check in (found.newest, found.settled) if check is not None]
    if not sets:  # the contract then asks for the bound without netting
        try:
            sets = [by_legs(found.account.book, world)]
        except MarginRefused:
            return ()
    return (found.proof, *sets)


def _not_ended(checks: tuple[Check, ...], found: Standing, policy: AuctionPolicy) -> str:
    if not policy.end:
        return "portfolio.end is off"
    if not checks:
        return f"cannot be shown to be at or above MM: {found.why or 'neither arrays nor slices can be used'}"
    if any(check.excess < 0 for check in checks):
        return "not every statement shows MM"
    if any(check.excess * 10**PPM_DECIMALS < check.mm * policy.end_excess for check in checks):
        return f"above MM by less than portfolio.end_excess, {to_float(policy.end_excess, PPM_DECIMALS):.2%} of it"
    return ""


def _already_asked(effect: str, memory: Memory) -> str:
    if effect in memory.under_way:
        return "its end is under way"
    return "the chain refused its end a few blocks ago" if effect in memory.refused else ""


def _end(
    state: PortfolioState,
    found: Standing,
    checks: tuple[Check, ...],
    sequence: int,
    policy: AuctionPolicy,
    lifetime_blocks: int,
) -> EndAuction:
    return EndAuction(
        venue=state.venue,
        account=found.account.name,
        auction_id=found.account.auction_id,
        sequence=sequence,
        legs=len(found.account.book.legs),
        excess=to_float(min(check.excess for check in checks), WAD_DECIMALS),
        deadline=state.block.timestamp + policy.deadline_s,
        expires_at=state.block.number + lifetime_blocks,
    )
