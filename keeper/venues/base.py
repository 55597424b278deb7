"""What every protocol adapter returns and offers. Amounts are exact integers; decimals stand beside them.

To add a protocol: one file here with the four functions of `Venue`, its ABI under abis/, one line in `VENUES`;
docs/add-a-protocol.md walks through it, tests/conformance holds the file against the protocol.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from eth_abi.exceptions import DecodingError

from keeper.chain import Block, Call, Log, Receipt
from keeper.errors import KeeperError, ReadError
from keeper.plans import Plan
from keeper.rpc import Rpc
from keeper.units import Ppm, Wad


@dataclass(frozen=True, slots=True)
class Market:
    """One perpetual market. Prices in USD with 18 decimals."""

    address: str
    name: str
    mark: Wad
    index: Wad
    feed: str  # the aggregator the venue itself prices from
    open: bool


@dataclass(frozen=True, slots=True)
class Collateral:
    """One token accepted beside the settlement token."""

    address: str
    name: str
    decimals: int
    price: int  # USD, `price_decimals`, as the venue values it (Curie: 15-minute TWAP)
    price_decimals: int
    ratio: Ppm  # share of its value that counts; haircut = 1 - ratio
    feed: str


@dataclass(frozen=True, slots=True)
class Parameters:
    """The venue-wide numbers that decide, in parts per million."""

    im_ratio: Ppm
    mm_ratio: Ppm
    mm_ratio_buffer: Ppm
    max_funding_rate: Ppm
    liquidation_penalty_ratio: Ppm


@dataclass(frozen=True, slots=True)
class Position:
    """One account in one market; 18 decimals, signed, long > 0, quote owed < 0.

    `base` and `quote` are the balances the initial-margin rule calls debt when negative; for an
    account without orders they equal `size` and `open_notional`.
    """

    market: int  # row in VenueState.markets
    size: Wad
    open_notional: Wad
    base: Wad
    quote: Wad
    pending_funding: Wad  # > 0: the account will pay


@dataclass(frozen=True, slots=True)
class Balance:
    collateral: int  # row in VenueState.collaterals
    amount: int  # that token's base units


@dataclass(frozen=True, slots=True)
class Account:
    address: str
    cash: int  # settlement token, `settlement_decimals`, signed
    owed_pnl: Wad
    pending_fee: Wad
    has_orders: bool
    positions: tuple[Position, ...]
    balances: tuple[Balance, ...]


@dataclass(frozen=True, slots=True)
class VenueState:
    """Everything a venue says at one block. An account is in `accounts` or in `unknown`, never in both."""

    venue: str
    block: Block
    settlement_decimals: int
    parameters: Parameters
    markets: tuple[Market, ...]
    collaterals: tuple[Collateral, ...]
    accounts: tuple[Account, ...]
    unknown: Mapping[str, str]  # account -> why it could not be read


@dataclass(frozen=True, slots=True)
class ExactMargin:
    """A venue's own rule in its own integers: the arbiter inside the engine's error band."""

    equity: int  # 18 decimals
    im: int
    mm: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a mined transaction did, read from its own logs."""

    achieved: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Sending:
    """One transaction, and which of the plans it carries out."""

    rows: tuple[int, ...]
    call: Call


class ForeignPlan(KeeperError):
    """A plan of a kind that this venue does not know: its journal or its policy is another venue's."""

    def __init__(self, venue: str, plan: Plan) -> None:
        super().__init__(f"{venue}: expected a plan of its own kinds, found {plan.kind}; is the journal this venue's?")


class Venue(Protocol):
    """A protocol deployment, as far as discovery and sending know it. Every method that reads names its block."""

    name: str

    def __init__(self, rpc: Rpc, address: str) -> None:
        """Find the deployment by the one address that is configured, `venue.clearing_house`.

        Raises MissingContract when there is no code there, ReadError when it is another contract.
        """

    def events(self) -> tuple[Sequence[str], Sequence[str]]:
        """Return the addresses and first topics whose logs can introduce an account."""

    def introduced(self, logs: Sequence[Log]) -> tuple[str, ...]:
        """Return the accounts these logs introduce."""

    def encode(self, plan: Plan) -> Call:
        """Return the call that carries out `plan`. Raises ForeignPlan for a kind that is not the venue's."""

    def sendings(self, plans: Sequence[Plan], gas: int, limits: Mapping[int, int]) -> tuple[Sending, ...]:
        """Return the transactions that carry out all plans, each plan in one of them, in the order of their first.

        Plans share a transaction only where one that fails leaves the others untouched, and within `gas`. `limits`
        are gas limits, by row, of the plans that were simulated alone.
        """

    def confirm(self, plan: Plan, receipt: Receipt) -> Effect:
        """Say from the receipt's logs whether `plan` happened, whatever else happened in it. Raises ForeignPlan."""

    def done(self, plan: Plan, first: int, last: int) -> bool:
        """Say from the logs of blocks `first` to `last`, both included, whether anybody did what `plan` is for."""


def each_alone(venue: Venue, plans: Sequence[Plan]) -> tuple[Sending, ...]:
    return tuple(Sending((row,), venue.encode(plan)) for row, plan in enumerate(plans))


class PerpetualVenue(Venue, Protocol):
    """A venue of perpetuals: what it reads is a VenueState."""

    kind: Literal["perpetual"]

    def read(self, block: Block, accounts: Sequence[str]) -> VenueState:
        """Read every account exactly at `block`; one that cannot be read is `unknown`, never zero.

        Raises ReadError when the venue itself (markets, parameters) cannot be read.
        """

    def exact(self, state: VenueState, account: Account) -> ExactMargin:
        """Return the venue's own margin numbers for one account in integers."""

    def parameter(self, state: VenueState, name: str) -> int | None:
        """Return a settable parameter's number at `state`'s block, ppm; None where it is not known."""


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Make a ReadError, `what` was not read, of an answer that is missing, too short or another contract's."""
    try:
        yield
    except (ValueError, DecodingError) as e:
        raise ReadError(f"{what} not read: {e}") from e
