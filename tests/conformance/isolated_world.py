"""The isolated perpetual for the kit: deployed on Anvil, five traders and the keeper, a hand that may write storage."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode

from keeper.abi import ABIS, int_at, interface, keccak256
from keeper.chain import Block
from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import Batch, adopt, call, role
from keeper.plans import SetParameters
from keeper.rpc import Rpc, answered
from tests.conformance.contract import Act, Statement
from tests.conformance.deciding import liquidations

WAD = 10**18
PRICE = 3_000 * 10**8
ACCOUNTS_SLOT = 2  # after the owner and the ratio
OWNER, KEEPER = role("isolated owner"), role("isolated keeper")
TRADERS = tuple(role(f"isolated trader {n}") for n in range(5))
SIZES = (3, -3, 2, -1, 7)  # contracts, for 1,000 USD each of them and as much again
VENUE = interface("isolated/IsolatedPerpetual")


@dataclass
class IsolatedWorld:
    url: str
    rpc: Rpc
    address: str
    feed: str
    keeper: str = KEEPER
    name: str = "isolated"
    executor: None = None
    start_block: int = 0

    @property
    def accounts(self) -> tuple[str, ...]:
        return (*TRADERS, self.keeper)

    @property
    def targets(self) -> frozenset[str]:
        return frozenset({self.address})

    def asked(self, block: Block, accounts: Sequence[str]) -> Mapping[str, Statement]:
        """MM is one unit up: the contract takes over at equality, where the keeper does not."""
        margin, held = VENUE.function("margin"), VENUE.function("accounts")
        calls = [f.call(self.address, account) for account in accounts for f in (margin, held)]
        answers = iter(answered(self.rpc.eth_calls(calls, block)))
        found = {}
        for account, said, words in zip(accounts, answers, answers, strict=True):
            equity, im, mm = (int_at(said, row) for row in range(3))
            found[account] = Statement(equity, im, mm + (int_at(words, 1) != 0))
        return found

    def liquidatable(self, account: str) -> bool:
        call = VENUE.function("liquidate").call(self.address, account)
        block = self.rpc.block()
        return isinstance(self.rpc.simulate([call], self.keeper, block, block.timestamp + 1, 10**6)[0], bytes)

    def word(self, account: str) -> bytes:
        return int(account, 16).to_bytes(32)

    def introduce(self) -> str:
        batch, newcomer = Batch(self.rpc), role("isolated newcomer")
        batch.add(OWNER, VENUE.function("deposit").call(self.address, newcomer, WAD), "deposit")
        batch.mine()
        return newcomer

    def stir(self) -> None:
        self.push(PRICE * 999 // 1_000)

    def push(self, answer: int) -> None:
        """Mine a block with a new price, 8 decimals."""
        batch = Batch(self.rpc)
        batch.add(OWNER, call(self.feed, "push(int256)", answer), "push")
        batch.mine()

    def corners(self) -> Iterator[str]:
        one, other, *_ = TRADERS
        self._write(one, cash=-12_345 * WAD - 7)
        yield "negative cash"
        self._write(one, size=0, notional=0)
        self._write(other, cash=0, size=0, notional=0)
        yield "no positions"
        for seed in range(3):
            for account in TRADERS:
                rng = random.Random(f"{account} {seed}")
                self._write(account, *(rng.randint(-(10**k), 10**k) for k in (24, rng.randint(1, 21), 24)))
            yield f"a random book, seed {seed}"

    def to_margin(self, steps: int) -> str:
        return self._to_margin(TRADERS[0], steps)

    def together(self, venue: Any) -> tuple[Act, ...]:
        for trader in TRADERS[:3]:
            self._to_margin(trader, -WAD)
        return self._liquidations(venue)

    def acts(self, venue: Any) -> Iterator[Act]:
        self._to_margin(TRADERS[0], -WAD)
        yield from self._liquidations(venue)
        yield Act(SetParameters(self.name, "mm_ratio", 50_000, 60_000, "", 0), OWNER, watched=False)

    def terms(self, venue: Any) -> Iterator[Act]:  # noqa: ARG002 - its plans carry no number that it could be asked for
        return iter(())

    def _liquidations(self, venue: Any) -> tuple[Act, ...]:
        plans = liquidations(venue, self.rpc.block(), sorted(self.accounts))
        return tuple(Act(plan, self.keeper) for plan in plans)

    def _to_margin(self, account: str, steps: int) -> str:
        (words,) = answered(
            self.rpc.eth_calls([VENUE.function("accounts").call(self.address, account)], self.rpc.block())
        )
        said = self.asked(self.rpc.block(), [account])[account]
        self._write(account, cash=int_at(words) + steps - (said.equity - said.mm))
        return account

    def _write(
        self, account: str, cash: int | None = None, size: int | None = None, notional: int | None = None
    ) -> None:
        first = int.from_bytes(keccak256(self.word(account) + ACCOUNTS_SLOT.to_bytes(32)))
        for row, content in enumerate((cash, size, notional)):
            if content is not None:
                place, word = f"0x{first + row:064x}", f"0x{content % 2**256:064x}"
                self.rpc.call("anvil_setStorageAt", self.address, place, word)
        self.rpc.call("evm_mine")


@contextmanager
def isolated_world(keeper: str = KEEPER) -> Iterator[IsolatedWorld]:
    with start_anvil() as anvil:
        rpc = Rpc(anvil.url, timeout_s=60.0)
        world = _deployed(anvil.url, rpc, keeper)
        adopt(rpc, [keeper])
        yield world


def _deployed(url: str, rpc: Rpc, keeper: str) -> IsolatedWorld:
    batch = Batch(rpc)
    token = batch.create(OWNER, _code("demo/MintableToken", "Dai", "DAI", 18), "token")
    feed = batch.create(OWNER, _code("demo/SettableAggregator", "ETH / USD", 8), "feed")
    batch.add(OWNER, call(feed, "push(int256)", PRICE), "push")
    venue = batch.create(OWNER, _code("isolated/IsolatedPerpetual", token, feed), "venue")
    batch.add(OWNER, call(token, "mint(address,uint256)", OWNER, 10**30), "mint")
    batch.add(OWNER, call(token, "approve(address,uint256)", venue, 2**256 - 1), "approve")
    for trader, size in zip((*TRADERS, keeper), (*SIZES, 0), strict=True):
        cash = 1_000 * (1 + abs(size)) * WAD if size else 10**6 * WAD
        batch.add(OWNER, VENUE.function("deposit").call(venue, trader, cash), "deposit")
        if size:
            batch.add(trader, VENUE.function("trade").call(venue, size * WAD), "trade")
    batch.mine()
    return IsolatedWorld(url, rpc, venue, feed, keeper)


def _code(path: str, *arguments: object) -> bytes:
    document = json.loads((ABIS / f"{path}.json").read_text())
    (inputs,) = [entry["inputs"] for entry in document["abi"] if entry["type"] == "constructor"]
    return bytes.fromhex(document["bytecode"][2:]) + encode([i["type"] for i in inputs], arguments)
