"""What the keeper means to do, as data: printed, tested, journalled, and only then executed."""

from dataclasses import dataclass
from typing import Final, Literal

ARRAY_DIGITS: Final = 264
"""Hexadecimal digits of one option's array."""
ANY_SEQUENCE: Final = 2**64 - 1
"""In place of an account's number of changes: whatever it is when the call lands."""


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

    @property
    def subject(self) -> str:
        return self.account

    @property
    def why(self) -> str:
        return f"shortfall {self.shortfall:,.2f} USD"


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

    @property
    def subject(self) -> str:
        return self.parameter

    @property
    def why(self) -> str:
        return f"{self.old} -> {self.new}: {self.reason}"


@dataclass(frozen=True, slots=True)
class StartAuction:
    """Show that an account of a portfolio venue is below MM, which starts its auction."""

    venue: str
    account: str
    sequence: int  # the account's number of changes as read, or ANY_SEQUENCE; another one is another account
    by_arrays: bool  # shown by the published arrays, newest and settled; else by one scenario
    scenarios: int  # a row an underlying, 8 bits each, 255 for none
    legs: int  # what the proof costs depends on it
    shortfall: float  # USD, > 0: how far equity is below MM
    deadline: int  # last second of block time the call counts
    expires_at: int  # last block it is meant for; still open later, it is warned about

    kind: Literal["start_auction"] = "start_auction"

    @property
    def effect(self) -> str:
        return start_effect(self.venue, self.account)

    @property
    def subject(self) -> str:
        return self.account

    @property
    def why(self) -> str:
        how = "arrays" if self.by_arrays else f"scenarios {self.scenarios & (1 << 64) - 1:#x}"
        return f"shortfall {self.shortfall:,.2f} USD, by {how}"


def start_effect(venue: str, account: str) -> str:
    return f"{venue}:start_auction:{account}"


@dataclass(frozen=True, slots=True)
class EndAuction:
    """End the auction of an account that is at or above MM again, so that its discount does not go on growing."""

    venue: str
    account: str
    auction_id: int
    sequence: int  # the account's number of changes as read, or ANY_SEQUENCE
    legs: int  # what showing its margin costs depends on it
    excess: float  # USD, >= 0: the least by which any statement shows equity above MM
    deadline: int  # last second of block time the call counts
    expires_at: int  # last block it is meant for; still open later, it is warned about

    kind: Literal["end_auction"] = "end_auction"

    @property
    def effect(self) -> str:
        return end_effect(self.venue, self.account, self.auction_id)

    @property
    def subject(self) -> str:
        return self.account

    @property
    def why(self) -> str:
        return f"auction {self.auction_id}: {self.excess:,.2f} USD above MM"


def end_effect(venue: str, account: str, auction_id: int) -> str:
    return f"{venue}:end_auction:{account}:{auction_id}"


@dataclass(frozen=True, slots=True)
class TakeAuction:
    """Buy a fraction of an account in auction, at most at the stated price."""

    venue: str
    account: str
    taker: str  # the account that buys
    auction_id: int
    sequence: int  # of the account in auction, as read, or ANY_SEQUENCE
    taker_sequence: int  # likewise
    max_fraction: int  # wad
    max_price: int  # USD wad for the whole account, signed: rounded down, so that it binds
    by_arrays: bool
    scenarios: int
    taker_by_legs: bool  # the taker's IM is shown by the bound that needs no arrays, else by both sets
    legs: int  # of both accounts
    profit: float  # USD expected: what is received less what is paid, at marks
    deadline: int  # last second of block time the call counts
    expires_at: int

    kind: Literal["take_auction"] = "take_auction"

    @property
    def effect(self) -> str:
        """By taker and auction: each of his takes raises his sequence, so he buys one thing at a time."""
        return take_effect(self.venue, self.taker, self.account, self.auction_id)

    @property
    def subject(self) -> str:
        return self.account

    @property
    def why(self) -> str:
        share = self.max_fraction / 10**18
        return f"auction {self.auction_id}: at most {share:.1%}, expected profit {self.profit:,.2f} USD"


def take_effect(venue: str, taker: str, account: str, auction_id: int) -> str:
    return f"{venue}:take_auction:{taker}:{account}:{auction_id}"


