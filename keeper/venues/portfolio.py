"""What an adapter of a portfolio-margin venue returns: exact integers, and the twin's world they are margined in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from keeper.chain import Block
from keeper.twin.auction import Allowance
from keeper.twin.ramps import ScanRamp
from keeper.twin.records import Book, Instrument
from keeper.twin.world import World
from keeper.venues.base import Venue


@dataclass(frozen=True, slots=True)
class Series:
    """The options of one expiry and the slice they are priced with."""

    expiry: int
    slice_id: bytes  # empty where there is no slice yet
    instruments: tuple[Instrument, ...]  # in row order


@dataclass(frozen=True, slots=True)
class Published:
    """What is on the chain of one underlying's newest complete epoch."""

    epoch: int
    report_id: bytes
    price: int  # of its report, wad
    reported_at: int  # block time of its report
    completed_at: int
    version: int  # of the scan parameters


@dataclass(frozen=True, slots=True)
class Line:
    """One underlying: what publishing it starts from. Prices and parameters are in the world."""

    underlying: int
    report_id: bytes  # the newest
    version: int  # of the scan parameters in force
    scan: ScanRamp  # that version whole
    series: tuple[Series, ...]  # live at the newest report, with options, ascending
    unfitted: tuple[int, ...]  # expiries among them without a slice
    current: Published | None
    draft: Published | None  # the publisher's epoch under way, completed_at 0; None: none
    draft_to: int  # its last expiry so far


@dataclass(frozen=True, slots=True)
class AuctionRules:
    """How the venue auctions; BPS and seconds."""

    buffer: int  # above MM after a take
    discount_cap: int  # share of MM
    growth: int  # from no discount to the cap
    bonus_period: int  # in which the fund's allowance for discounts comes back


@dataclass(frozen=True, slots=True)
class Steered:
    """What the steward says of one parameter at one block. Numbers as the venue holds them; seconds."""

    number: int  # last written: what a write must name
    low: int  # bounds of a write, both included
    high: int
    step: int  # most of one write, either way
    delay: int  # between two writes of the controller
    ready_at: int  # earliest time of the next
    guarded: int | None  # the guardian's number, which nothing looser may replace
    record: str  # what is written together with it: "underlying:0", "collateral:2", "venue"


@dataclass(frozen=True, slots=True)
class Steering:
    """The venue's steward at one block."""

    steward: str
    controller: str  # who may write
    stopped: bool
    parameters: Mapping[str, Steered]  # by name
    unknown: Mapping[str, str]  # name → why it could not be read


@dataclass(frozen=True, slots=True)
class PortfolioAccount:
    """One account, funding accrued and expiries settled as the margin rules see it."""

    name: str
    sequence: int  # number of its changes
    auction_id: int  # 0: none
    auction_started_at: int  # block time
    book: Book


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """Everything a venue says at one block. An account is in `accounts` or in `unknown`, never in both."""

    venue: str
    block: Block
    world: World
    lines: tuple[Line, ...]  # of the underlyings that could be read, ascending
    faults: Mapping[int, str]  # underlying -> why it could not be read
    auctions: AuctionRules
    fund: int  # the insurance fund's cash, USD wad, signed
    bonus: Allowance  # what of it may be added to discounts
    accounts: tuple[PortfolioAccount, ...]
    unknown: Mapping[str, str]  # account -> why it could not be read


class PortfolioVenue(Venue, Protocol):
    """A venue that margins portfolios by scenarios: what it reads is a PortfolioState."""

    kind: Literal["portfolio"]
    relays: tuple[str, str]  # addresses of the price relay and of the surface relay
    steward: str | None  # who alone changes parameters; None: nobody yet

    def read(self, block: Block, accounts: Sequence[str], publisher: str) -> PortfolioState:
        """Read every account and all that margin needs exactly at `block`, and how far `publisher` is.

        Raises ReadError when the venue itself cannot be read.
        """

    def steering(self, block: Block, names: Sequence[str]) -> Steering | None:
        """Return what the steward says of these parameters at `block`, None where there is none.

        Raises ReadError, and ConfigError for a name that stands for nothing.
        """

    def through(self, executor: str) -> Self:
        """Return the adapter whose takes the KeeperExecutor at this address makes.

        Raises MissingContract when there is no code, ReadError when it is no executor of this venue, ConfigError where
        the venue has none.
        """


def account_name(number: int, owner: str) -> str:
    """Return an account id's name: its owner's address, with the sub-account behind a slash unless it is 0."""
    sub = number & (1 << 96) - 1
    return f"{owner}/{sub}" if sub else owner


def account_id(name: str) -> int:
    """Return the id of a name that `account_name` gave. Raises ValueError for anything else."""
    owner, _, sub = name.partition("/")
    return int(owner, 16) << 96 | int(sub or "0")
