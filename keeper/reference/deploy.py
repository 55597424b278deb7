"""The reference venue in a few dozen transactions: tokens, contracts, board, first reports, first slices.

Everything is owned by the account that deploys. Arrays are published afterwards, by whoever is allowed to.
"""

from collections.abc import Sequence
from typing import Any

from keeper.abi import checksummed, interface
from keeper.demo.transactions import Batch
from keeper.reference.artifacts import creation_code
from keeper.reference.board import Board, Token, Underlying
from keeper.reference.manifest import Contracts, Listed, Manifest
from keeper.reference.reports import PRICE_RELAY, SURFACE_RELAY, Observation, Reporters, fitted
from keeper.rpc import Rpc
from keeper.twin.records import Slice

BPS = 10**4
EXPIRY_STEP = 60
STRIKE_STEP = 10**10  # wad in 10⁻⁸ USD
LISTING_GAS = 12_000_000
SETTER_GAS = 1_000_000
CREATION_GAS = 14_000_000
"""RiskArrays brings a second contract with it."""


def deploy(rpc: Rpc, batch: Batch, owner: str, board: Board, reporters: Reporters) -> Manifest:
    """Deploy `board` with `owner` as sender of everything; returns where it is, once it is mined.

    The reporters become the relays' signers and sign the first reports and slices.

    Raises TransactionFailed with the first transaction that the node or a contract refused.
    """
    head = rpc.block()
    tokens = [_token(batch, owner, token) for token in (board.settlement, *(c.token for c in board.collaterals))]
    contracts = _contracts(batch, owner, board, tokens[0])
    builder = _Board(batch, owner, contracts, board, reporters)
    builder.name_signers()
    builder.add_underlyings()
    builder.add_collaterals(tokens[1:])
    batch.mine()
    listed = builder.open_board(rpc)
    return Manifest(
        chain_id=rpc.chain_id(),
        start_block=head.number + 1,
        owner=owner,
        contracts=contracts,
        signers=reporters.addresses,
        underlyings=listed,
        collaterals=tuple(tokens[1:]),
    )


def enlist(batch: Batch, manifest: Manifest, publisher: str, bond: int) -> None:
    """Queue what makes `publisher` one: the owner's word and his own bond, settlement-token base units he holds."""
    token, arrays = manifest.contracts.settlement_token, manifest.contracts.risk_arrays
    terms = interface("reference/RiskArrays")
    allow = terms.function("setPublisher").packed(arrays, publisher, True)
    batch.add(manifest.owner, allow, f"allow publisher {publisher}", gas=SETTER_GAS)
    approve = interface("demo/MintableToken").function("approve").packed(token, arrays, bond)
    batch.add(publisher, approve, "approve the bond", gas=SETTER_GAS)
    batch.add(publisher, terms.function("bond").packed(arrays, bond), "bond", gas=SETTER_GAS)


def _token(batch: Batch, owner: str, token: Token) -> str:
    if token.address is not None:
        return checksummed(token.address)
    code = creation_code("demo/MintableToken", token.name, token.symbol, token.decimals)
    return batch.create(owner, code, f"create {token.symbol}")


def _contracts(batch: Batch, owner: str, board: Board, settlement: str) -> Contracts:
    limits = board.limits

    def create(name: str, *arguments: Any, folder: str = "reference") -> str:
        return batch.create(owner, creation_code(f"{folder}/{name}", *arguments), f"create {name}", gas=CREATION_GAS)

    products = create("Products", settlement, limits.auction_discount, owner)
    surface = create("SurfaceRelay", products, board.relays.max_age, owner, folder="keeper")
    prices = create("PriceRelay", surface, board.relays.max_age, owner, folder="keeper")
    terms = (limits.challenge_window, limits.fund_share, limits.bond, limits.heartbeat, limits.fine_per_second)
    publishing_ages = (limits.max_report_age, limits.max_slice_age)
    risk_arrays = create("RiskArrays", prices, products, settlement, terms, *publishing_ages, owner)
    ages = (limits.max_report_age, limits.max_epoch_age, limits.max_slice_age)
    margin = create("Margin", prices, products, risk_arrays, *ages)
    venue = create("MarginVenue", owner, (prices, products, risk_arrays, margin), settlement)
    settings = (
        limits.auction_buffer, limits.auction_discount, limits.auction_growth, limits.auction_start_gas,
        limits.bonus, limits.bonus_period,
    )  # fmt: skip
    auctions = create("Auctions", venue, margin, prices, products, settings, owner)
    wire = interface("reference/MarginVenue").function("wireAuctions")
    batch.add(owner, wire.packed(venue, auctions), "wire auctions", gas=SETTER_GAS)
    wire = interface("reference/RiskArrays").function("wireVenue")
    batch.add(owner, wire.packed(risk_arrays, venue), "wire venue", gas=SETTER_GAS)
    return Contracts(venue, auctions, margin, risk_arrays, products, prices, surface, settlement)


