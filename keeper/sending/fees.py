"""What to offer for gas: a curve that rises towards the deadline, and the replacement rule on top of it.

    pressure = (1 + a) / (1 + a + left)         a: attempts so far, left = min(blocks to the deadline, bumps left)
    tip      = median + pressure * (highest - median) + pressure * (value at risk per block / gas)
    max_fee  = 2 * base fee + tip

`median` and `highest` are of recent tips. At the deadline, or at the last bump allowed, pressure is 1: the highest
recent tip and one block's value at risk, since one more block of waiting costs that much. Twice the base fee stays
includable for five full blocks (EIP-1559: at most an eighth up a block). Both are then cut to the caps; headroom alone
never takes the last two bumps below the max-fee cap, so that a head of line can still be rescued or cancelled.

A replacement offers at least the highest stored sibling plus an eighth in both fields (Geth refuses less than a tenth
more in either), whatever the market did meanwhile. That rule may carry the tip above the cap of the curve, up to a
ceiling: the worst case is gas times max fee whatever the tip. Everything is integer wei per gas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

HEADROOM = 2
BUMP_NUMERATOR, BUMP_DENOMINATOR = 9, 8
"""+12.5 %, rounded up: above every known client's replacement rule for ordinary transactions."""
SPARE_NUMERATOR, SPARE_DENOMINATOR = BUMP_DENOMINATOR * BUMP_DENOMINATOR, BUMP_NUMERATOR * BUMP_NUMERATOR
"""Of the max-fee cap headroom uses this part only: one bump is kept to rescue a head of line, one to cancel it."""
PPM = 10**6


@dataclass(frozen=True, slots=True)
class Offer:
    """Wei per gas, 0 <= tip <= max_fee."""

    max_fee: int
    tip: int

    def __post_init__(self) -> None:
        if not 0 <= self.tip <= self.max_fee:
            raise ValueError(f"expected 0 <= tip <= max fee, found tip {self.tip} and max fee {self.max_fee}")

    def includable(self, base_fee: int) -> bool:
        """Say whether a block of this base fee may take it; equality may."""
        return self.max_fee >= base_fee

    def effective_tip(self, base_fee: int) -> int:
        """Return what its miner gets per gas, negative where it is not includable."""
        return min(self.tip, self.max_fee - base_fee)


