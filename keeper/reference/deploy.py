"""The reference venue in a few dozen transactions: tokens, contracts, board, first reports, first slices.

Everything is owned by the account that deploys. Arrays are published afterwards, by whoever is allowed to.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keeper.abi import checksummed, interface, keccak256
from keeper.chain import Call
from keeper.demo.transactions import Batch
from keeper.errors import ChainError
from keeper.reference.artifacts import constructor_words, creation_code
from keeper.reference.board import Board, Token, Underlying
from keeper.reference.facts import read_facts
from keeper.reference.manifest import OWNED, Contracts, Deployed, Listed, Manifest
from keeper.reference.reports import PRICE_RELAY, SURFACE_RELAY, Observation, Reporters, Signers, fitted
from keeper.reference.runtime import is_runtime
from keeper.rpc import Rpc, answered
from keeper.twin.records import Slice

BPS = 10**4
EXPIRY_STEP = 60
STRIKE_STEP = 10**10  # wad in 10⁻⁸ USD
LISTING_GAS = 12_000_000
SETTER_GAS = 1_000_000
CREATION_GAS = 14_000_000
"""RiskArrays brings a second contract with it."""
TOKEN = "demo/MintableToken"
EXECUTOR = "keeper/KeeperExecutor"
FEED_DECIMALS = 8


class WrongCode(ChainError):
    """Another contract than ours stands where a deployment put one."""


def deploy(
    rpc: Rpc,
    batch: Batch,
    owner: str,
    board: Board,
    reporters: Reporters | Signers,
    *,
    opened_at: int | None = None,
    start_block: int | None = None,
    new_owner: str | None = None,
) -> Manifest:
    """Deploy `board` with `owner` as sender of everything; returns where it is, once it is mined.

    The reporters become the relays' signers, and where their keys are known they sign the first reports and slices.
    Expiries count from `opened_at`, block time, now by default. A batch that has sent some of it already is given the
    same again. `new_owner` has to accept what he is offered last.

    Raises TransactionFailed with the first transaction that the node or a contract refused, WrongCode where the chain
    has another contract than was created.
    """
    head = rpc.block()
    site = Site(batch, owner)
    tokens = [_token(site, token) for token in (board.settlement, *(c.token for c in board.collaterals))]
    contracts = _contracts(site, board, tokens[0])
    builder = _Board(site, contracts, board, reporters, head.timestamp if opened_at is None else opened_at)
    builder.name_signers()
    builder.add_underlyings()
    builder.add_collaterals(tokens[1:])
    batch.mine()
    site.verified(rpc)  # before anything is listed on it
    listed = builder.open_board(rpc)
    feeds = tuple(_feed(site, contracts.prices, number, u) for number, u in enumerate(board.underlyings))
    _companions(site, contracts, board, owner if new_owner is None else new_owner)
    if new_owner is not None:
        _hand_over(site, contracts, new_owner)
    batch.mine()
    manifest = Manifest(
        chain_id=rpc.chain_id(),
        start_block=head.number + 1 if start_block is None else start_block,
        owner=owner if new_owner is None else new_owner,
        contracts=contracts,
        signers=reporters.addresses,
        underlyings=listed,
        collaterals=tuple(tokens[1:]),
        feeds=feeds,
        deployed=site.verified(rpc),
    )
    return replace(manifest, facts=read_facts(rpc, manifest, rpc.block()))


class Site:
    """Queues one owner's transactions, and remembers what he creates."""

    def __init__(self, batch: Batch, owner: str) -> None:
        self.batch = batch
        self.owner = owner
        self._created: list[tuple[str, str, str, str, int]] = []

    def create(self, name: str, path: str, *arguments: Any) -> str:
        """Queue a contract of abis/; `name` is what the manifest calls it."""
        place = self.batch.queued
        code = creation_code(path, *arguments)
        address = self.batch.create(self.owner, code, f"create {name}", gas=CREATION_GAS)
        words = constructor_words(path, *arguments).hex()
        self._created.append((name, path, address, f"0x{words}", place))
        return address

    def add(self, call: Call, what: str, gas: int = SETTER_GAS) -> None:
        self.batch.add(self.owner, call, what, gas=gas)

    def verified(self, rpc: Rpc) -> tuple[Deployed, ...]:
        """Return what stands on the chain, all mined. Raises WrongCode where it is not what was created."""
        codes = answered(rpc.codes([created[2] for created in self._created], rpc.block()))
        found = []
        for (name, path, address, arguments, place), code in zip(self._created, codes, strict=True):
            if not is_runtime(path, code):
                raise WrongCode(
                    f"{name}: expected the runtime of abis/{path}.json at {address}, found {len(code)} other bytes; "
                    "do not use this deployment"
                )
            block = self.batch.mined[place].block_number
            found.append(Deployed(name, path, address, arguments, "0x" + keccak256(code).hex(), block))
        return tuple(found)


