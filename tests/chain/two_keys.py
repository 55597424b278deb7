"""The world of a fleet: Curie after a fall, and a second key with ether and collateral beside the usual one."""

from collections.abc import Iterator
from contextlib import contextmanager

from eth_account import Account
from lane_world import ETHER, Fallen, fallen_world

from keeper.demo.curie import USDC, deposit
from keeper.demo.traders import BEAR, CRASH
from keeper.demo.transactions import Batch

SIZE = 20
"""Liquidatable accounts that a test takes; there are a few more."""
SECOND = Account.from_key("0x" + "6e" * 32)
DEPOSIT = 20_000_000 * USDC


@contextmanager
def two_key_world() -> Iterator[Fallen]:
    with fallen_world(traders=30, profiles=(*[CRASH] * 5, BEAR), gas_limit=60_000_000) as fallen:
        fallen.rpc.call("anvil_setBalance", SECOND.address, hex(100 * ETHER))
        batch = Batch(fallen.rpc)
        deposit(batch, fallen.deployment, SECOND.address, DEPOSIT)  # it takes the positions over
        batch.mine()
        yield fallen
