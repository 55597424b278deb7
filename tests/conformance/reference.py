"""The reference venue for the kit: six traders of options, two market makers, and a hand that may write its storage."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from eth_utils.crypto import keccak

from keeper.abi import interface
from keeper.auctions import AuctionPolicy
from keeper.chain import Block, Call
from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import Batch, adopt
from keeper.memory import Memory
from keeper.plans import EndAuction, Plan, PublishArrays, StartAuction, TakeAuction
from keeper.portfolios import PortfolioLine, PortfolioPolicy
from keeper.publish import PPM, Publishing
from keeper.reference.inbox import Signed
from keeper.reference.relaying import plan_of
from keeper.reference.reports import PRICE_RELAY, Observation, signature
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.twin.records import Check, Instrument
from keeper.twin.words import ROWS
from keeper.venues.portfolio import account_id
from tests.chain.reference_market import (
    KEEPER,
    MAKER,
    REPORTERS,
    TRADERS,
    USDC,
    WAD,
    Market,
    Wish,
    fill,
    named,
    open_market,
)
from tests.conformance.contract import Act, Truth

MAKERS: Final = (named(MAKER), named(MAKER, 1))
NEWCOMER: Final = named(TRADERS[7], 9)
NOTHING: Final = (1 << 256) - 1
SLOTS: Final = 64  # where the venue's mappings may start
CASH_BITS: Final = 128
Words = tuple[int, Sequence[int], Sequence[int]]


@dataclass
class ReferenceWorld:
    rpc: Rpc
    market: Market
    accounts: tuple[str, ...]
    name: str = "reference"

    @property
    def address(self) -> str:
        return self.market.manifest.contracts.venue

    @property
    def start_block(self) -> int:
        return self.market.manifest.start_block

    @property
    def targets(self) -> frozenset[str]:
        c = self.market.manifest.contracts
        return frozenset({c.auctions, c.risk_arrays, c.prices, c.surface})

    def asked(self, block: Block, accounts: Sequence[str]) -> Mapping[str, Truth]:
        return {account: self._truth(block, account) for account in accounts}

    def _truth(self, block: Block, account: str) -> Truth:
        newest = self._said(block, "byArrays", self._book(block, account))
        assert newest is not None
        return Truth(newest.equity, newest.im, newest.mm, self._excess(block, account) < 0)

    def _excess(self, block: Block, account: str) -> int:
        """Return equity over MM by the worst proof that would start an auction: both arrays, or a row."""
        book = self._book(block, account)
        both = [self._said(block, "byArrays", book), self._said(block, "bySettledArrays", book)]
        held = {leg >> 248 for leg in book[1]}  # an instrument's id begins with its underlying
        rows = [NOTHING ^ sum((0xFF ^ row) << 8 * u for u in held) for row in range(ROWS)]
        proofs = [self._said(block, "byScenario", book, row) for row in rows]
        arrays = [] if None in both else [max(check.excess for check in both if check)]
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

    def to_margin(self, steps: int) -> str:
        account = self.accounts[0]
        self._add_cash(account, steps - self._excess(self.rpc.block(), account))
        return account

    def acts(self) -> Iterator[Act]:
        self._report(990)
        for plan in self._plans(PublishArrays):
            if isinstance(plan, PublishArrays) and plan.underlying == 0:
                yield Act(plan, KEEPER.address, watched=False)
        deep = self._said(self.rpc.block(), "byArrays", self._book(self.rpc.block(), self.accounts[0]))
        assert deep is not None
        self.to_margin(-deep.mm // 4)
        yield Act(self._plans(StartAuction)[0], KEEPER.address)
        self.to_margin(deep.mm)
        yield Act(self._plans(EndAuction)[0], KEEPER.address)
        self.to_margin(-deep.mm // 4)
        yield Act(self._plans(StartAuction)[0], KEEPER.address)
        self.rpc.call("evm_mine")
        yield Act(self._plans(TakeAuction)[0], MAKER.address)
        yield Act(self._signed_report(991), KEEPER.address)

    def _plans(self, kind: type[Plan]) -> list[Plan]:
        """Return what the keeper would do now, of this kind."""
        policy = PortfolioPolicy(
            AuctionPolicy(True, True, MAKERS, 0.0, 0.0, 50, 3_600, True, 0),
            Publishing(True, after_move=PPM // 2, after_shift=PPM // 400, after_seconds=10**9),
            KEEPER.address,
            3,
        )
        line = PortfolioLine(self.market.venue, policy, lambda _: Memory())
        sight = line.read(self.rpc.block(), self.accounts, ())
        plans, holds = sight.decisions(sight.verdicts())
        found = [plan for plan in plans if isinstance(plan, kind)]
        assert found, f"no {kind.__name__}: {holds}"
        return found

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

    def _add_cash(self, account: str, more: int) -> None:
        venue, key = self.address, account_id(account).to_bytes(32)
        slots = [int.from_bytes(keccak(key + slot.to_bytes(32))) for slot in range(SLOTS)]
        contents = self.rpc.batch([("eth_getStorageAt", (venue, hex(slot), "latest")) for slot in slots])
        low = (1 << CASH_BITS) - 1
        cash = self._book(self.rpc.block(), account)[0]
        (found,) = [
            (slot, int(str(held), 16))
            for slot, held in zip(slots, contents, strict=True)
            if int(str(held), 16) & low == cash & low
        ]
        slot, packed = found
        written = packed & ~low | (cash + more) & low
        self.rpc.call("anvil_setStorageAt", venue, hex(slot), f"0x{written:064x}")
        self.rpc.call("evm_mine")

    def _book(self, block: Block, account: str) -> Words:
        function = interface("reference/MarginVenue").function("book")
        words: Words = function.values(self._answer(block, function.call(self.address, account_id(account))))[0]
        return words

    def _said(self, block: Block, name: str, book: Words, *arguments: int) -> Check | None:
        """Return what the margin contract itself says; None where it refuses."""
        function = interface("reference/Margin").function(name)
        call = function.packed(self.market.manifest.contracts.margin, book, *arguments)
        (answer,) = self.rpc.eth_calls([call], block)
        if isinstance(answer, RpcRefusal):
            return None
        return Check(*(int.from_bytes(answer[at : at + 32], signed=at == 0) for at in (0, 32, 64)))

    def _answer(self, block: Block, call: Call) -> bytes:
        return answered(self.rpc.eth_calls([call], block))[0]


@contextmanager
def reference_world() -> Iterator[ReferenceWorld]:
    with start_anvil(gas_limit=400_000_000) as anvil:
        rpc = Rpc(anvil.url, timeout_s=60.0)
        rpc.call("anvil_setBlockTimestampInterval", 1)  # chain time goes with the blocks, however slow the test is
        market = open_market(rpc)
        market.fund(100_000 * USDC)
        wishes = tuple(_wishes(market))
        fill(market, wishes, MAKERS)
        adopt(rpc, [KEEPER.address, MAKER.address])
        yield ReferenceWorld(rpc, market, (*(wish.name for wish in wishes), *MAKERS))


def _wishes(market: Market) -> Iterator[Wish]:
    """Yield accounts in one underlying each, so that the rows that can be shown of one are few."""
    rng = random.Random(11)
    for number in range(6):
        u = number % 2
        legs: dict[Instrument, int] = {}
        for _ in range(3):
            size = rng.choice((-1, 1)) * rng.randint(1, 20) * WAD // (10 if u == 0 else 200)
            legs[market.option(u, rng.randint(0, 2), rng.randint(0, 4), is_call=rng.random() < 0.5)] = size
        key = TRADERS[number]
        yield Wish(named(key, number), key, tuple(legs.items()), 4.0)
