"""The people of the reference demo: what each kind of account holds, and how well it is covered.

Sizes, strikes and covers are drawn from a fixed seed. Cover is equity as a share of initial margin: perpetuals at 1.1
fall with the first tenth, at 2.5 near the bottom. Selling protection comes after buying it, so that every trade on the
way to the wanted legs finds its margin.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keeper.demo.reference_board import BTC, ETH, USD, WAD
from keeper.reference.manifest import Manifest
from keeper.twin.records import Instrument
from keeper.units import WAD_DECIMALS, to_base

SEED = 20200312
TRADERS = 304
LEAST_USD, MOST_USD = 20_000.0, 300_000.0  # of a leg, at the first price
COLLATERAL = {ETH: 0, BTC: 1, USD: 2}
"""Underlying → number of the token that follows it."""

Legs = tuple[tuple[Instrument, int], ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What one account is to hold: contracts in wad, in the order they are traded, and how it is covered."""

    kind: str
    legs: Legs
    cover: float  # equity ÷ IM, ≥ 1
    token: int | None = None  # collateral that covers it; None: cash
    amount: int = 0  # of the token, 18 decimals; 0: as much as the cover asks for


class Dealer:
    """Draws accounts from one stream of random numbers."""

    def __init__(self, manifest: Manifest, prices: Sequence[int], seed: int) -> None:
        """`prices` in USD wad, by underlying."""
        self._manifest = manifest
        self._prices = prices
        self.random = random.Random(seed)

    def coin(self) -> int:
        return self.random.choice((ETH, BTC))

    def cover(self, least: float, most: float) -> float:
        return self.random.uniform(least, most)

    def size(self, underlying: int, share: float = 1.0) -> int:
        """Return a number of contracts worth LEAST_USD to MOST_USD, wad, whole hundredths."""
        usd = self.random.uniform(LEAST_USD, MOST_USD) * share
        hundredths = max(round(usd * 100 * WAD / self._prices[underlying]), 1)
        return hundredths * WAD // 100

    def option(self, underlying: int, expiry: int, per_mille: int, *, is_call: bool) -> Instrument:
        """Return the option of the expiry at this place whose strike is nearest to a share of the first price."""
        listed = self._manifest.underlyings[underlying]
        wanted = self._prices[underlying] * per_mille // 1_000 // 10**10
        row = min(range(len(listed.strikes)), key=lambda n: abs(listed.strikes[n] - wanted))
        return Instrument(underlying, listed.expiries[expiry], listed.strikes[row], is_call, 2 * row + (not is_call))

    def expiry(self) -> int:
        return self.random.randrange(3)


def _perpetual_long(d: Dealer) -> Wish:
    u = d.coin()
    return Wish("perpetual long, cash", ((Instrument(u), d.size(u)),), d.cover(1.05, 3.2))


def _perpetual_long_on_coin(d: Dealer) -> Wish:
    u = d.coin()
    return Wish("perpetual long, coin", ((Instrument(u), d.size(u)),), d.cover(1.05, 1.6), COLLATERAL[u])


def _perpetual_long_on_stable(d: Dealer) -> Wish:
    u = d.coin()
    return Wish("perpetual long, stablecoin", ((Instrument(u), d.size(u)),), d.cover(1.05, 2.8), COLLATERAL[USD])


def _perpetual_short(d: Dealer) -> Wish:
    u = d.coin()
    return Wish("perpetual short, cash", ((Instrument(u), -d.size(u)),), d.cover(1.3, 3.0))


def _covered_call(d: Dealer) -> Wish:
    u, size = d.coin(), 0
    size = d.size(u)
    legs = ((d.option(u, d.expiry(), 1_100, is_call=True), -size),)
    return Wish("covered call", legs, 1.05, COLLATERAL[u], size)


def _strangle(d: Dealer, u: int, expiry: int, size: int) -> Legs:
    return (
        (d.option(u, expiry, 1_100, is_call=True), -size),
        (d.option(u, expiry, d.random.choice((700, 800, 900)), is_call=False), -size),
    )


def _short_strangle(d: Dealer) -> Wish:
    u = d.coin()
    return Wish("short strangle", _strangle(d, u, d.expiry(), d.size(u)), d.cover(1.1, 4.0))


def _vertical(d: Dealer) -> Wish:
    u, expiry = d.coin(), d.expiry()
    size = d.size(u)
    legs = ((d.option(u, expiry, 700, is_call=False), size), (d.option(u, expiry, 900, is_call=False), -size))
    return Wish("vertical", legs, d.cover(1.05, 2.0))


def _condor(d: Dealer, u: int, expiry: int, size: int) -> Legs:
    wings = (d.option(u, expiry, 600, is_call=False), size), (d.option(u, expiry, 1_250, is_call=True), size)
    return (*wings, (d.option(u, expiry, 800, is_call=False), -size), (d.option(u, expiry, 1_100, is_call=True), -size))


def _iron_condor(d: Dealer) -> Wish:
    u = d.coin()
    return Wish("iron condor", _condor(d, u, d.expiry(), d.size(u)), d.cover(1.05, 2.0))


def _two_condors(d: Dealer) -> Wish:
    u = d.coin()
    legs = _condor(d, u, 1, d.size(u)) + _condor(d, u, 2, d.size(u))
    return Wish("iron condors on two expiries", legs, d.cover(1.05, 1.6))


def _hedged(d: Dealer) -> Wish:
    """Short puts, with short perpetuals about their delta: what falls is left with less and less of a hedge."""
    u = d.coin()
    size = d.size(u)
    legs = ((Instrument(u), -size // 3), (d.option(u, d.expiry(), 900, is_call=False), -size))
    return Wish("delta-hedged", legs, d.cover(1.1, 2.5))


def _cross(d: Dealer) -> Wish:
    """Nothing nets between underlyings: both strangles and both perpetuals ask for their own."""
    legs: Legs = ()
    for u in (ETH, BTC):
        size = d.size(u, 0.5)
        legs += (*_strangle(d, u, 1, size), *_strangle(d, u, 2, size), (Instrument(u), size))
    return Wish("cross-underlying, ten legs", legs, d.cover(1.05, 2.5))


KINDS: tuple[tuple[Callable[[Dealer], Wish], int], ...] = (
    (_perpetual_long, 4),
    (_perpetual_long_on_coin, 3),
    (_perpetual_long_on_stable, 2),
    (_perpetual_short, 2),
    (_covered_call, 3),
    (_short_strangle, 4),
    (_vertical, 3),
    (_iron_condor, 3),
    (_two_condors, 2),
    (_hedged, 2),
    (_cross, 4),
)
"""Each kind and how many of 32 accounts are of it."""


def wishes(manifest: Manifest, prices: Sequence[int], traders: int = TRADERS, seed: int = SEED) -> tuple[Wish, ...]:
    """Return what each of the traders holds, the same for the same seed."""
    dealer = Dealer(manifest, prices, seed)
    deck = [kind for kind, times in KINDS for _ in range(times)]
    dealer.random.shuffle(deck)
    return tuple(deck[n % len(deck)](dealer) for n in range(traders))


def usd(amount: float) -> int:
    """Return USD as wad, rounded down."""
    return to_base(amount, WAD_DECIMALS, up=False)
