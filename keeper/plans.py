"""What the keeper means to do, as data: printed, tested, journalled, and only then executed."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Liquidate:
    """Take over (part of) one account's position in one market.

    The venue itself limits how much may be taken; it is asked for as much as it allows.
    """

    venue: str
    account: str
    market: str  # the base token's address
    shortfall: float  # USD, > 0: how far equity is below MM
    notional: float  # USD, >= 0: mark value of the position, what the liquidator may have to margin
    expires_at: int  # last block it is meant for; still open later, it is warned about

    kind: Literal["liquidate"] = "liquidate"

    @property
    def effect(self) -> str:
        """What may happen only once at a time: at most one live intent carries this key.

        The account, not the market: taking over one position may already make the account healthy.
        """
        return liquidation_effect(self.venue, self.account)


def liquidation_effect(venue: str, account: str) -> str:
    return f"{venue}:liquidate:{account}"


@dataclass(frozen=True, slots=True)
class SetParameters:
    """Move one of the venue's parameters by one bounded step."""

    venue: str
    parameter: str  # e.g. "collateral_ratio:0x…", "mm_ratio_buffer", "max_funding_rate"
    old: int  # parts per million, as read at the block of the decision
    new: int  # parts per million
    reason: str
    expires_at: int  # last block it is meant for; still open later, it is warned about

    kind: Literal["set_parameters"] = "set_parameters"

    @property
    def effect(self) -> str:
        return f"{self.venue}:set_parameters:{self.parameter}"


Plan = Liquidate | SetParameters


@dataclass(frozen=True, slots=True)
class Held:
    """A decision not to act, and why: the answer to "it ran for a day and did nothing"."""

    subject: str  # account address or parameter name
    reason: str
