"""What the signer of a keeper's configuration may sign: the calls its venue and policy can need, with their bounds."""

from collections.abc import Iterator
from dataclasses import dataclass

from keeper.abi import address_at
from keeper.chain import Call
from keeper.config import Config
from keeper.decide import Policy
from keeper.errors import ConfigError
from keeper.plans import (
    EndAuction,
    Liquidate,
    PublishArrays,
    RelayReports,
    SetParameters,
    StartAuction,
    TakeAuction,
    WriteParameters,
)
from keeper.venues.base import PerpetualVenue
from keeper.venues.executor_jobs import Kind
from keeper.venues.portfolio import PortfolioVenue

NOBODY = "0x" + "0" * 40
NO_ID = "0x" + "0" * 64
WORD = 32


@dataclass(frozen=True, slots=True)
class Bounded:
    """One argument by its name: the lowest and the highest it may be, both included."""

    argument: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Named:
    """One argument that is an address: the only one it may be, checksummed."""

    argument: str
    address: str


@dataclass(frozen=True, slots=True)
class Rows:
    """One argument that is a list of structs of numbers: each must fit one row, (low, high) of every field; no more
    elements than rows."""

    argument: str
    rows: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """One argument that is an array: most elements."""

    argument: str
    most: int


Bound = Bounded | Named | Rows | Counted


@dataclass(frozen=True, slots=True)
class AllowedCall:
    """One function of one contract, with the bounds of its arguments."""

    to: str
    function: str  # named, as in Solidity
    bounds: tuple[Bound, ...] = ()


def allowed_calls(config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy) -> tuple[AllowedCall, ...]:
    """Return every call the keeper can need with this configuration, each once."""
    found = _perpetual(venue, policy) if venue.kind == "perpetual" else _portfolio(config, venue, policy)
    return tuple(dict.fromkeys(found))


def _portfolio(config: Config, venue: PortfolioVenue, policy: Policy) -> Iterator[AllowedCall]:
    """Yield a call of every kind. Nothing in their structs is bounded here: the venue moves a taker's money only for
    the taker's owner or his delegate. An executor's jobs are, to the take that the keeper has it make."""
    name = venue.name
    start = StartAuction(name, NOBODY, 0, False, 0, 0, 0.0, 0, 0)
    take = TakeAuction(name, NOBODY, NOBODY, 0, 0, 0, 0, 0, False, 0, False, 0, 0.0, 0, 0)
    if config.policy.liquidate:
        yield _plain(venue.encode(start))
        for sending in venue.sendings([start, start], config.signer.max_gas, {}):
            yield _plain(sending.call)
    if config.portfolio.take:
        call = venue.encode(take)
        yield _plain(call) if config.portfolio.executor is None else _job(config, call)
    if config.portfolio.end:
        yield _plain(venue.encode(EndAuction(name, NOBODY, 0, 0, 0, 0.0, 0, 0)))
    if config.portfolio.publish:
        yield _plain(venue.encode(PublishArrays(name, 0, 0, NO_ID, NO_ID, 0, NO_ID, "0x", "", 0)))
    if config.reports.inbox is not None:
        for relay in venue.relays:
            yield _plain(venue.encode(RelayReports(name, relay, "", "0x", 0)))
    if policy.set_parameters and policy.rules and venue.steward is not None:
        yield _written(venue, policy)


def _written(venue: PortfolioVenue, policy: Policy) -> AllowedCall:
    """Return a write of the steward: each of its changes is of one configured parameter, within its bounds."""
    rows = []
    for rule in policy.rules:
        low, high = sorted((rule.calm, rule.stressed))
        call = venue.encode(WriteParameters(venue.name, "", f"{rule.parameter}={low}>{low}", "", 0))
        count, field, of = (int.from_bytes(call.data[at : at + WORD]) for at in (36, 68, 100))
        if count != 1:
            raise ConfigError(f"{rule.parameter}: expected a call of one list of changes, found {call.function}")
        rows.append(((field, field), (of, of), (low, high), (low, high)))
    return AllowedCall(call.to, call.function, (Rows("changes", tuple(rows)),))


def _job(config: Config, call: Call) -> AllowedCall:
    """Return a job of one step, a take, without a loan and below the gas limit."""
    bounds = (
        Bounded("job.loan.amount", 0, 0),
        Counted("job.tokens", 1),
        Counted("job.steps", 1),
        Bounded("job.steps[*].kind", Kind.TAKE, Kind.TAKE),
        Bounded("job.steps[*].gas", 0, config.signer.max_gas),
    )
    return AllowedCall(call.to, call.function, bounds)


def _plain(call: Call) -> AllowedCall:
    return AllowedCall(call.to, call.function)


def _perpetual(venue: PerpetualVenue, policy: Policy) -> Iterator[AllowedCall]:
    """Yield liquidation of anybody, and each configured parameter inside its bounds."""
    if policy.liquidate:
        yield _plain(venue.encode(Liquidate(venue.name, NOBODY, NOBODY, 0.0, 0.0, 0)))
    for rule in policy.rules if policy.set_parameters else ():
        low, high = sorted((rule.calm, rule.stressed))
        call = venue.encode(SetParameters(venue.name, rule.parameter, low, low, "", 0))
        words = [call.data[i : i + WORD] for i in range(4, len(call.data), WORD)]
        arguments = _arguments(call)
        if len(arguments) != len(words):
            raise ConfigError(f"{rule.parameter}: expected a call of static arguments, found {call.function}")
        *fixed, (_, last) = arguments
        bounds = [_exactly(*argument, word) for argument, word in zip(fixed, words, strict=False)]
        yield AllowedCall(call.to, call.function, (*bounds, Bounded(last, low, high)))


def _exactly(kind: str, name: str, word: bytes) -> Bound:
    if kind == "address":
        return Named(name, address_at(word))
    number = int.from_bytes(word)
    return Bounded(name, number, number)


def _arguments(call: Call) -> list[tuple[str, str]]:
    """Return (type, name) of each argument."""
    inside = call.function[call.function.index("(") + 1 : -1]
    return [(part.split(" ")[0], part.split(" ")[-1]) for part in inside.split(",")] if inside else []