@dataclass(frozen=True, slots=True)
class Market:
    """Base fee of the block to come and tips of recent blocks, wei per gas; without tips the least is 1 wei."""

    base_fee: int
    tips: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.base_fee < 0 or min(self.tips, default=0) < 0:
            raise ValueError(f"expected fees of at least 0, found base fee {self.base_fee} and tips {self.tips}")

    @property
    def median_tip(self) -> int:
        """The upper of the two middle ones, 1 wei at least."""
        return max(1, sorted(self.tips)[len(self.tips) // 2]) if self.tips else 1

    @property
    def highest_tip(self) -> int:
        return max(1, max(self.tips, default=1))


@dataclass(frozen=True, slots=True)
class Need:
    """What hangs on the transaction. A head of line carries the value at risk of everything behind it."""

    gas: int  # limit, > 0
    value_at_risk: int  # wei lost per block of waiting, >= 0
    blocks_left: int  # to the deadline; 0 or less: now or too late
    attempts: int = 0  # signed so far for this nonce
    worth: int | None = None  # wei the job is worth; None: not stated, so no share of it binds
    is_cancel: bool = False  # one attempt beyond the bumps is kept for it

    def __post_init__(self) -> None:
        if self.gas <= 0 or self.value_at_risk < 0 or self.attempts < 0:
            raise ValueError(
                f"expected gas > 0, value at risk and attempts >= 0, found {self.gas}, {self.value_at_risk} and "
                f"{self.attempts}"
            )


@dataclass(frozen=True, slots=True)
class Caps:
    max_fee: int  # wei per gas
    tip: int  # wei per gas, of the curve
    tip_ceiling: int  # wei per gas, of what the replacement rule demands; at least `tip`
    spend: int  # wei, worst case of one transaction: gas limit times max fee
    share_ppm: int = PPM  # of the job's worth
    bumps: int = 16  # replacements of one nonce; a cancel may be one more

    def __post_init__(self) -> None:
        if not 0 <= self.tip <= self.tip_ceiling or min(self.max_fee, self.spend, self.share_ppm, self.bumps) < 0:
            raise ValueError(f"expected 0 <= tip <= tip ceiling and no cap below 0, found {self}")

    def per_gas(self, need: Need) -> int:
        """Return the highest max fee every cap allows, wei per gas, rounded down."""
        spend = self.spend if need.worth is None else min(self.spend, max(need.worth, 0) * self.share_ppm // PPM)
        return min(self.max_fee, spend // need.gas)


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is offered, and why: what was needed, and the most that is allowed, wei per gas (bumps: a count)."""

    why: str
    needed: int
    allowed: int
    for_worth: bool = False  # only what the job is worth forbids it: no cap of an operator's is in the way


def offer(market: Market, need: Need, caps: Caps) -> Offer | Hold:
    """Return the fees of a first attempt, or the cap that forbids one. A cap equal to the base fee still offers."""
    cap = caps.per_gas(need)
    if cap < max(market.base_fee, 1):
        return _above("base fee above the cap", market.base_fee, need, caps)
    tip = min(curve_tip(market, need, caps), caps.tip)
    max_fee = _with_headroom(market.base_fee, tip, cap)
    return Offer(max_fee, min(tip, max_fee))


def _with_headroom(base_fee: int, tip: int, cap: int) -> int:
    """Return the max fee for this tip, at most `cap`: headroom stops short of the last bumps, need does not."""
    spared = cap * SPARE_NUMERATOR // SPARE_DENOMINATOR
    return min(HEADROOM * base_fee + tip, max(spared, base_fee + tip), cap)


def replacement(market: Market, need: Need, caps: Caps, siblings: Sequence[Offer]) -> Offer | Hold:
    """Return the fees of one more attempt at a nonce whose stored `siblings` are not empty, or why it must wait.

    The highest sibling is taken field by field: the pool holds one of them, and we cannot know which.
    """
    if not siblings:
        raise ValueError("expected the stored siblings of the nonce, found none; a first attempt takes offer()")
    bumps = caps.bumps + need.is_cancel
    if need.attempts > bumps:
        return Hold("no bump left", need.attempts, bumps)
    least = Offer(bumped(max(s.max_fee for s in siblings)), bumped(max(s.tip for s in siblings)))
    cap = caps.per_gas(need)
    if least.max_fee > cap:
        return _above("replacement above the cap", least.max_fee, need, caps)
    if least.tip > caps.tip_ceiling:
        return Hold("replacement above the tip ceiling", least.tip, caps.tip_ceiling)
    wanted = offer(market, need, caps)
    if isinstance(wanted, Hold):
        return wanted
    tip = max(wanted.tip, least.tip)
    return Offer(max(least.max_fee, _with_headroom(market.base_fee, tip, cap)), tip)


def _above(why: str, needed: int, need: Need, caps: Caps) -> Hold:
    return Hold(why, needed, caps.per_gas(need), caps.per_gas(replace(need, worth=None)) >= max(needed, 1))


def curve_tip(market: Market, need: Need, caps: Caps) -> int:
    """Return the curve's tip in wei per gas, rounded up, before any cap."""
    waited = 1 + need.attempts
    left = max(0, min(need.blocks_left, caps.bumps - need.attempts))
    spread = max(market.highest_tip - market.median_tip, 0)
    at_risk = need.value_at_risk // need.gas
    return market.median_tip + -(-waited * (spread + at_risk) // (waited + left))


def bumped(fee: int) -> int:
    """Return the least a replacement of a sibling at `fee` offers: an eighth more, rounded up, 1 wei at least."""
    return max(-(-fee * BUMP_NUMERATOR // BUMP_DENOMINATOR), fee + 1)


def is_stuck(best: Offer, market: Market) -> bool:
    """Say whether the highest attempt of a nonce is out of the money: not includable, or below every recent tip."""
    least = min(market.tips, default=0)
    return not best.includable(market.base_fee) or best.effective_tip(market.base_fee) < least