def enlist(batch: Batch, manifest: Manifest, publisher: str, bond: int) -> None:
    """Queue what makes `publisher` one: the owner's word and his own bond, settlement-token base units he holds."""
    token, arrays = manifest.contracts.settlement_token, manifest.contracts.risk_arrays
    terms = interface("reference/RiskArrays")
    allow = terms.function("setPublisher").packed(arrays, publisher, True)
    batch.add(manifest.owner, allow, f"allow publisher {publisher}", gas=SETTER_GAS)
    approve = interface("demo/MintableToken").function("approve").packed(token, arrays, bond)
    batch.add(publisher, approve, "approve the bond", gas=SETTER_GAS)
    batch.add(publisher, terms.function("bond").packed(arrays, bond), "bond", gas=SETTER_GAS)


def _token(site: Site, token: Token) -> str:
    if token.address is not None:
        return checksummed(token.address)
    return site.create(token.symbol, TOKEN, token.name, token.symbol, token.decimals)


def _contracts(site: Site, board: Board, settlement: str) -> Contracts:
    limits, relays, owner = board.limits, board.relays, site.owner
    products = site.create("products", "reference/Products", settlement, limits.auction_discount, owner)
    surface = site.create("surface", SURFACE_RELAY, products, relays.max_age, owner)
    prices = site.create("prices", PRICE_RELAY, surface, relays.max_age, owner)
    terms = (limits.challenge_window, limits.fund_share, limits.bond, limits.heartbeat, limits.fine_per_second)
    publishing_ages = (limits.max_report_age, limits.max_slice_age)
    peers = (prices, products, settlement)
    risk_arrays = site.create("risk_arrays", "reference/RiskArrays", *peers, terms, *publishing_ages, owner)
    ages = (limits.max_report_age, limits.max_epoch_age, limits.max_slice_age)
    margin = site.create("margin", "reference/Margin", prices, products, risk_arrays, *ages)
    venue = site.create("venue", "reference/MarginVenue", owner, (prices, products, risk_arrays, margin), settlement)
    settings = (
        limits.auction_buffer, limits.auction_discount, limits.auction_growth, limits.auction_start_gas,
        limits.bonus, limits.bonus_period,
    )  # fmt: skip
    auctions = site.create("auctions", "reference/Auctions", venue, margin, prices, products, settings, owner)
    site.add(interface("reference/MarginVenue").function("wireAuctions").packed(venue, auctions), "wire auctions")
    site.add(interface("reference/RiskArrays").function("wireVenue").packed(risk_arrays, venue), "wire venue")
    return Contracts(venue, auctions, margin, risk_arrays, products, prices, surface, settlement)


def _feed(site: Site, prices: str, number: int, u: Underlying) -> str:
    return site.create(f"feed_{u.symbol}", "keeper/RelayFeed", prices, number, FEED_DECIMALS, f"{u.symbol} / USD")


