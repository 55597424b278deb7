"""Derive's liquidation auction: what share of an account may be bought, and at what price.

Margins are the protocol's own: `mm_excess` = equity − MM and `mtm` of MarginReport, USD, of an account under one
scenario, the worst. A solvent auction sells a share of the account below its MtM, the discount growing with time; an
insolvent one pays the bidder for taking a negative account, from the security module. Functions take floats or arrays
that broadcast together and return arrays. Source: DutchAuction, v2-core.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from engine.types import Flags, Floats

MOST_BUFFER: Final = 4.0
MOST_FEE_RATE: Final = 0.1
MOST_MTM_CUTOFF: Final = 1000.0


@dataclass(frozen=True, slots=True)
class AuctionParameters:
    """Parameters of both auctions within the bounds of the protocol's setters; the defaults are its launch values."""

    start: float = 0.95  # share of MtM that is asked at second 0
    fast_cutoff: float = 0.70  # share at the end of the fast part
    fast_seconds: float = 900.0
    slow_seconds: float = 43200.0  # then, from fast_cutoff to nothing
    insolvent_seconds: float = 3600.0
    fee_rate: float = 0.10  # of the value of what may be bought at the start
    buffer: float = 0.15  # by how much of MtM − MM excess a liquidation overshoots the line
    mtm_cutoff: float = 0.0  # USD; a smaller account is sold whole

    def __post_init__(self) -> None:
        for field in fields(self):
            number = getattr(self, field.name)
            if not 0.0 <= number < np.inf:
                raise ValueError(f"AuctionParameters.{field.name}: expected a finite number >= 0, found {number}")
        if not min(self.fast_seconds, self.slow_seconds, self.insolvent_seconds) > 0.0:
            raise ValueError(f"AuctionParameters: expected every part to last > 0 seconds, found {self}")
        if not self.fast_cutoff <= self.start <= 1.0:
            raise ValueError(f"AuctionParameters: expected fast_cutoff <= start <= 1, found {self}")
        if self.buffer > MOST_BUFFER or self.fee_rate > MOST_FEE_RATE or self.mtm_cutoff > MOST_MTM_CUTOFF:
            most = f"buffer {MOST_BUFFER:g}, fee_rate {MOST_FEE_RATE:g}, mtm_cutoff {MOST_MTM_CUTOFF:g}"
            raise ValueError(f"AuctionParameters: expected at most {most}, found {self}")

    @property
    def solvent_seconds(self) -> float:
        """How long a solvent auction lasts; from this second on its price is 0."""
        return self.fast_seconds + self.slow_seconds


def discount(parameters: AuctionParameters, seconds: ArrayLike) -> Floats:
    """Return the share of MtM that a solvent auction asks `seconds` >= 0 after its start, from `start` to 0."""
    ends = (0.0, parameters.fast_seconds, parameters.solvent_seconds)
    time = _not_negative("seconds", seconds)
    return np.asarray(np.interp(time, ends, (parameters.start, parameters.fast_cutoff, 0.0)))


def buffer_margin(parameters: AuctionParameters, mm_excess: ArrayLike, mtm: ArrayLike) -> Floats:
    """Return MM excess + buffer · (MM excess − MtM), USD: what a liquidation is to bring up to 0."""
    excess, value = _finite("mm_excess", mm_excess), _finite("mtm", mtm)
    return np.asarray(excess + parameters.buffer * (excess - value))


def maximum_fraction(
    parameters: AuctionParameters, mm_excess: ArrayLike, mtm: ArrayLike, asked: ArrayLike, reserved: ArrayLike = 0.0
) -> Floats:
    """Return the largest share, 0..1, of the account that may be bought at the discount `asked`.

    It is the share after which the buffer margin is 0; 0 where it is not below 0; 1 where MtM is below mtm_cutoff.
    `reserved` >= 0 USD: cash that earlier bids brought, which no share is taken of.
    """
    margin = np.minimum(buffer_margin(parameters, mm_excess, mtm), 0.0)
    value, share, kept = _finite("mtm", mtm), _not_negative("asked", asked), _not_negative("reserved", reserved)
    sold = margin - value * share - kept * (1.0 - share)
    margin, sold = np.broadcast_arrays(margin, sold)
    fraction = np.zeros(sold.shape)
    np.divide(margin, sold, out=fraction, where=margin < 0.0)
    return np.where(value < parameters.mtm_cutoff, 1.0, fraction)


def solvent_price(
    parameters: AuctionParameters, seconds: ArrayLike, mtm: ArrayLike, reserved: ArrayLike = 0.0
) -> Floats:
    """Return what the whole account costs, (MtM − reserved) · discount, USD; a share f of it costs f times that.

    0 from solvent_seconds on. NaN where reserved exceeds MtM: the protocol refuses to state a price.
    """
    value, kept = _finite("mtm", mtm), _not_negative("reserved", reserved)
    left = np.where(kept > value, np.nan, value - kept)
    return np.asarray(left * discount(parameters, seconds))


def insolvent_price(parameters: AuctionParameters, seconds: ArrayLike, mm_excess: ArrayLike, mtm: ArrayLike) -> Floats:
    """Return the price of the whole account, USD, <= 0: the bidder is paid −price for it, a share of it for a share.

    It falls from min(MtM, 0) to MM excess in insolvent_seconds and stays there. NaN where MM excess >= 0: the auction
    is to be terminated.
    """
    time, excess = _not_negative("seconds", seconds), _finite("mm_excess", mm_excess)
    first = np.minimum(_finite("mtm", mtm), 0.0)
    passed = time / parameters.insolvent_seconds
    price = np.where(passed < 1.0, first + (excess - first) * passed, excess)
    return np.where(excess >= 0.0, np.nan, price)


def starting_fee(parameters: AuctionParameters, mm_excess: ArrayLike, mtm: ArrayLike) -> Floats:
    """Return the fee that the start of a solvent auction takes from the account, USD; 0 for one that is insolvent."""
    value = np.maximum(_finite("mtm", mtm), 0.0)
    return np.asarray(maximum_fraction(parameters, mm_excess, mtm, 1.0) * value * parameters.fee_rate)


def to_be_terminated(
    parameters: AuctionParameters,
    seconds: ArrayLike,
    mm_excess: ArrayLike,
    mtm: ArrayLike,
    reserved: ArrayLike = 0.0,
    insolvent: ArrayLike = False,
) -> Flags:
    """Return where anyone may end the auction and no bid is taken.

    A solvent one within its time: MtM < 0, reserved >= MtM, or buffer margin >= 0. An insolvent one, or a solvent one
    whose time is over: MM excess >= 0.
    """
    value, kept = _finite("mtm", mtm), _not_negative("reserved", reserved)
    cured = buffer_margin(parameters, mm_excess, mtm) >= 0.0
    over = np.asarray(insolvent, np.bool_) | (_not_negative("seconds", seconds) > parameters.solvent_seconds)
    return np.where(over, _finite("mm_excess", mm_excess) >= 0.0, (value < 0.0) | (kept >= value) | cured)


def _finite(name: str, argument: ArrayLike) -> Floats:
    column = np.asarray(argument, np.float64)
    _refuse(~np.isfinite(column), name, "finite numbers", column)
    return column


def _not_negative(name: str, argument: ArrayLike) -> Floats:
    column = _finite(name, argument)
    _refuse(column < 0.0, name, "numbers >= 0", column)
    return column


def _refuse(bad: Flags, name: str, expected: str, column: Floats) -> None:
    if np.any(bad):
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"{name}: expected {expected}, found {column.reshape(-1)[row]} in row {row}")
