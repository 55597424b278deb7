"""Where numbers differ from the protocol's: which usual mistake explains it, so that the message can name it."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.conformance.contract import Statement
from tests.conformance.kinds import (
    AnyAccount,
    State,
    cash_of,
    collaterals_of,
    decimals_of,
    positions_of,
    scaled,
    statement,
    turned,
    with_cash,
    with_decimals,
    with_margins_swapped,
)

PLACES: Final = (6, 8, 10, 12, 18)
"""What amounts are mistaken by: 18 - 6 and 18 - 8 decimals, a feed's, a wad's."""
DECIMALS: Final = (0, 2, 6, 8, 12, 18)
"""Of tokens."""
LABELS: Final = {"equity": "equity", "im": "IM", "mm": "MM"}
SMALL: Final = 1e-5
"""USD: no more than a few units of a token with six decimals."""
WORDS: Final = (128, 256)
"""Bits of the signed words that cash comes in."""

Case = tuple[str, State, AnyAccount]
"""What is then the mistake, and the state and account as they would be without it."""


def explained(venue: Any, state: State, account: AnyAccount, expected: Statement, found: Statement | str) -> str:
    """Return what to do about an account whose numbers are not the protocol's; `found` tells why there are none."""
    if isinstance(found, str):
        return (
            "state the account as the margin rules see it: what has expired and has a settlement price is cash, "
            "what was not read is no zero"
        )
    for family in SUSPECTS:
        for todo, instead, other in family(state, account):
            if numbers(venue, instead, other) == expected:
                return todo
    return _by_difference(account, expected, found)


def numbers(venue: Any, state: State, account: AnyAccount) -> Statement | str:
    """Return what the adapter's numbers come to, or why they come to nothing."""
    try:
        return statement(venue, state, account)
    except (ValueError, ArithmeticError, LookupError) as error:
        return f"none ({type(error).__name__}: {error})"


def _signs(state: State, account: AnyAccount) -> Iterator[Case]:
    yield "sign: with every position's turned it agrees; long is > 0, quote owed < 0", state, turned(account)
    cash = cash_of(account)
    todo = "sign: with the cash's turned it agrees; what the account owes is < 0"
    yield todo, state, with_cash(account, -cash)
    for bits in WORDS:
        todo = f"sign: with the cash read as int{bits} it agrees; use int_at, or the ABI's own type, for signed words"
        if cash >= 1 << bits - 1:
            yield todo, state, with_cash(account, cash - (1 << bits))


def _scales(state: State, account: AnyAccount) -> Iterator[Case]:
    for places in PLACES:
        todo = f"decimals: with the cash {{}} 10**{places} it agrees; which decimals does the protocol state it in?"
        yield todo.format("divided by"), state, scaled(account, 1, 10**places)
        yield todo.format("times"), state, scaled(account, 10**places)
    stated = decimals_of(state)
    for row in collaterals_of(account):
        for decimals in DECIMALS:
            todo = (
                f"collateral decimals: with {decimals} for collateral {row} it agrees, {stated[row]} were read; "
                "ask each token for its own"
            )
            yield todo, with_decimals(state, row, decimals), account


def _margins(state: State, account: AnyAccount) -> Iterator[Case]:
    todo = "IM and MM: with their parameters swapped it agrees; MM is the lower one, below it one is liquidated"
    yield todo, with_margins_swapped(state), account


SUSPECTS: Final[tuple[Callable[[State, AnyAccount], Iterator[Case]], ...]] = (_signs, _scales, _margins)


def differing(expected: Statement, found: Statement | str) -> tuple[str, str]:
    """Return both without the numbers that they agree in."""
    if isinstance(found, str):
        return str(expected), found
    off = [name for name in expected.__slots__ if getattr(expected, name) != getattr(found, name)]
    theirs, ours = (", ".join(f"{LABELS[n]} {getattr(said, n)}" for n in off) for said in (expected, found))
    return theirs, ours


def _by_difference(account: AnyAccount, expected: Statement, found: Statement) -> str:
    """Say what can be said without a mistake that explains all: how far off it is, what was read of the account."""
    if found.im != found.mm and (found.im, found.mm) == (expected.mm, expected.im):
        return "IM and MM are swapped; MM is the lower one, below it one is liquidated"
    off = {
        label: (getattr(found, name) - getattr(expected, name)) / 10**18
        for name, label in LABELS.items()
        if getattr(found, name) != getattr(expected, name)
    }
    if cash_of(account) == 0 and list(off) == ["equity"] and off["equity"] > 0:
        return f"cash 0 was read, it is short by what it owes, {off['equity']:.6g} USD: negative cash is debt"
    shown = ", ".join(f"{name} by {usd:+.6g} USD" for name, usd in off.items())
    if max(abs(usd) for usd in off.values()) < SMALL:
        return f"off only by a rounding, {shown}: which way does the protocol round, and what is dust to it?"
    read = f"cash {cash_of(account)}, {positions_of(account)} positions, collaterals {list(collaterals_of(account))}"
    return (
        f"off: {shown}; read were {read}: is one of them missing or cut off? If all is there, go through the "
        "protocol's rule with these numbers, line by line, and its rounding"
    )