def _companions(site: Site, c: Contracts, board: Board, admin: str) -> None:
    """Queue what stands beside the venue and is `admin`'s from the beginning."""
    if board.steward is not None:
        parties = (admin, board.steward.controller or admin, board.steward.guardian or admin)
        steward = site.create("steward", "keeper/RiskSteward", c.products, c.venue, c.auctions, *parties)
        site.add(interface("reference/Products").function("wireSteward").packed(c.products, steward), "wire steward")
    if board.executor is not None:
        wish = board.executor
        peers = (c.venue, c.auctions, c.risk_arrays, c.products, c.settlement_token, wish.factory, wish.lender)
        relay_many = ((c.prices, PRICE_RELAY), (c.surface, SURFACE_RELAY))
        relays = [(to, interface(path).function("relayMany").selector) for to, path in relay_many]
        site.create("executor", EXECUTOR, admin, wish.operator, wish.receiver, peers, relays)


def _hand_over(site: Site, contracts: Contracts, new_owner: str) -> None:
    c, offer = contracts, interface("reference/MarginVenue").function("transferOwnership")
    for name in OWNED:
        site.add(offer.packed(getattr(c, name), new_owner), f"offer {name} to {new_owner}")


class _Board:
    """Queues what is traded: underlyings and collaterals, then expiries with their slices and options."""

    def __init__(
        self, site: Site, contracts: Contracts, board: Board, reporters: Reporters | Signers, opened_at: int
    ) -> None:
        self._site = site
        self._contracts = contracts
        self._board = board
        self._reporters = reporters
        self._opened_at = opened_at

    def name_signers(self) -> None:
        for relay in (self._contracts.surface, self._contracts.prices):
            self._site.add(self._reporters.set_signers(relay), "name the signers")

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
            self._site.add(call, f"limits of {u.symbol}")

    def add_collaterals(self, tokens: Sequence[str]) -> None:
        for accepted, token in zip(self._board.collaterals, tokens, strict=True):
            kind = (token, accepted.token.decimals, accepted.underlying, accepted.haircut, accepted.cap)
            self._products("addCollateral", kind)

    def open_board(self, rpc: Rpc) -> tuple[Listed, ...]:
        """List expiries and options; report and fit at the chain's own time where the signers' keys are known."""
        expiries = [tuple(_rounded(self._opened_at + after) for after in u.expiries) for u in self._board.underlyings]
        now, chain_id = rpc.block().timestamp, rpc.chain_id()
        if isinstance(self._reporters, Reporters):
            self._site.add(self._first_reports(now, chain_id, self._reporters), "first reports", LISTING_GAS)
        for number, of_underlying in enumerate(expiries):
            for expiry in of_underlying:
                self._products("listExpiry", number, expiry)
        if isinstance(self._reporters, Reporters) and any(expiries):
            call = self._first_slices(now, chain_id, self._reporters, expiries)
            self._site.add(call, "first slices", LISTING_GAS)
        listed = tuple(self._list(number, of_underlying) for number, of_underlying in enumerate(expiries))
        self._site.batch.mine()
        return listed

    def _first_reports(self, now: int, chain_id: int, reporters: Reporters) -> Call:
        reports = [
            Observation(number, now, u.price, u.price * u.confidence_bps // BPS)
            for number, u in enumerate(self._board.underlyings)
        ]
        return reporters.reports(self._contracts.prices, chain_id, reports)

    def _first_slices(self, now: int, chain_id: int, reporters: Reporters, expiries: Sequence[tuple[int, ...]]) -> Call:
        slices = [
            first_slice(number, expiry, now, u)
            for number, u in enumerate(self._board.underlyings)
            for expiry in expiries[number]
        ]
        return reporters.slices(self._contracts.surface, chain_id, slices)

    def _list(self, number: int, expiries: tuple[int, ...]) -> Listed:
        u = self._board.underlyings[number]
        strikes = tuple(u.price * share // 1_000 // STRIKE_STEP for share in u.strikes)
        both = [strike for strike in strikes for _ in range(2)]
        for expiry in expiries:
            self._products("listOptions", number, expiry, both, [True, False] * len(strikes))
        return Listed(u.symbol, u.perpetual, expiries, strikes)

    def _products(self, name: str, *arguments: Any) -> None:
        call = interface("reference/Products").function(name).packed(self._contracts.products, *arguments)
        self._site.add(call, f"{name} {arguments[:2]}", LISTING_GAS)


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
