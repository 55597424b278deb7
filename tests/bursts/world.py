"""What a burst needs of a venue, and one Anvil whose state is put back before each run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from eth_account.signers.local import LocalAccount

from keeper.chain import Block
from keeper.chaos import ChaosProxy
from keeper.demo.anvil import Anvil, start_anvil
from keeper.rpc import Rpc

BLOCK_GAS = 30_000_000
SETUP_GAS = 400_000_000
ETHER = 10**18


class Burst(Protocol):
    """A venue with `size` accounts that one block will endanger."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def url(self) -> str:
        """The node's own, behind the proxy."""

    @property
    def rpc(self) -> Rpc: ...

    @property
    def key(self) -> LocalAccount: ...

    def write_config(self, folder: Path, url: str) -> Path:
        """Write the keeper's configuration; its keystore will be in the same folder."""

    def endanger(self, proxy: ChaosProxy) -> Block:
        """Make the block at which all accounts are liquidatable and return it; no earlier one shows it."""

    def effects(self, since: int) -> Mapping[str, int]:
        """Return how many of the accounts each kind of event happened to after block `since`, by the chain's logs."""

    def endangered(self) -> int:
        """Return how many of the accounts the venue's own rules would let be liquidated at the newest block."""


@contextmanager
def roomy_anvil() -> Iterator[Anvil]:
    """Blocks large enough to set a world up in a few; `tightened` makes them what the burst is measured with."""
    with start_anvil(gas_limit=SETUP_GAS, extra=("--order", "fifo")) as anvil:
        yield anvil


def tightened(rpc: Rpc) -> None:
    """From the next block on a block holds BLOCK_GAS; mines it, by hand from here on."""
    rpc.call("evm_setAutomine", False)
    rpc.call("evm_setBlockGasLimit", hex(BLOCK_GAS))
    rpc.call("evm_mine")


@contextmanager
def undone(rpc: Rpc) -> Iterator[None]:
    """Put the chain back afterwards, whatever was done to it."""
    snapshot = rpc.call("evm_snapshot")
    try:
        yield
    finally:
        rpc.call("anvil_dropAllTransactions")
        assert rpc.call("evm_revert", snapshot) is True
