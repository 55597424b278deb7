"""The deployment's transactions on any chain: signed by one key, sent in order, waited for."""

import time
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import HexStr

from keeper.chain import Receipt
from keeper.demo.transactions import Batch, Transaction, TransactionFailed, check
from keeper.rpc import Rpc, RpcRefusal

WAIT_S = 180.0
POLL_S = 0.2


class SignedBatch(Batch):
    """A Batch whose only sender is the key's own address; blocks come when the chain makes them."""

    def __init__(self, rpc: Rpc, key: LocalAccount, *, max_fee: int, tip: int) -> None:
        """`max_fee` and `tip` in wei per gas."""
        super().__init__(rpc)
        self._key = key
        self._chain_id = rpc.chain_id()
        self._max_fee = max_fee
        self._tip = tip

    def mine(self) -> list[Receipt]:
        """Send what waits, a block's worth at a time, and return the receipts. Raises TransactionFailed."""
        waiting, self._waiting = self._waiting, []
        return [receipt for part in self._in_blocks(waiting) for receipt in self._landed(part)]

    def _landed(self, part: list[Transaction]) -> list[Receipt]:
        hashes = self._offered(part)
        deadline = time.monotonic() + WAIT_S
        found = self._rpc.receipts(hashes)
        while not all(isinstance(r, Receipt) for r in found) and time.monotonic() < deadline:
            time.sleep(POLL_S)
            found = self._rpc.receipts(hashes)
        return [check(self._rpc, t, r if isinstance(r, Receipt) else None) for t, r in zip(part, found, strict=True)]

    def _offered(self, part: list[Transaction]) -> list[str]:
        answers = self._rpc.send_raw([self._signed(t) for t in part])
        for transaction, answer in zip(part, answers, strict=True):
            if isinstance(answer, RpcRefusal):
                raise TransactionFailed(f"{transaction.what}: the node refused the transaction: {answer}")
        return [str(answer) for answer in answers]

    def _signed(self, transaction: Transaction) -> bytes:
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": transaction.nonce,
            "data": transaction.data,
            "value": 0,
            "gas": transaction.gas,
            "maxFeePerGas": self._max_fee,
            "maxPriorityFeePerGas": self._tip,
        }
        if transaction.to is not None:
            fields["to"] = HexStr(transaction.to)
        return bytes(self._key.sign_transaction(fields).raw_transaction)

    def _first_nonce(self, sender: str) -> int:
        if sender != self._key.address:
            raise TransactionFailed(f"expected transactions of {self._key.address} only, found one of {sender}")
        return int(self._rpc.call("eth_getTransactionCount", sender, "pending"), 16)
