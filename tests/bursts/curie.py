"""Perp Curie: a trade moves the pool, and half an hour later the mark follows for everybody at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.abi import interface, topic_address
from keeper.chain import Block
from keeper.chaos import ChaosProxy
from keeper.demo.config import write_config
from keeper.demo.curie import deploy
from keeper.demo.deployment import Deployment
from keeper.demo.pool import MORE_THAN_ENOUGH, TICK, open_position, pool_price, sqrt_price_x96
from keeper.demo.traders import POSITION_GAS, Profile, open_book
from keeper.demo.transactions import Batch, call
from keeper.rpc import Rpc, answered
from tests.bursts.world import roomy_anvil, tightened

KEY: LocalAccount = Account.from_key("0x" + "5b" * 32)
FALL_TICKS = 900
"""8.6 %: liquidatable from 7.2 to 8 times leverage on, and nobody's equity is gone."""
LATER_S = 31 * 60
"""Curie's mark is a 30-minute average of the pool."""
LONG = Profile(True, 7.4, 7.9)


@dataclass
class CurieBurst:
    url: str
    rpc: Rpc
    deployment: Deployment
    name: str = "curie"
    key: LocalAccount = KEY

    @property
    def size(self) -> int:
        return len(self.deployment.accounts)

    def write_config(self, folder: Path, url: str) -> Path:
        path = write_config(folder, url, self.deployment, "live")
        text = path.read_text()
        for old, new in (
            ("max_liquidations_per_tick = 30", "max_liquidations_per_tick = 100\nset_parameters = false"),
            ("max_transactions_per_block = 30", "max_transactions_per_block = 100\nmax_ether_open = 100.0"),
        ):
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path

    def endanger(self, proxy: ChaosProxy) -> Block:
        """Sell into the pool in one block; the next one, 31 minutes later, is the one that endangers."""
        batch = Batch(self.rpc)
        target = pool_price(self.rpc, self.deployment.markets[0].pool) / TICK**FALL_TICKS
        sale = open_position(
            self.deployment, sell=True, amount=MORE_THAN_ENOUGH[True], limit_x96=sqrt_price_x96(target)
        )
        batch.add(self.deployment.arbitrageur, sale, "sale", gas=POSITION_GAS)
        batch.send()
        traded = proxy.mine()
        return proxy.mine(timestamp=traded.timestamp + LATER_S)

    def effects(self, since: int) -> dict[str, int]:
        topic = interface("perp_curie/ClearingHouse").event("PositionLiquidated").topic
        head, house = self.rpc.block().number, self.deployment.contracts.clearing_house
        logs = self.rpc.logs([house], [topic], since + 1, head) if head > since else []
        return {"PositionLiquidated": len({topic_address(log.topics[1]) for log in logs})}

    def endangered(self) -> int:
        c, base = self.deployment.contracts, self.deployment.markets[0].base_token
        block, accounts = self.rpc.block(), self.deployment.accounts
        asked = [call(c.vault, "getAccountValue(address)", account) for account in accounts]
        values = [int.from_bytes(v, signed=True) * 10**12 for v in answered(self.rpc.eth_calls(asked, block))]
        signature = "getLiquidatablePositionSize(address,address,int256)"
        pairs = zip(accounts, values, strict=True)
        sized = [call(c.account_balance, signature, account, base, equity) for account, equity in pairs]
        return sum(any(size) for size in answered(self.rpc.eth_calls(sized, block)))


@contextmanager
def curie_burst(size: int) -> Iterator[CurieBurst]:
    with roomy_anvil() as anvil:
        rpc = Rpc(anvil.url, timeout_s=120.0)
        deployed = deploy(anvil.url, keeper_address=KEY.address)
        deployment = open_book(anvil.url, deployed, traders=size, profiles=(LONG,))
        tightened(rpc)
        yield CurieBurst(anvil.url, rpc, deployment)
