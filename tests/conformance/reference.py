"""The reference venue for the kit: six traders, two market makers, and a hand that may write its storage."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from keeper.abi import interface
from keeper.auctions import AuctionPolicy
from keeper.chain import Block
from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import Batch, adopt
from keeper.plans import EndAuction, Plan, PublishArrays, StartAuction, TakeAuction, WriteParameters
from keeper.portfolios import PortfolioPolicy
from keeper.publish import PPM, Publishing
from keeper.reference.inbox import Signed
from keeper.reference.relaying import plan_of
from keeper.reference.reports import PRICE_RELAY, Observation, signature
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.twin.records import Book, Check, Holding, Instrument, Leg
from keeper.twin.words import ROWS
from keeper.venues.portfolio import account_id, account_name
from tests.chain.reference_market import (
    FUND,
    KEEPER,
    MAKER,
    OWNER,
    REPORTERS,
    TRADERS,
    USDC,
    WAD,
    Market,
    fill,
    named,
    open_market,
)
from tests.conformance.contract import Act, Operated, Statement
from tests.conformance.deciding import P, decisions
from tests.conformance.reference_books import Books
from tests.conformance.reference_start import BOARD, MAKERS, MOST_TOKENS, bring, delegate, wishes_of
from tests.conformance.reference_terms import CASES, asked_of

FUND_NAME: Final = account_name(FUND, "0x" + "0" * 40)
NEWCOMER: Final = named(TRADERS[7], 9)
NOTHING: Final = (1 << 256) - 1
RANDOM_BOOKS: Final = 3
IM_SCALAR: Final = 11  # IRiskSteward.Field
TERMS: Final = (10_000, 15_000, 500, 60)
"""What the steward takes of an IM scalar: low, high, step, BPS, and seconds between two writes."""

POLICY: Final = PortfolioPolicy(
    AuctionPolicy(True, True, MAKERS, 0.0, 0.0, 50, 3_600, True, 0),
    Publishing(True, after_move=PPM // 2, after_shift=PPM // 400, after_seconds=10**9),
    KEEPER.address,
    3,
)


Words = tuple[int, Sequence[int], Sequence[int]]


@dataclass
class ReferenceWorld:
    rpc: Rpc
    market: Market
    accounts: tuple[str, ...]
    storage: Books
    name: str = "reference"

    @property
    def address(self) -> str:
        return self.market.manifest.contracts.venue

    @property
    def executor(self) -> Operated:
        (address,) = [one.address for one in self.market.manifest.deployed if one.name == "executor"]
        return Operated(address, KEEPER.address)

    @property
    def start_block(self) -> int:
        return self.market.manifest.start_block

    @property
    def targets(self) -> frozenset[str]:
        c = self.market.manifest.contracts
        return frozenset({c.auctions, c.risk_arrays, c.prices, c.surface, self.market.steward()})

    def asked(self, block: Block, accounts: Sequence[str]) -> Mapping[str, Statement]:
        said = self._said(block, [("byArrays", book) for book in self._books(block, accounts)])
        found = {}
        for account, check in zip(accounts, said, strict=True):
            assert check is not None, f"{account}: the margin contract refuses it"
            found[account] = Statement(check.equity, check.im, check.mm)
        return found

    def liquidatable(self, account: str) -> bool:
        return self._excess(self.rpc.block(), account) < 0

    def _excess(self, block: Block, account: str) -> int:
        """Return equity over MM by the worst proof that would start an auction: both arrays, or a row."""
        (book,) = self._books(block, [account])
        held = {leg >> 248 for leg in book[1]}  # an instrument's id begins with its underlying
        rows = [NOTHING ^ sum((0xFF ^ row) << 8 * u for u in held) for row in range(ROWS)]
        newest, settled, *proofs = self._said(
            block, [("byArrays", book), ("bySettledArrays", book), *(("byScenario", book, row) for row in rows)]
        )
        arrays = [max(newest.excess, settled.excess)] if newest and settled else []
        return min([*arrays, *(check.excess for check in proofs if check)])

    def word(self, account: str) -> bytes:
        return account_id(account).to_bytes(32)

    def introduce(self) -> str:
        self._anew()
        self.market.deposit(NEWCOMER, 50 * USDC)
        self.market.mine()
        return NEWCOMER

    def stir(self) -> None:
        self._report(999)

    def corners(self) -> Iterator[str]:
        trader, other, *_ = self.accounts[2:]
        self._write(trader, Book(-12_345 * WAD - 7, self._legs(random.Random(1), 2), (Holding(0, 9 * WAD),)))
        yield "negative cash"
        self._write(trader, Book(3 * WAD + 1, (), ()))
        self._write(other, Book(0, (), ()))
        yield "no positions, nor cash"
        many = (0, 1, 2, 3, 4, 5, 21, MOST_TOKENS - 1)
        held = tuple(Holding(i, 10 ** self.market.board.collaterals[i].token.decimals + i) for i in many)
        self._write(trader, Book(WAD, self._legs(random.Random(2), 3), held))
        yield f"as many collaterals as allowed, the last of {MOST_TOKENS} among them"
        self._write(trader, Book(10_000 * WAD, (*self._legs(random.Random(3), 2), self._expired(0)), ()))
        yield "an expiry that is settled and not yet touched"
        for seed in range(RANDOM_BOOKS):
            for account in self.accounts[:6]:
                self.storage.write(account, self._drawn(random.Random(f"{account} {seed}")))
            self.rpc.call("evm_mine")
            yield f"a random book, seed {seed}"

    def _drawn(self, rng: random.Random) -> Book:
        tokens = sorted(rng.sample(range(MOST_TOKENS), rng.randint(0, 8)))
        held = tuple(
            Holding(i, rng.randint(1, 10 ** (2 + self.market.board.collaterals[i].token.decimals))) for i in tokens
        )
        return Book(rng.choice((-1, 1)) * rng.randint(0, 10**24), self._legs(rng, rng.randint(0, 40)), held)

    def _legs(self, rng: random.Random, count: int) -> tuple[Leg, ...]:
        listed = [Instrument(u) for u in (0, 1)]
        for u, expiry, strike in itertools.product((0, 1), range(3), range(5)):
            listed += [self.market.option(u, expiry, strike, is_call=is_call) for is_call in (True, False)]
        sizes = (rng.choice((-1, 1)) * rng.randint(1, 10 ** rng.randint(1, 20)) for _ in range(count))
        return tuple(Leg(instrument, size) for instrument, size in zip(rng.sample(listed, count), sizes, strict=True))

    def _expired(self, underlying: int) -> Leg:
        """Return a long call whose expiry is over and settled in the money, as nobody has touched it since."""
        strike, expiry = 2_000, self.rpc.block().timestamp - 3_600
        self.storage.settle(underlying, expiry, (strike + 500) * WAD)
        return Leg(Instrument(underlying, expiry, strike * 10**8, True, 0), 7 * WAD // 2)

    def _write(self, account: str, book: Book) -> None:
        self.storage.write(account, book)
        self.rpc.call("evm_mine")

    def to_margin(self, steps: int) -> str:
        return self._to_margin(self.accounts[0], steps)

    def _to_margin(self, account: str, steps: int) -> str:
        self.storage.add_cash(account, steps - self._excess(self.rpc.block(), account))
        self.rpc.call("evm_mine")
        return account

    def together(self, venue: Any) -> tuple[Act, ...]:
        accounts = self.accounts[:6]
        for account, said in self.asked(self.rpc.block(), accounts).items():
            self._to_margin(account, -said.mm // 4)
        return tuple(Act(plan, KEEPER.address) for plan in self._plans(venue, StartAuction))

    def terms(self, venue: Any) -> Iterator[Act]:
        """Takes where each rule of the auction binds, then two publications: the second goes on with the epoch."""
        for case in CASES:
            account = self.accounts[case.row]
            mm = self.asked(self.rpc.block(), [account])[account].mm
            self._to_margin(account, mm * case.equity // 1_000 - mm)
            yield Act(self._plans(venue, StartAuction)[0], KEEPER.address)
            self.storage.add_cash(FUND_NAME, case.fund - self.storage.cash(FUND_NAME))
            self.market.next_block(60)
            self.rpc.call("evm_mine")
            plan = self._plans(venue, TakeAuction)[0]
            asks = asked_of(self.rpc, self.market.manifest.contracts.auctions, plan, MAKER.address)
            yield Act(plan, MAKER.address, asks=asks)
        self._report(990)
        for _ in range(2):
            yield Act(self._plans(venue, PublishArrays)[0], KEEPER.address)

    def acts(self, venue: Any) -> Iterator[Act]:
        self._report(990)
        for plan in self._plans(venue, PublishArrays):
            if plan.underlying == 0:
                yield Act(plan, KEEPER.address, watched=False)
        deep = self.asked(self.rpc.block(), self.accounts[:1])[self.accounts[0]]
        self.to_margin(-deep.mm // 4)
        yield Act(self._plans(venue, StartAuction)[0], KEEPER.address)
        self.to_margin(deep.mm)
        yield Act(self._plans(venue, EndAuction)[0], KEEPER.address)
        self.to_margin(-deep.mm // 4)
        yield Act(self._plans(venue, StartAuction)[0], KEEPER.address)
        self.rpc.call("evm_mine")
        yield Act(self._plans(venue, TakeAuction)[0], MAKER.address)
        yield Act(self._signed_report(991), KEEPER.address)
        self.market.next_block(TERMS[-1])
        self.rpc.call("evm_mine")
        old = self.market.board.underlyings[0].margin.im_scalar
        changes = f"im_scalar:0={old}>{old + TERMS[2]}"
        yield Act(WriteParameters("reference", "underlying:0", changes, "", 0), KEEPER.address)

    def _plans(self, venue: Any, kind: type[P]) -> list[P]:
        return decisions(venue, self.rpc.block(), self.accounts, POLICY, kind)

    def _report(self, per_mille: int) -> None:
        """Report the two underlyings at so much of their first prices, and slices that moved with them."""
        self._anew()
        self.market.next_block(2)
        first = [u.price for u in self.market.board.underlyings]
        self.market.report([*(price * per_mille // 1_000 for price in first[:2]), *first[2:]], fit=True)
        self.market.mine()

    def _signed_report(self, per_mille: int) -> Plan:
        """Mine a block; return the plan that brings a report of its time."""
        self.market.next_block(2)
        self.rpc.call("evm_mine")
        c, price = self.market.manifest, self.market.board.underlyings[0].price * per_mille // 1_000
        signed = Signed(Observation(0, self.market.at, price, price // 2_000), c.chain_id, c.contracts.prices, ())
        by = tuple("0x" + signature(signed.digest, key).hex() for key in REPORTERS.keys)
        return plan_of("reference", PRICE_RELAY, [replace(signed, signatures=by)], 0)

    def _anew(self) -> None:
        """Forget nonces of a chain that may have been rolled back."""
        self.market.batch = Batch(self.rpc)

    def _books(self, block: Block, accounts: Sequence[str]) -> list[Words]:
        """Return accounts as the margin rules see them, in the contract's words."""
        book = interface("reference/MarginVenue").function("book")
        calls = [book.call(self.address, account_id(account)) for account in accounts]
        return [book.values(answer)[0] for answer in answered(self.rpc.eth_calls(calls, block))]

    def _said(self, block: Block, asked: Sequence[tuple[Any, ...]]) -> list[Check | None]:
        """Return what the margin contract itself says to each (function, arguments …); None where it refuses."""
        margin, to = interface("reference/Margin"), self.market.manifest.contracts.margin
        answers = self.rpc.eth_calls([margin.function(name).packed(to, *given) for name, *given in asked], block)
        return [
            None
            if isinstance(answer, RpcRefusal)
            else Check(*(int.from_bytes(answer[at : at + 32], signed=at == 0) for at in (0, 32, 64)))
            for answer in answers
        ]


@contextmanager
def reference_world() -> Iterator[ReferenceWorld]:
    with start_anvil(gas_limit=400_000_000) as anvil:
        rpc = Rpc(anvil.url, timeout_s=60.0)
        rpc.call("anvil_setBlockTimestampInterval", 1)  # chain time goes with the blocks, however slow the test is
        market = open_market(rpc, BOARD)
        market.fund(100_000 * USDC)
        steered = interface("keeper/RiskSteward").function("setTerms").packed(market.steward(), IM_SCALAR, 0, TERMS)
        market.batch.add(OWNER, steered, "terms of the IM scalar of underlying 0")
        wishes = tuple(wishes_of(market))
        fill(market, wishes, MAKERS)
        adopt(rpc, [KEEPER.address, MAKER.address])
        delegate(market)
        for row, wish in enumerate(wishes[3:], 1):
            for index in range(row):
                bring(market, wish, index)
        market.mine()
        contracts = market.manifest.contracts
        storage = Books.of(rpc, contracts.venue, contracts.prices, wishes[0].name)
        yield ReferenceWorld(rpc, market, (*(wish.name for wish in wishes), *MAKERS), storage)