class _Board:
    """Queues what is traded: underlyings and collaterals, then expiries with their slices and options."""

    def __init__(self, batch: Batch, owner: str, contracts: Contracts, board: Board, reporters: Reporters) -> None:
        self._batch = batch
        self._owner = owner
        self._contracts = contracts
        self._board = board
        self._reporters = reporters

    def name_signers(self) -> None:
        for relay in (self._contracts.surface, self._contracts.prices):
            self._add(self._reporters.set_signers(relay), "name the signers")

    def add_underlyings(self) -> None:
        for number, u in enumerate(self._board.underlyings):
            scan, margin = _fields(u.scan), _fields(u.margin)
            symbol = u.symbol.encode().ljust(32, b"\0")
            self._products("addUnderlying", symbol, u.perpetual, scan, margin)
            self._limit(number, u)

    def _limit(self, number: int, u: Underlying) -> None:
        prices, relays = self._contracts.prices, self._board.relays
        terms, surfaces = interface(PRICE_RELAY), interface(SURFACE_RELAY)
        calls = [
            terms.function("setPriceLimit").packed(prices, number, relays.price_limit, relays.price_period),
            surfaces.function("setSurfaceLimit").packed(
                self._contracts.surface, number, (relays.volatility_limit, relays.carry_limit, relays.surface_period)
            ),
        ]
        if u.funding_cap:
            calls.append(terms.function("setFundingLimits").packed(prices, number, u.funding_cap, u.funding_cap))
        for call in calls:
            self._batch.add(self._owner, call, f"limits of {u.symbol}", gas=SETTER_GAS)

    def add_collaterals(self, tokens: Sequence[str]) -> None:
        for accepted, token in zip(self._board.collaterals, tokens, strict=True):
            kind = (token, accepted.token.decimals, accepted.underlying, accepted.haircut, accepted.cap)
            self._products("addCollateral", kind)

    def open_board(self, rpc: Rpc) -> tuple[Listed, ...]:
        """Report, list, fit and list options, at the chain's own time."""
        now, chain_id = rpc.block().timestamp, rpc.chain_id()
        underlyings = self._board.underlyings
        expiries = [tuple(_rounded(now + after) for after in u.expiries) for u in underlyings]
        reports = [
            Observation(number, now, u.price, u.price * u.confidence_bps // BPS) for number, u in enumerate(underlyings)
        ]
        self._add(self._reporters.reports(self._contracts.prices, chain_id, reports), "first reports")
        for number, of_underlying in enumerate(expiries):
            for expiry in of_underlying:
                self._products("listExpiry", number, expiry)
        slices = [
            first_slice(number, expiry, now, u) for number, u in enumerate(underlyings) for expiry in expiries[number]
        ]
        if slices:
            self._add(self._reporters.slices(self._contracts.surface, chain_id, slices), "first slices")
        listed = []
        for number, (u, of_underlying) in enumerate(zip(underlyings, expiries, strict=True)):
            strikes = tuple(u.price * share // 1_000 // STRIKE_STEP for share in u.strikes)
            for expiry in of_underlying:
                both = [strike for strike in strikes for _ in range(2)]
                self._products("listOptions", number, expiry, both, [True, False] * len(strikes))
            listed.append(Listed(u.symbol, u.perpetual, of_underlying, strikes))
        self._batch.mine()
        return tuple(listed)

    def _products(self, name: str, *arguments: Any) -> None:
        call = interface("reference/Products").function(name).packed(self._contracts.products, *arguments)
        self._batch.add(self._owner, call, f"{name} {arguments[:2]}", gas=LISTING_GAS)

    def _add(self, call: Any, what: str) -> None:
        self._batch.add(self._owner, call, what, gas=LISTING_GAS)


def first_slice(number: int, expiry: int, now: int, u: Underlying) -> Slice:
    """Return the board's own smile as a slice fitted now."""
    smile = u.smile
    forward = u.price * smile.forward // 10**18
    return Slice(number, expiry, now, forward, u.price, smile.a, smile.b, smile.rho, smile.m, smile.s)


def _fields(record: Any) -> tuple[int, ...]:
    return fitted(record)


def _rounded(time: int) -> int:
    """Return the whole minute at or after `time`: where expiries may be."""
    return -(-time // EXPIRY_STEP) * EXPIRY_STEP
