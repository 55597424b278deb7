"""The two kinds of venue under one roof: reading, naming and judging accounts as the keeper itself does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keeper.chain import Block
from keeper.portfolios import fresh_world, standing
from keeper.twin.margin import by_arrays
from keeper.twin.records import MarginParameters
from keeper.units import Wad
from keeper.venues.base import Account, VenueState
from keeper.venues.portfolio import PortfolioAccount
from tests.conformance.contract import Statement

PUBLISHER = "0x" + "0" * 40
State = Any
AnyAccount = Account | PortfolioAccount


def read(venue: Any, block: Block, accounts: Sequence[str]) -> State:
    if venue.kind == "perpetual":
        return venue.read(block, accounts)
    return venue.read(block, accounts, PUBLISHER)


def name_of(account: AnyAccount) -> str:
    return account.address if isinstance(account, Account) else account.name


def names(state: State) -> tuple[str, ...]:
    return tuple(name_of(account) for account in state.accounts)


def statement(venue: Any, state: State, account: AnyAccount) -> Statement:
    """Return what the adapter's numbers come to, in integers."""
    if isinstance(account, Account):
        exact = venue.exact(state, account)
        return Statement(exact.equity, exact.im, exact.mm)
    check = by_arrays(account.book, state.world)
    return Statement(check.equity, check.im, check.mm)


def parts(venue: Any, state: State) -> dict[str, object]:
    """Return all that a state says, by what it is about; accounts of perpetuals by what they come to, since their
    rows among the markets move where a market is missing. A name decides nothing."""
    if isinstance(state, VenueState):
        found: dict[str, object] = {"settlement decimals": state.settlement_decimals, "parameters": state.parameters}
        found |= {f"market {m.address}": replace(m, name="") for m in state.markets}
        found |= {f"collateral {c.address}": replace(c, name="") for c in state.collaterals}
        return found | {f"account {a.address}": statement(venue, state, a) for a in state.accounts}
    found = {name: getattr(state, name) for name in ("auctions", "fund", "bonus")}
    found |= {"ages": state.world.limits, "collaterals": state.world.collaterals}
    found |= {f"underlying {u}": known for u, known in state.world.underlyings.items()}
    found |= {f"arrays of underlying {line.underlying}": line for line in state.lines}
    return found | {f"account {a.name}": a for a in state.accounts}


def guessed(venue: Any, before: State, after: State) -> str:
    """Return what of the later state is neither as it was before nor left out for a reason; '' where nothing is."""
    was, found = parts(venue, before), parts(venue, after)
    reasons = {f"account {name}" for name, why in after.unknown.items() if why}
    if isinstance(before, VenueState):  # who holds what is missing is unknown, or comes to something else
        reasons |= {name for name in was if name.startswith(("market ", "collateral "))}
    else:
        reasons |= {
            f"{of} {u}" for u, why in after.faults.items() if why for of in ("underlying", "arrays of underlying")
        }
    for name, value in was.items():
        if name not in found and name not in reasons:
            return f"{name} left out without a reason"
        if found.get(name, value) != value:
            return f"{name} with another {_difference(value, found[name])}"
    return ""


def _difference(before: Any, after: Any) -> str:
    fields = [f for f in getattr(before, "__slots__", ()) if getattr(before, f) != getattr(after, f)]
    return ", ".join(f"{f}, {getattr(after, f)!r:.60}" for f in fields) or f"number, {after!r:.60}"


def endangered(venue: Any, state: State, account: AnyAccount) -> bool:
    """Say what the keeper would: below MM, by any statement that the venue takes for a proof."""
    if isinstance(account, Account):
        exact = venue.exact(state, account)
        return bool(exact.equity < exact.mm)
    return standing(account, state.world, fresh_world(state)).below


def turned(account: AnyAccount) -> AnyAccount:
    """Return the account with the sign of every position turned."""
    if isinstance(account, Account):
        return replace(
            account, positions=tuple(replace(p, size=Wad(-p.size), base=Wad(-p.base)) for p in account.positions)
        )
    legs = tuple(replace(leg, size=-leg.size) for leg in account.book.legs)
    return replace(account, book=replace(account.book, legs=legs))


def scaled(account: AnyAccount, up: int, down: int = 1) -> AnyAccount:
    """Return the account with its cash times `up`, then divided by `down`."""
    if isinstance(account, Account):
        return replace(account, cash=account.cash * up // down)
    return replace(account, book=replace(account.book, cash=account.book.cash * up // down))


def emptied(account: AnyAccount, name: str) -> AnyAccount:
    """Return an account of this name that holds nothing: what a failed read must never look like."""
    if isinstance(account, Account):
        return replace(account, address=name, cash=0, owed_pnl=Wad(0), pending_fee=Wad(0), positions=(), balances=())
    return replace(account, name=name, sequence=0, book=replace(account.book, cash=0, legs=(), collateral=()))


def renamed(account: AnyAccount, name: str) -> AnyAccount:
    return replace(account, address=name) if isinstance(account, Account) else replace(account, name=name)


def cash_of(account: AnyAccount) -> int:
    return account.cash if isinstance(account, Account) else account.book.cash


def with_cash(account: AnyAccount, cash: int) -> AnyAccount:
    if isinstance(account, Account):
        return replace(account, cash=cash)
    return replace(account, book=replace(account.book, cash=cash))


def positions_of(account: AnyAccount) -> int:
    return len(account.positions if isinstance(account, Account) else account.book.legs)


def live_positions_of(account: AnyAccount) -> int:
    """Return how many positions are of any size: a market may stay on a list without one."""
    return sum(p.size != 0 for p in (account.positions if isinstance(account, Account) else account.book.legs))


def collaterals_of(account: AnyAccount) -> tuple[int, ...]:
    """Return the rows, among the venue's collaterals, of those it holds."""
    if isinstance(account, Account):
        return tuple(balance.collateral for balance in account.balances)
    return tuple(holding.index for holding in account.book.collateral)


def without_last_collateral(account: AnyAccount) -> AnyAccount:
    if isinstance(account, Account):
        return replace(account, balances=account.balances[:-1])
    return replace(account, book=replace(account.book, collateral=account.book.collateral[:-1]))


def decimals_of(state: State) -> tuple[int, ...]:
    """Return every collateral's decimals."""
    return tuple(c.decimals for c in _collaterals(state))


def with_decimals(state: State, row: int, decimals: int) -> State:
    """Return the state with other decimals of one collateral."""
    found = _collaterals(state)
    found = (*found[:row], replace(found[row], decimals=decimals), *found[row + 1 :])
    if isinstance(state, VenueState):
        return replace(state, collaterals=found)
    return replace(state, world=replace(state.world, collaterals=found))


def _collaterals(state: State) -> tuple[Any, ...]:
    found: tuple[Any, ...] = (state if isinstance(state, VenueState) else state.world).collaterals
    return found


def with_margins_swapped(state: State) -> State:
    """Return the state with what makes IM in place of what makes MM."""
    if isinstance(state, VenueState):
        p = state.parameters
        return replace(state, parameters=replace(p, im_ratio=p.mm_ratio, mm_ratio=p.im_ratio))
    known = {u: replace(one, margin=_swapped(one.margin)) for u, one in state.world.underlyings.items()}
    return replace(state, world=replace(state.world, underlyings=known))


def _swapped(m: MarginParameters) -> MarginParameters:
    return replace(
        m,
        im_scalar=m.mm_scalar,
        mm_scalar=m.im_scalar,
        short_im_rate=m.short_mm_rate,
        short_mm_rate=m.short_im_rate,
    )
