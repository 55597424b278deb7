"""The reference venue on Anvil beside the integer twin: board, reports, slices and honest arrays.

Whatever the owner or publisher says is said to the contracts and remembered here as the twin's records, never read
back: what the contracts make of it is what is tested. Legs and collateral are handed to `Margin` as a book.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from eth_utils.crypto import keccak

from keeper.abi import interface
from keeper.demo.transactions import Batch, role
from keeper.reference.board import USDC, WAD, WBTC, WETH, Board, Collateral, Token
from keeper.reference.board import Limits as Terms
from keeper.reference.board import Underlying as Listing
from keeper.reference.deploy import deploy, enlist
from keeper.reference.reports import Observation, Reporters, observation
from keeper.rpc import Rpc, RpcRefusal
from keeper.twin.ramps import GRACE, HaircutRamp, MarginRamp, ScanRamp, settled
from keeper.twin.records import (
    Book,
    Check,
    CollateralType,
    Instrument,
    Report,
    Slice,
    content_id,
    listing_id,
)
from keeper.twin.words import expiry_words, packed, terms
from keeper.twin.world import Epoch, Limits, Underlying, World
from keeper.venues.reference_steward import steward_of
from tests.twin_worlds import MARGIN, SCAN, STABLE

HOUR, DAY = 3_600, 86_400
CALL_GAS = 200_000_000
SENT_GAS = 12_000_000
OWNER = role("reference owner")
REPORTERS = Reporters.named("reference world")
PRICES = (3_000 * WAD, 60_000 * WAD, WAD)
LIMITS = Limits(report_age=300, epoch_age=2_400, slice_age=600, window=600)
BOND = 10**12
TOKENS = ((WETH, 0, 1_000), (WBTC, 1, 1_500), (Token("Six", "SIX", 6), 2, 600))  # token, underlying, haircut
SOON = (4 * HOUR, 6 * HOUR)  # expiries that the tests live to see
EXPIRIES = (
    (*SOON, DAY, 3 * DAY, 10 * DAY, 40 * DAY, 200 * DAY),
    (*SOON, 2 * DAY, 7 * DAY, 30 * DAY, 90 * DAY, 400 * DAY),
)
STRIKES = (500, 800, 900, 950, 980, 1_000, 1_020, 1_050, 1_100, 1_300)  # per mille of the first price
BOARD = Board(
    settlement=USDC,
    underlyings=tuple(
        Listing(
            symbol, PRICES[u], SCAN if u < 2 else STABLE, replace(MARGIN, concentration_from=free * WAD), u < 2,
            expiries=EXPIRIES[u] if u < 2 else (), strikes=STRIKES if u < 2 else (),
        )
        for u, (symbol, free) in enumerate((("ETH", 500), ("BTC", 40), ("USD", 10**6)))
    ),
    collaterals=tuple(Collateral(token, u, haircut, 10**30) for token, u, haircut in TOKENS),
    limits=Terms(*astuple(LIMITS), BOND, heartbeat=10 * DAY, fine_per_second=0),
)  # fmt: skip
"""Concentration counts in larger books, and nobody is ever late."""


@dataclass(slots=True)
class _Known:
    """One underlying as the owner and the publisher have told it."""

    scans: list[ScanRamp]  # version 1 first
    margin: MarginRamp
    over: int = 0  # last expiry that is settled
    sequence: int = 1  # the deployment has reported once
    report: Report | None = None
    slices: dict[int, Slice] = field(default_factory=dict)
    epochs: list[tuple[int, Epoch]] = field(default_factory=list)  # completed at, epoch
    board: dict[int, tuple[Instrument, ...]] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Of the scan that the newest report is used with: the last one written by its time."""
        written = [n for n, ramp in enumerate(self.scans, start=1) if ramp.start - GRACE <= self.report.timestamp]
        return max(written, default=1)

    @property
    def scan(self) -> ScanRamp:
        return self.scans[self.version - 1]


