"""Perp Curie for the kit: its own bytecode on Anvil, eight traders, and a hand that may write its storage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from eth_utils.crypto import keccak

from keeper.abi import int_at
from keeper.chain import Block, Call
from keeper.demo.anvil import start_anvil
from keeper.demo.curie import DEPLOYER, USDC, deploy, deposit, push_prices
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.traders import open_book
from keeper.demo.transactions import Batch, call, role
from keeper.plans import Liquidate, SetParameters
from keeper.rpc import Rpc, answered
from tests.conformance.contract import Act, Truth

TRADERS = 8
SLOTS = 600  # where Curie's mappings start: beyond its base contracts' gaps
UNIT = 10**12  # equity's, of 18 decimals: a millionth of a dollar
ROUND_PRICE = 16 * 10**12 * 10**18
"""USD, 18 decimals. At this price MM, a sixteenth of the position's value, is a whole number of UNITs: equity, which
is floored to them, can be equal to it."""


@dataclass
class CurieWorld:
    rpc: Rpc
    deployment: Deployment
    name: str = "perp_curie"

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

    def asked(self, block: Block, accounts: Sequence[str]) -> Mapping[str, Truth]:
        c = self.deployment.contracts
        (im_ratio,) = self._ints(block, [call(c.clearing_house_config, "getImRatio()")])
        return {account: self._truth(block, account, im_ratio) for account in accounts}

    def _truth(self, block: Block, account: str, im_ratio: int) -> Truth:
        c = self.deployment.contracts
        calls = [
            call(c.vault, "getAccountValue(address)", account),
            call(c.account_balance, "getMarginRequirementForLiquidation(address)", account),
            call(c.account_balance, "getTotalDebtValue(address)", account),
        ]
        equity, mm, debt = self._ints(block, calls)
        signature = "getLiquidatablePositionSize(address,address,int256)"
        sized = call(c.account_balance, signature, account, self.base_token, equity * UNIT)
        (size,) = self._ints(block, [sized])
        return Truth(equity * UNIT, debt * im_ratio // 10**6, mm, size != 0)

    def word(self, account: str) -> bytes:
        return _word(int(account, 16))

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

    def acts(self) -> Iterator[Act]:
        keeper, name, account = self.deployment.keeper, self.name, self.deployment.accounts[0]
        truth = self.asked(self.rpc.block(), [account])[account]
        self._excess(account, -truth.mm // UNIT // 4)
        yield Act(Liquidate(name, account, self.base_token, 1.0, 1.0, 0), keeper)
        token = self.deployment.collaterals[0].token
        for parameter, new in ((f"collateral_ratio:{token}", 650_000), ("mm_ratio_buffer", 25_000)):
            yield Act(SetParameters(name, parameter, 0, new, "", 0), keeper, watched=False)
        yield Act(SetParameters(name, "max_funding_rate", 0, 123_456, "", 0), keeper, watched=False)

    def _excess(self, account: str, units: int) -> None:
        """Write the account's USDC so that equity exceeds MM by so many units, up to the unit."""
        slot, cash = self._slot_of_cash(account)
        truth = self.asked(self.rpc.block(), [account])[account]
        wanted = cash + units - (truth.equity - truth.mm) // UNIT
        vault = self.deployment.contracts.vault
        self.rpc.call("anvil_setStorageAt", vault, hex(slot), f"0x{wanted % 2**256:064x}")
        self.rpc.call("evm_mine")

    def _slot_of_cash(self, account: str) -> tuple[int, int]:
        c = self.deployment.contracts
        (cash,) = self._ints(self.rpc.block(), [call(c.vault, "getBalance(address)", account)])
        slots = [slot for inner in _mapped(account, range(SLOTS)) for slot in _mapped(c.usdc, [inner])]
        contents = self.rpc.batch([("eth_getStorageAt", (c.vault, hex(slot), "latest")) for slot in slots])
        (found,) = [s for s, held in zip(slots, contents, strict=True) if int(str(held), 16) == cash % 2**256]
        return found, cash

    def _ints(self, block: Block, calls: Sequence[Call]) -> list[int]:
        return [int_at(answer) for answer in answered(self.rpc.eth_calls(calls, block))]


@contextmanager
def curie_world() -> Iterator[CurieWorld]:
    with start_anvil() as anvil:
        deployed = deploy(anvil.url, keeper_address=role("keeper"))
        opened = open_book(anvil.url, deployed, traders=TRADERS)
        rpc = Rpc(anvil.url, timeout_s=30.0)
        rpc.call("anvil_setBlockTimestampInterval", 12)  # feeds refuse two answers of one second
        yield CurieWorld(rpc, opened)


def _mapped(key: str, slots: Iterable[int]) -> list[int]:
    """Return where mappings that start at `slots` keep the entry of an address (Solidity's storage layout)."""
    return [int.from_bytes(keccak(_word(int(key, 16)) + _word(slot))) for slot in slots]


def _word(number: int) -> bytes:
    return number.to_bytes(32)
