"""Perp Curie for the kit: its own bytecode on Anvil, eight traders, and a hand that may write its storage."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keeper.abi import int_at
from keeper.chain import Block, Call
from keeper.demo.anvil import start_anvil
from keeper.demo.curie import DEPLOYER, USDC, deploy, deposit, push_prices
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.traders import open_book
from keeper.demo.transactions import Batch, call, role
from keeper.plans import SetParameters
from keeper.rpc import Rpc, answered
from tests.conformance.contract import Act, Statement
from tests.conformance.curie_books import CurieBooks
from tests.conformance.deciding import liquidations

TRADERS = 8
RANDOM_BOOKS = 3
UNIT = 10**12  # equity's, of 18 decimals: a millionth of a dollar
ROUND_PRICE = 16 * 10**12 * 10**18
"""USD, 18 decimals. At this price MM, a sixteenth of the position's value, is a whole number of UNITs: equity, which
is floored to them, can be equal to it."""


@dataclass
class CurieWorld:
    rpc: Rpc
    deployment: Deployment
    books: CurieBooks
    name: str = "perp_curie"
    executor: None = None

    @property
    def address(self) -> str:
        return self.deployment.contracts.clearing_house

    @property
    def start_block(self) -> int:
        return self.deployment.start_block

    @property
    def accounts(self) -> tuple[str, ...]:
        d = self.deployment
        return (*d.accounts, d.market_maker, d.arbitrageur, d.keeper)

    @property
    def targets(self) -> frozenset[str]:
        c = self.deployment.contracts
        return frozenset({c.clearing_house, c.collateral_manager, c.clearing_house_config})

    @property
    def base_token(self) -> str:
        return self.deployment.markets[0].base_token

    def asked(self, block: Block, accounts: Sequence[str]) -> Mapping[str, Statement]:
        c = self.deployment.contracts
        (im_ratio,) = self._ints(block, [call(c.clearing_house_config, "getImRatio()")])
        calls = [
            message
            for account in accounts
            for message in (
                call(c.vault, "getAccountValue(address)", account),
                call(c.account_balance, "getTotalDebtValue(address)", account),
                call(c.account_balance, "getMarginRequirementForLiquidation(address)", account),
            )
        ]
        words = iter(self._ints(block, calls))
        return {
            account: Statement(equity * UNIT, debt * im_ratio // 10**6, mm)
            for account, (equity, debt, mm) in zip(accounts, zip(words, words, words, strict=True), strict=True)
        }

    def liquidatable(self, account: str) -> bool:
        block = self.rpc.block()
        equity = self.asked(block, [account])[account].equity
        signature = "getLiquidatablePositionSize(address,address,int256)"
        balances = self.deployment.contracts.account_balance
        (size,) = self._ints(block, [call(balances, signature, account, self.base_token, equity)])
        return size != 0

    def word(self, account: str) -> bytes:
        return int(account, 16).to_bytes(32)

    def introduce(self) -> str:
        batch, newcomer = Batch(self.rpc), role("newcomer")
        deposit(batch, self.deployment, newcomer, 5 * USDC)
        batch.mine()
        return newcomer

    def stir(self) -> None:
        batch = Batch(self.rpc)
        push_prices(batch, self.deployment, BTC_MARCH_2020[0][1] * 1.001)
        batch.mine()

    def to_margin(self, steps: int) -> str:
        """In a market closed at a round price, so that equity can be equal to MM."""
        batch, account = Batch(self.rpc), self.deployment.accounts[0]
        (paused,) = self._ints(self.rpc.block(), [call(self.base_token, "isPaused()")])
        (closed,) = self._ints(self.rpc.block(), [call(self.base_token, "isClosed()")])
        if not (paused or closed):
            batch.add(DEPLOYER, call(self.base_token, "pause()"), "pause")
            batch.add(DEPLOYER, call(self.base_token, "close(uint256)", ROUND_PRICE), "close")
            batch.mine()
        self._excess(account, steps)
        return account

    def together(self, venue: Any) -> tuple[Act, ...]:
        accounts = self.deployment.accounts[:3]
        said = self.asked(self.rpc.block(), accounts)
        for account in accounts:
            self._excess(account, -said[account].mm // UNIT // 4)
        return self._liquidations(venue)

    def _liquidations(self, venue: Any) -> tuple[Act, ...]:
        plans = liquidations(venue, self.rpc.block(), sorted(self.accounts))
        return tuple(Act(plan, self.deployment.keeper) for plan in plans)

    def acts(self, venue: Any) -> Iterator[Act]:
        keeper, name, account = self.deployment.keeper, self.name, self.deployment.accounts[0]
        said = self.asked(self.rpc.block(), [account])[account]
        self._excess(account, -said.mm // UNIT // 4)
        yield from self._liquidations(venue)
        token = self.deployment.collaterals[0].token
        for parameter, new in ((f"collateral_ratio:{token}", 650_000), ("mm_ratio_buffer", 25_000)):
            yield Act(SetParameters(name, parameter, 0, new, "", 0), keeper, watched=False)
        yield Act(SetParameters(name, "max_funding_rate", 0, 123_456, "", 0), keeper, watched=False)

    def terms(self, venue: Any) -> Iterator[Act]:  # noqa: ARG002 - its plans carry no number that it could be asked for
        return iter(())

    def corners(self) -> Iterator[str]:
        one, *_ = self.deployment.accounts
        books = self.books
        books.write(one, cash=-12_345 * USDC - 7)
        yield "negative cash"
        books.write(one, size=0, notional=0)
        yield "no positions, though the market is still on its list"
        books.write(one, size=-9, notional=9)
        yield "a position of dust"
        for seed in range(RANDOM_BOOKS):
            for account in self.deployment.accounts:
                rng = random.Random(f"{account} {seed}")
                size, price = rng.choice((-1, 1)) * rng.randint(1, 10 ** rng.randint(1, 22)), rng.randint(10, 20_000)
                notional = -size * price + rng.randint(-(10**21), 10**21)
                books.write(account, rng.randint(-(10**12), 10**12), size, notional, rng.randint(0, 10**20))
            yield f"a random book, seed {seed}"

    def _excess(self, account: str, units: int) -> None:
        """Write the account's USDC so that equity exceeds MM by so many units, up to the unit."""
        said = self.asked(self.rpc.block(), [account])[account]
        self.books.write(account, self.books.cash(account) + units - (said.equity - said.mm) // UNIT)

    def _ints(self, block: Block, calls: Sequence[Call]) -> list[int]:
        return [int_at(answer) for answer in answered(self.rpc.eth_calls(calls, block))]


@contextmanager
def curie_world() -> Iterator[CurieWorld]:
    with start_anvil() as anvil:
        deployed = deploy(anvil.url, keeper_address=role("keeper"))
        opened = open_book(anvil.url, deployed, traders=TRADERS)
        rpc = Rpc(anvil.url, timeout_s=60.0)
        rpc.call("anvil_setBlockTimestampInterval", 12)  # feeds refuse two answers of one second
        yield CurieWorld(rpc, opened, CurieBooks.of(rpc, opened))
