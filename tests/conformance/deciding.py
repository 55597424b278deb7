"""What the keeper would do now: decided on what the adapter under trial has read, not by the world's own hand."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from engine.margin.perp import margin
from keeper.chain import Block
from keeper.decide import Known, Policy, decide
from keeper.market import Prices
from keeper.memory import Memory
from keeper.plans import Held, Liquidate, Plan
from keeper.portfolios import PortfolioLine, PortfolioPolicy
from keeper.snapshot import assemble, judge
from keeper.units import WAD_DECIMALS, to_float
from keeper.venues.base import VenueState
from tests.conformance.contract import NotDecided

P = TypeVar("P", bound=Plan)
LIQUIDATING: Final = Policy("", True, False, 0.0, 50, 3, ())
"""By a keeper that counts on room for all of it."""
NOTHING_KNOWN: Final = Known({}, {}, {})


def liquidations(venue: Any, block: Block, accounts: Sequence[str]) -> list[Liquidate]:
    """Return what of a perpetual venue the keeper would take over, at the venue's own prices."""
    state = venue.read(block, accounts)
    prices = undoubted(state)
    verdicts = judge(venue, state, prices, margin(*assemble(state, prices)))
    return _of(Liquidate, *decide(state, prices, verdicts, NOTHING_KNOWN, LIQUIDATING))


def decisions(venue: Any, block: Block, accounts: Sequence[str], policy: PortfolioPolicy, kind: type[P]) -> list[P]:
    """Return what the keeper would do at a portfolio venue, of this kind."""
    sight = PortfolioLine(venue, policy, lambda _: Memory()).read(block, accounts, ())
    return _of(kind, *sight.decisions(sight.verdicts()))


def undoubted(state: VenueState) -> Prices:
    """Return the venue's prices as if its feeds had confirmed them."""
    marks = tuple(to_float(m.mark, WAD_DECIMALS) for m in state.markets)
    tokens = tuple(to_float(c.price, c.price_decimals) for c in state.collaterals)
    return Prices(marks, ("",) * len(marks), tokens, ("",) * len(tokens))


def _of(kind: type[P], plans: Sequence[Plan], holds: Sequence[Held]) -> list[P]:
    found = [plan for plan in plans if isinstance(plan, kind)]
    if not found:
        why = "; ".join(f"{held.subject}: {held.reason}" for held in holds)
        raise NotDecided(f"no {kind.kind}, {why or 'and nothing was held back'}")
    return found
