"""A hand in Curie's storage: cash, position and collateral of a trader, without a trade.

Its mappings are searched for by what they must hold (Solidity's storage layout): they start beyond gaps of its base
contracts, at slots that its artifacts do not tell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.abi import int_at, keccak256
from keeper.chain import Call
from keeper.demo.deployment import Deployment
from keeper.demo.transactions import call
from keeper.rpc import Rpc, answered

SLOTS: Final = range(600)


@dataclass(frozen=True, slots=True)
class CurieBooks:
    """Writes what accounts hold in one market and one collateral."""

    rpc: Rpc
    deployment: Deployment
    balances: int  # slot of the vault's trader → token → amount
    positions: int  # slot of trader → base token → size, open notional, premium growth

    @classmethod
    def of(cls, rpc: Rpc, deployment: Deployment) -> "CurieBooks":
        c, trader, base = deployment.contracts, deployment.accounts[0], deployment.markets[0].base_token
        (cash,) = _ints(rpc, [call(c.vault, "getBalance(address)", trader)])
        sized = call(c.account_balance, "getTotalPositionSize(address,address)", trader, base)
        (size,) = _ints(rpc, [sized])
        return cls(
            rpc,
            deployment,
            _found(rpc, c.vault, (trader, c.usdc), cash),
            _found(rpc, c.account_balance, (trader, base), size),
        )

    def cash(self, account: str) -> int:
        return _ints(self.rpc, [call(self.deployment.contracts.vault, "getBalance(address)", account)])[0]

    def write(
        self,
        account: str,
        cash: int | None = None,
        size: int | None = None,
        notional: int | None = None,
        collateral: int | None = None,
    ) -> None:
        """Write what is given, in the protocol's units, and mine. Collateral only changes where there is some."""
        d, c = self.deployment, self.deployment.contracts
        token = d.collaterals[0].token
        at = _entry(self.positions, account, d.markets[0].base_token)
        held = _ints(self.rpc, [call(c.vault, "getBalanceByToken(address,address)", account, token)])[0]
        words = (
            (c.vault, _entry(self.balances, account, c.usdc), cash),
            (c.account_balance, at, size),
            (c.account_balance, at + 1, notional),
            (c.vault, _entry(self.balances, account, token), collateral if held else None),
        )
        self.rpc.batch(
            [
                ("anvil_setStorageAt", (contract, f"0x{place:064x}", f"0x{content % 2**256:064x}"))
                for contract, place, content in words
                if content is not None
            ]
        )
        self.rpc.call("evm_mine")


def _found(rpc: Rpc, contract: str, keys: Iterable[str], content: int) -> int:
    """Return the slot of the mapping that holds this under these keys."""
    keys = tuple(keys)
    asked = [("eth_getStorageAt", (contract, f"0x{_entry(slot, *keys):064x}", "latest")) for slot in SLOTS]
    held = [int(str(word), 16) for word in rpc.batch(asked)]
    (slot,) = [slot for slot, word in zip(SLOTS, held, strict=True) if word == content % 2**256]
    return slot


def _entry(slot: int, *keys: str) -> int:
    for key in keys:
        slot = int.from_bytes(keccak256(int(key, 16).to_bytes(32) + slot.to_bytes(32)))
    return slot


def _ints(rpc: Rpc, calls: Sequence[Call]) -> list[int]:
    return [int_at(answer) for answer in answered(rpc.eth_calls(calls, rpc.block()))]
