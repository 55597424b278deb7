"""The two kinds of venue under one roof: reading, naming and judging accounts as the keeper itself does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keeper.chain import Block
from keeper.portfolios import fresh_world, standing
from keeper.twin.margin import by_arrays
from keeper.units import Wad
from keeper.venues.base import Account
from keeper.venues.portfolio import PortfolioAccount

PUBLISHER = "0x" + "0" * 40
DECIMALS = (6, 8, 10, 12, 18)
"""What amounts are mistaken by: 18 - 6 and 18 - 8 decimals, a feed's, a wad's."""

State = Any
AnyAccount = Account | PortfolioAccount


@dataclass(frozen=True, slots=True)
class Statement:
    """USD, 18 decimals."""

    equity: int
    im: int
    mm: int


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


def suspicions(account: AnyAccount) -> Iterator[tuple[str, AnyAccount]]:
    """Yield the usual mistakes, each with the account as it would be without it."""
    yield "sign: with every position's turned it agrees; long is > 0, quote owed < 0", turned(account)
    for places in DECIMALS:
        todo = f"decimals: with the cash {{}} 10**{places} it agrees; which decimals does the protocol state it in?"
        yield todo.format("divided by"), scaled(account, 1, 10**places)
        yield todo.format("times"), scaled(account, 10**places)
