"""What a take of an auctioned account moves and pays, in the contracts' integers (AuctionMath.sol, Auctions.sol).

With equity E, requirement MM, discount D = MM · share and the part of it the account bears, Da = min(D, max(E, 0)), a
take of φ leaves an account of E > 0 with E − φ·Da, one of E <= 0 with (1 − φ)·E. USD in wad, shares in BPS, fractions
in wad. Every rounding is against the taker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.twin.fixed import WAD, cdiv, sdiv
from keeper.twin.margin import by_arrays, by_scenario, by_settled_arrays
from keeper.twin.records import BPS, Book, Holding, Leg
from keeper.twin.world import World

NO_SCENARIOS: Final = 2**256 - 1
GRAIN_PRICES: Final = 20
"""By how many prices of an underlying one truncated wei (or base unit) can change MM at most."""
OWN_GRAIN: Final = 10
"""Wei that cash, payment and the statements round by."""


class NotBelowMaintenance(ValueError):
    """There is no shortfall on the chosen path: nothing to auction."""


class NothingToTake(ValueError):
    """The account is at its buffer, or so little may be taken that truncation would outweigh it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The state a take finds."""

    equity: int  # signed
    mm: int
    discount: int  # share of MM, BPS
    grain: int  # what truncating the moved amounts can change equity or MM by

    @property
    def whole(self) -> int:
        """The discount on the whole account, D."""
        return self.mm * self.discount // BPS

    @property
    def borne(self) -> int:
        """What of it the account itself can bear, Da."""
        return min(self.whole, max(self.equity, 0))


@dataclass(frozen=True, slots=True)
class Concentration:
    """One underlying's convex part of MM: `charge` now, and `free`, the same rate on what is below the threshold."""

    charge: int
    free: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What the taker pays (negative: receives); `from_fund` and `shared` are part of what he receives."""

    price: int
    from_fund: int
    shared: int
    unpaid: int  # bonus that the fund could not or may not pay
    bonus: int = 0  # what the fund adds to the discount, part of `from_fund`


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the fund may add to discounts: all of `most` comes back in a line in one `period` (Allowance.sol)."""

    most: int  # USD wad
    spent: int  # as it was `at`
    at: int
    period: int  # seconds

    def left(self, time: int) -> int:
        return max(self.most - self._spent_by(time), 0)

    def spend(self, amount: int, time: int) -> "Allowance":
        return replace(self, spent=self._spent_by(time) + amount, at=time) if amount else self

    def _spent_by(self, time: int) -> int:
        return max(self.spent - self.most * (time - self.at) // self.period, 0)


@dataclass(frozen=True, slots=True)
class Take:
    """One take as the auction contract would carry it out."""

    fraction: int
    part: Book  # what moves
    payment: Payment
    quote: int  # price of the whole account it stands for: what `maxPrice` limits
    restored: bool  # whether it ends the auction


def discount(elapsed: int, cap: int, growth: int) -> int:
    """Return the discount `elapsed` seconds after the start: linear to `cap` BPS over `growth` seconds."""
    return cap * elapsed // growth if elapsed < growth else cap


def largest(terms: Terms, parts: Sequence[Concentration], buffer: int) -> int:
    """Return the largest fraction that leaves the account at or below (1 + buffer BPS) · MM; all of it for E <= 0.

    Newton's steps from 0 on a convex, piecewise linear requirement: they never pass the root, and they end.
    """
    if terms.equity <= 0:
        return WAD
    fraction = 0
    while fraction < WAD:
        base, free = tangent(terms.mm, parts, WAD - fraction)
        step = _root(terms, base, free, BPS + buffer)
        if step <= fraction:
            break
        fraction = step
    return fraction


def tangent(mm: int, parts: Sequence[Concentration], left: int) -> tuple[int, int]:
    """Return base and free of MM's linear piece at `left` of the account: base − (1 − x)·(base + free)."""
    base, free = mm, 0
    for part in parts:
        if left * (part.charge + part.free) > part.free * WAD:
            free += part.free
        else:
            base = max(base - part.charge, 0)
    return base, free


def _root(terms: Terms, base: int, free: int, target: int) -> int:
    if terms.equity <= terms.whole and free == 0 and terms.equity * BPS < target * base:
        return WAD  # equity and requirement shrink together: only the whole account restores anything
    reached = BPS * (terms.equity + 4 * terms.grain)
    if target * base <= reached:
        return 0
    fraction = (target * base - reached) * WAD // (target * (base + free) - BPS * terms.borne)
    return min(fraction, WAD)


def meaningful(terms: Terms, fraction: int) -> bool:
    """Return whether truncation is small beside what the take frees."""
    if fraction == 0:
        return False
    return fraction == WAD or fraction * (terms.mm - terms.borne) >= 2 * terms.grain * WAD


def moved(book: Book, fraction: int) -> Book:
    """Return what a fraction of the book moves: every amount truncated toward zero, legs of nothing left out."""
    legs = (replace(leg, size=sdiv(leg.size * fraction, WAD)) for leg in book.legs)
    return Book(
        cash=sdiv(book.cash * fraction, WAD),
        legs=tuple(leg for leg in legs if leg.size),
        collateral=tuple(Holding(held.index, held.amount * fraction // WAD) for held in book.collateral),
    )


def payment(terms: Terms, fraction: int, worth: int, fund: int, allowed: int) -> Payment:
    """Return the payment for a part worth `worth` (its equity at the marks, rounded down).

    The fund holds `fund` and may add `allowed` of it to discounts; a deficit it pays in any case.
    """
    worth += 1
    price = deficit = from_fund = shared = 0
    if terms.equity > 0:
        price = worth - _charged(terms, fraction)
    elif worth < 0:
        deficit = -worth
        from_fund = min(deficit, fund)
        shared = deficit - from_fund
    else:
        price = worth
    due = fraction * (terms.whole - terms.borne) // WAD
    # A bonus on one slice must not use up the cover of the next: the whole account's deficit comes first.
    bonus = min(due, max(fund - max(-terms.equity, deficit), 0), allowed)
    return Payment(price - deficit - bonus, from_fund + bonus, shared, due - bonus, bonus)


def _charged(terms: Terms, fraction: int) -> int:
    """Return the account's part of the discount: never so much that truncation could lower equity ÷ MM."""
    charged = fraction * terms.borne // WAD
    if fraction == WAD:
        return charged
    reserve = cdiv(terms.equity * terms.grain, terms.mm)
    return min(charged, max(fraction * terms.equity // WAD - reserve, 0))


def requirement_after(terms: Terms, parts: Sequence[Concentration], fraction: int) -> int:
    """Return an upper bound of MM after a take."""
    if fraction == WAD:
        return 0
    left = WAD - fraction
    base, free = tangent(terms.mm, parts, left)
    return max(cdiv(left * (base + free), WAD) - free, 0) + terms.grain


def quote(terms: Terms, fraction: int, unpaid: int) -> int:
    """Return the price of the whole account that a payment stands for: E − D, plus what the fund did not add."""
    return terms.equity - terms.whole + cdiv(unpaid * WAD, fraction)


def shortfall(book: Book, world: World, scenarios: int | None) -> tuple[int, int]:
    """Return equity and MM by the chosen path: `scenarios` as `by_scenario`, or None for both sets of arrays.

    Raises NotBelowMaintenance where that path shows no shortfall, MarginRefused where it shows nothing.
    """
    check = by_arrays(book, world) if scenarios is None else by_scenario(book, world, scenarios)
    _require_below(check.equity, check.mm)
    if scenarios is not None:
        return check.equity, check.mm
    settled = by_settled_arrays(book, world)
    _require_below(settled.equity, settled.mm)
    return check.equity, min(check.mm, settled.mm)


def concentrations(book: Book, world: World) -> tuple[tuple[Concentration, ...], int]:
    """Return the convex parts of MM by underlying, and the grain of truncation."""
    held: dict[int, int] = {}
    grains: dict[int, int] = {}
    for leg in book.legs:
        u = leg.instrument.underlying
        held[u] = held.get(u, 0) + abs(leg.size)
        grains[u] = grains.get(u, 0) + 1
    for holding in book.collateral:
        accepted = world.collaterals[holding.index]
        grains[accepted.underlying] = grains.get(accepted.underlying, 0) + accepted.to_wad(1)
    parts, grain = [], OWN_GRAIN
    for u, wei in sorted(grains.items()):
        grain += GRAIN_PRICES * world.underlyings[u].report.price * wei // WAD + 1
        parts.append(_concentration(u, held.get(u, 0), world))
    return tuple(parts), grain


def _concentration(u: int, held: int, world: World) -> Concentration:
    known = world.underlyings[u]
    free = known.mm.concentration_from
    if held <= free:
        return Concentration(0, 0)
    rate = known.report.price * known.mm.concentration_rate
    return Concentration(cdiv((held - free) * rate, WAD * BPS), cdiv(free * rate, WAD * BPS))


def take(
    book: Book,
    world: World,
    scenarios: int | None,
    *,
    discount_bps: int,
    buffer: int,
    most: int,
    fund: int,
    allowed: int,
) -> Take:
    """Return the take of at most `most` (wad) of an account in auction.

    The fund holds `fund` (negative: nothing) and may add `allowed` to discounts.

    Raises NotBelowMaintenance, NothingToTake, MarginRefused where the contract reverts.
    """
    equity, mm = shortfall(book, world, scenarios)
    if scenarios is None:  # paid for at the marks of the newest report, whichever set has shown the shortfall
        equity = by_scenario(book, world, NO_SCENARIOS).equity
        _require_below(equity, mm)
    parts, grain = concentrations(book, world)
    terms = Terms(equity, mm, discount_bps, grain)
    fraction = min(largest(terms, parts, buffer), most)
    if not meaningful(terms, fraction):
        raise NothingToTake(f"fraction {fraction} wad of equity {equity}, MM {mm}: at the buffer, or too little")
    part = moved(book, fraction)
    worth = by_scenario(part, world, NO_SCENARIOS).equity
    paid = payment(terms, fraction, worth, max(fund, 0), allowed)
    return Take(fraction, part, paid, quote(terms, fraction, paid.unpaid), _restored(terms, parts, fraction))


def _restored(terms: Terms, parts: Sequence[Concentration], fraction: int) -> bool:
    if fraction == WAD:
        return True
    if terms.equity <= 0:
        return False
    equity = terms.equity - cdiv(fraction * terms.borne, WAD)
    return equity >= requirement_after(terms, parts, fraction)


def _require_below(equity: int, mm: int) -> None:
    if equity >= mm:
        raise NotBelowMaintenance(f"equity {equity}, MM {mm}: at or above maintenance")


def after(book: Book, taker: Book, taken: Take) -> tuple[Book, Book]:
    """Return both books after the take, as the venue moves them."""
    paid, part = taken.payment, taken.part
    net = paid.price - part.cash
    left = Book(
        book.cash + net + paid.from_fund + paid.shared,
        _merged(book.legs, part.legs, -1),
        _merged_holdings(book.collateral, part.collateral, -1),
    )
    right = Book(
        taker.cash - net, _merged(taker.legs, part.legs, 1), _merged_holdings(taker.collateral, part.collateral, 1)
    )
    return left, right


def _merged(legs: Sequence[Leg], part: Sequence[Leg], sign: int) -> tuple[Leg, ...]:
    sizes = {leg.instrument: leg.size for leg in legs}
    for leg in part:
        sizes[leg.instrument] = sizes.get(leg.instrument, 0) + sign * leg.size
    return tuple(Leg(instrument, size) for instrument, size in sizes.items() if size)


def _merged_holdings(held: Sequence[Holding], part: Sequence[Holding], sign: int) -> tuple[Holding, ...]:
    amounts = {holding.index: holding.amount for holding in held}
    for holding in part:
        amounts[holding.index] = amounts.get(holding.index, 0) + sign * holding.amount
    return tuple(Holding(index, amount) for index, amount in amounts.items() if amount)