class Refused(Exception):
    """The contract reverted; `name` is the error's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class ReferenceWorld:
    """One deployment, and the twin's picture of it."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self.batch = Batch(rpc)
        self.manifest = deploy(rpc, self.batch, OWNER, BOARD, REPORTERS)
        contracts = self.manifest.contracts
        mint = interface("demo/MintableToken").function("mint").packed(contracts.settlement_token, OWNER, BOND)
        self.batch.add(OWNER, mint, "mint the bond")
        enlist(self.batch, self.manifest, OWNER, BOND)
        self.batch.mine()
        self.start = rpc.block().timestamp
        self.now = self.start
        self.haircuts = {n: HaircutRamp(haircut, haircut, 0) for n, (_, _, haircut) in enumerate(TOKENS)}
        self.known = {
            u: _Known([settled(listing.scan)], MarginRamp(listing.margin, listing.margin, 0))
            for u, listing in enumerate(BOARD.underlyings)
        }
        self.steward = self._steward()
        for u, listed in enumerate(self.manifest.underlyings):
            for expiry in listed.expiries:
                both = [(strike, call) for strike in listed.strikes for call in (True, False)]
                self.known[u].board[expiry] = tuple(Instrument(u, expiry, *option, n) for n, option in enumerate(both))

    def expiry(self, u: int, place: int) -> int:
        """The underlying's expiry in this place of the board, unix seconds."""
        return self.manifest.underlyings[u].expiries[place]

    # ---- saying ----

    def report(self, prices: Mapping[int, int], at: int) -> None:
        """Report these underlyings at time `at`, in a block of that time."""
        self.now = at
        self.rpc.call("evm_setNextBlockTimestamp", hex(at))
        seen = [self._observed(u, price, at) for u, price in prices.items()]
        call = REPORTERS.reports(self.manifest.contracts.prices, self.manifest.chain_id, seen)
        self.batch.add(OWNER, call, "reports", gas=SENT_GAS)
        self.batch.mine()

    def fit(self, underlyings: Iterable[int]) -> None:
        """Fit every live expiry anew at the newest report: a smile with a skew."""
        fitted = []
        for u in underlyings:
            known = self.known[u]
            price = known.report.price
            for expiry in self.live(u):
                known.slices[expiry] = Slice(
                    u, expiry, self.now, price * 1_004 // 1_000, price,
                    30 * WAD // 100, 40 * WAD // 100, -30 * WAD // 100, 5 * WAD // 100, 40 * WAD // 100,
                )  # fmt: skip
                fitted.append(known.slices[expiry])
        call = REPORTERS.slices(self.manifest.contracts.surface, self.manifest.chain_id, fitted)
        self.batch.add(OWNER, call, "slices", gas=SENT_GAS)
        self.batch.mine()

    def publish(self, u: int) -> None:
        """Publish the arrays of every live expiry on the newest report."""
        known = self.known[u]
        arrays = {}
        for expiry in self.live(u):
            scan = known.scan.at(known.report.timestamp)
            words = expiry_words(terms(known.report, known.slices[expiry], scan), known.board[expiry])
            ids = (self.id(known.report), self.id(known.slices[expiry]))
            listed = listing_id(known.board[expiry], known.scan.words, _keccak)
            arrays_of = b"".join(packed(w) for w in words)
            self._say("risk_arrays", "RiskArrays", "publish", u, expiry, *ids, known.version, listed, arrays_of)
            arrays[expiry] = words
        self.batch.mine()
        epoch = Epoch(known.report.price, known.report.timestamp, known.scan.at(known.report.timestamp), arrays)
        known.epochs.append((self.rpc.block().timestamp, epoch))

    def list_later(self, u: int, expiry: int, strike: int) -> Instrument:
        """List one more call; there is no array for it until the next publication. Strike in 10⁻⁸ USD."""
        known = self.known[u]
        added = Instrument(u, expiry, strike, True, len(known.board[expiry]))
        self._say("products", "Products", "listOptions", u, expiry, [strike], [True])
        self.batch.mine()
        known.board[expiry] += (added,)
        return added

    # ---- the steward ----

    def write_scan(self, u: int, **changes: int) -> None:
        known = self.known[u]
        last = known.scans[-1]
        to = replace(last.to, **changes)
        known.scans.append(last.written(to, self._steer("setScanParameters", u, astuple(to))))

    def write_margin(self, u: int, **changes: int) -> None:
        known = self.known[u]
        to = replace(known.margin.to, **changes)
        known.margin = known.margin.written(to, self._steer("setMarginParameters", u, astuple(to)))

    def write_haircut(self, n: int, haircut: int) -> None:
        token, u, _ = TOKENS[n]
        kind = (self.manifest.collaterals[n], token.decimals, u, haircut, 10**30)
        self.haircuts[n] = self.haircuts[n].written(haircut, self._steer("setCollateral", n, kind))

    def hold(self) -> None:
        """Stop MM's rates and haircuts where they are."""
        for known_u in (0, 1):
            self.known[known_u].margin = self.known[known_u].margin.held(self._steer("holdMargin", known_u))
        for n in self.haircuts:
            self.haircuts[n] = self.haircuts[n].held(self._steer("holdHaircut", n))

    def _steer(self, name: str, *arguments: Any) -> int:
        """Say it as the steward does; returns the block's time."""
        self._say("products", "Products", name, *arguments, sender=self.steward)
        self.batch.mine()
        return self.rpc.block().timestamp

    def _steward(self) -> str:
        """Return who may change parameters; the owner, where the deployment has named nobody."""
        named = steward_of(self.rpc, self.manifest.contracts.products, self.rpc.block())
        if named is not None:
            return named
        self._say("products", "Products", "wireSteward", OWNER)
        self.batch.mine()
        return OWNER

    # ---- time ----

    def pass_until(self, at: int) -> None:
        """Let time pass, and settle every expiry on the way at its time."""
        for when in sorted({e for known in self.known.values() for e in known.board if self.now < e < at} | {at}):
            self.report({u: known.report.price for u, known in self.known.items()}, when)

    def live(self, u: int) -> list[int]:
        """Expiries with options later than the newest report, ascending."""
        return [expiry for expiry in self.known[u].board if expiry > self.known[u].report.timestamp]

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo afterwards whatever the test says, on the chain and in the picture."""
        known, haircuts, now = deepcopy(self.known), dict(self.haircuts), self.now
        snapshot = self.rpc.call("evm_snapshot")
        try:
            yield
        finally:
            assert self.rpc.call("evm_revert", snapshot) is True
            self.known, self.haircuts, self.now, self.batch = known, haircuts, now, Batch(self.rpc)

    # ---- asking ----

    def world(self, at: int | None = None) -> World:
        """The twin's picture at the newest block, with parameters as they are `at` another time if one is given."""
        now = at or self.rpc.block().timestamp
        underlyings = {}
        for u, known in self.known.items():
            over = [epoch for completed, epoch in known.epochs if completed + LIMITS.window <= now]
            newest = known.epochs[-1][1] if known.epochs else None
            underlyings[u] = Underlying(
                report=known.report,
                scan=known.scan.at(known.report.timestamp),
                margin=known.margin.to,
                mm=known.margin.mm(now),
                slices=known.slices,
                current=newest,
                settled=over[-1] if over else None,
            )
        return World(now, underlyings, self._collaterals(now), LIMITS)

    def _collaterals(self, now: int) -> tuple[CollateralType, ...]:
        return tuple(
            CollateralType(int(address, 16), token.decimals, u, ramp.to, 10**30, ramp.mm(now))
            for address, (token, u, _), ramp in zip(
                self.manifest.collaterals, TOKENS, self.haircuts.values(), strict=True
            )
        )

    def checks(self, name: str, books: Sequence[Book], scenarios: Sequence[int] | None = None) -> list[Check | Refused]:
        """Ask `Margin` for the statement of every book."""
        selector = interface("reference/Margin").function(name).selector
        asked = [selector + _book(book, None if scenarios is None else scenarios[i]) for i, book in enumerate(books)]
        return [_check(answer) for answer in self._calls(self.manifest.contracts.margin, asked)]

    def marks(self, instruments: Sequence[Instrument]) -> list[int]:
        """Ask `Margin` for marks, wad."""
        selector = interface("reference/Margin").function("mark").selector
        asked = [selector + i.id.to_bytes(32) for i in instruments]
        return [int(str(answer), 16) for answer in self._calls(self.manifest.contracts.margin, asked)]

    def recomputed(self, instruments: Sequence[Instrument]) -> list[bytes]:
        """Ask `RiskArrays` for the arrays it computes itself on the newest reports and slices."""
        function = interface("reference/RiskArrays").function("recompute")
        asked = [
            function.selector
            + self.id(self.known[i.underlying].report)
            + self.id(self.known[i.underlying].slices[i.expiry])
            + self.known[i.underlying].version.to_bytes(32)
            + i.id.to_bytes(32)
            for i in instruments
        ]
        answers = self._calls(self.manifest.contracts.risk_arrays, asked)
        return [function.values(bytes.fromhex(answer[2:]))[0] for answer in answers]

    def id(self, record: Report | Slice) -> bytes:
        """The content id that the relay must have given a record."""
        contracts = self.manifest.contracts
        relay = contracts.surface if isinstance(record, Slice) else contracts.prices
        return content_id(record, int(relay, 16), self.manifest.chain_id, _keccak)

    def _calls(self, to: str, asked: Sequence[bytes]) -> list[Any]:
        answers: list[Any] = []
        for at in range(0, len(asked), 100):
            messages = [{"to": to, "data": "0x" + a.hex(), "gas": hex(CALL_GAS)} for a in asked[at : at + 100]]
            answers += self.rpc.batch([("eth_call", [message, "latest"]) for message in messages])
        return answers

    def _say(self, address: str, contract: str, name: str, *arguments: Any, sender: str = OWNER) -> None:
        to = getattr(self.manifest.contracts, address)
        message = interface(f"reference/{contract}").function(name).packed(to, *arguments)
        self.batch.add(sender, message, name, gas=SENT_GAS)

    def _observed(self, u: int, price: int, at: int) -> Observation:
        """Remember a report as the store will keep it, and return what the owner says of it."""
        known = self.known[u]
        confidence = price // 2_000 + u
        seen = Observation(u, at, price, confidence)
        if known.report is not None:
            last = known.report
            known.over = last.fixing_expiry if last.fixed_share == WAD else known.over
            seen = observation(last, min((e for e in known.board if e > known.over), default=0), at, price, confidence)
        known.sequence += 1
        known.report = Report(
            underlying=u, timestamp=at, fixing_expiry=seen.fixing_expiry, sequence=known.sequence, price=price,
            confidence=confidence, funding_rate=0, funding_index=0,
            fixed_share=seen.fixed_share, fixed_average=seen.fixed_average,
        )  # fmt: skip
        return seen


def _keccak(message: bytes) -> bytes:
    return bytes(keccak(message))


def _check(answer: Any) -> Check | Refused:
    if isinstance(answer, RpcRefusal):
        for contract in ("reference/Margin", "reference/RiskArrays", "keeper/PriceRelay"):
            if name := interface(contract).error_named(answer.revert[:4]):
                return Refused(name)
        return Refused(answer.revert.hex())
    raw = bytes.fromhex(answer[2:])
    return Check(*(int.from_bytes(raw[at : at + 32], signed=at == 0) for at in (0, 32, 64)))


def _book(book: Book, scenarios: int | None) -> bytes:
    """Encode `(int256 cash, uint256[] legs, uint256[] collateral)`, then the scenarios where there are any."""
    legs, held = [leg.packed for leg in book.legs], [holding.packed for holding in book.collateral]
    body = [book.cash, 96, 128 + 32 * len(legs), len(legs), *legs, len(held), *held]
    head = [32] if scenarios is None else [64, scenarios]
    return b"".join((word % 2**256).to_bytes(32) for word in head + body)