@dataclass(frozen=True, slots=True)
class PublishArrays:
    """Publish the risk arrays of one expiry, computed on one report and one slice."""

    venue: str
    underlying: int
    expiry: int
    report_id: str  # 0x and 64 hexadecimal digits
    slice_id: str
    version: int  # of the scan parameters
    listing_id: str  # of the rows and parameters the arrays were computed for
    arrays: str  # 0x and hexadecimal digits: 132 bytes an option, in the expiry's row order
    reason: str
    expires_at: int

    kind: Literal["publish_arrays"] = "publish_arrays"

    @property
    def effect(self) -> str:
        return f"{self.epoch}:{self.expiry}"

    @property
    def epoch(self) -> str:
        """What the plans of one epoch share: they only succeed one after the other, by expiry."""
        return f"{self.venue}:publish_arrays:{self.underlying}:{self.report_id}:{self.version}"

    @property
    def subject(self) -> str:
        return f"arrays:{self.underlying}"

    @property
    def why(self) -> str:
        return f"expiry {self.expiry}, {self.options} options: {self.reason}"

    @property
    def options(self) -> int:
        return (len(self.arrays) - 2) // ARRAY_DIGITS


@dataclass(frozen=True, slots=True)
class RelayReports:
    """Bring signed reports, or signed slices, to their relay. What it has already, or newer, it passes over."""

    venue: str
    relay: str  # address of the price relay, or of the surface relay
    newest: str  # what is brought: underlying@second, underlying:expiry@second for a slice; by commas
    signed: str  # 0x and hexadecimal digits: the argument of relayMany as the ABI encodes it
    expires_at: int  # last block it is meant for; still open later, it is warned about

    kind: Literal["relay_reports"] = "relay_reports"

    @property
    def effect(self) -> str:
        """By what is in it and when: the same records are brought once, newer ones do not wait for them."""
        return f"{self.venue}:relay_reports:{self.relay}:{self.newest}"

    @property
    def subject(self) -> str:
        return "slices" if ":" in self.newest else "reports"

    @property
    def why(self) -> str:
        return f"{self.newest}: newer than on the chain"

    @property
    def records(self) -> dict[tuple[int, int], int]:
        """Underlying and expiry, 0 for a report → second."""
        found = {}
        for record in self.newest.split(",") if self.newest else ():
            about, _, second = record.partition("@")
            underlying, _, expiry = about.partition(":")
            found[int(underlying), int(expiry or "0")] = int(second)
        return found


@dataclass(frozen=True, slots=True)
class WriteParameters:
    """Have the venue's steward write the numbers of one underlying, of one collateral, or of the venue: all or none."""

    venue: str
    record: str  # "underlying:0", "collateral:2", "venue"
    changes: (
        str  # "im_scalar:0=12500>13000" by commas: the number as read at the block of the decision, and the new one
    )
    reason: str
    expires_at: int  # last block it is meant for; still open later, it is warned about

    kind: Literal["write_parameters"] = "write_parameters"

    @property
    def effect(self) -> str:
        return f"{self.venue}:write_parameters:{self.record}"

    @property
    def subject(self) -> str:
        return f"parameters:{self.record}"

    @property
    def why(self) -> str:
        return f"{self.changes}: {self.reason}"

    @property
    def numbers(self) -> dict[str, tuple[int, int]]:
        """Parameter → number read, number written; as the venue holds them."""
        found = {}
        for change in self.changes.split(",") if self.changes else ():
            name, _, numbers = change.partition("=")
            old, _, new = numbers.partition(">")
            found[name] = int(old), int(new)
        return found


Plan = (
    Liquidate | SetParameters | StartAuction | EndAuction | TakeAuction | PublishArrays | RelayReports | WriteParameters
)


def opens_the_way(plan: Plan) -> bool:
    """Say whether later plans may succeed only after this one: auctions and the next expiry rest on arrays."""
    return isinstance(plan, PublishArrays)


@dataclass(frozen=True, slots=True)
class Held:
    """A decision not to act, and why: the answer to "it ran for a day and did nothing"."""

    subject: str  # account address or parameter name
    reason: str
