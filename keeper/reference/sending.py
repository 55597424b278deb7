"""The deployment's transactions on any chain: signed by one key, sent in order, waited for, and sent once.

Every run queues the same transactions from the same first nonce. What the chain has counted already is looked up by the
hashes that were written down, the rest is sent.
"""

import time
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import HexStr

from keeper.abi import transaction_hash
from keeper.chain import Receipt
from keeper.demo.transactions import Batch, Transaction, TransactionFailed, check
from keeper.reference.progress import Progress
from keeper.rpc import Rpc, RpcRefusal

WAIT_S = 180.0
POLL_S = 0.2
RECEIPT_TRIES = 10
"""A node may count a transaction a moment before it finds the receipt."""


class SignedBatch(Batch):
    """A Batch whose only sender is the key's own address; blocks come when the chain makes them."""

    def __init__(self, rpc: Rpc, key: LocalAccount, progress: Progress, *, max_fee: int, tip: int) -> None:
        """`max_fee` and `tip` in wei per gas."""
        super().__init__(rpc)
        self._key = key
        self._progress = progress
        self._max_fee = max_fee
        self._tip = tip

    def mine(self) -> list[Receipt]:
        """Send what waits, a block's worth at a time, and return the receipts. Raises TransactionFailed."""
        waiting, self._waiting = self._waiting, []
        found = [receipt for part in self._in_blocks(waiting) for receipt in self._landed(part)]
        self._keep(waiting, found)
        return found

    def _landed(self, part: list[Transaction]) -> list[Receipt]:
        self._require_ours(part)
        counted, _ = self._rpc.counts(self._key.address)
        self._offer([t for t in part if t.nonce >= counted])
        deadline = time.monotonic() + WAIT_S
        while not all(found := self._receipts(part)) and time.monotonic() < deadline:
            self._require_ours(part)
            time.sleep(POLL_S)
        return [check(self._rpc, t, receipt) for t, receipt in zip(part, found, strict=True)]

    def _offer(self, part: list[Transaction]) -> None:
        """Write down every hash, then offer the bytes. An older attempt at the same nonce may still win."""
        known = {t.nonce for t in part if t.nonce in self._progress.sent}
        signed = [self._signed(t) for t in part]
        for transaction, raw in zip(part, signed, strict=True):
            self._progress.add(transaction.nonce, transaction_hash(raw))
        self._progress.save()
        for transaction, raw in zip(part, signed, strict=True):
            # one by one: of a batch a node may take a later nonce first and leave it waiting
            (answer,) = self._rpc.send_raw([raw])
            if isinstance(answer, RpcRefusal) and transaction.nonce not in known:
                raise TransactionFailed(f"{transaction.what}: the node refused the transaction: {answer}")

    def _receipts(self, part: list[Transaction]) -> list[Receipt | None]:
        hashes = [(row, h) for row, t in enumerate(part) for h in self._progress.sent.get(t.nonce, [])]
        found: list[Receipt | None] = [None] * len(part)
        for (row, _), receipt in zip(hashes, self._rpc.receipts([h for _, h in hashes]), strict=True):
            if isinstance(receipt, Receipt):
                found[row] = receipt
        return found

    def _require_ours(self, part: list[Transaction]) -> None:
        """Raise TransactionFailed where the chain counted a nonce and none of our hashes has a receipt."""
        counted, _ = self._rpc.counts(self._key.address)
        done = [t for t in part if t.nonce < counted]
        for _ in range(RECEIPT_TRIES):
            strange = [t for t, receipt in zip(done, self._receipts(done), strict=True) if receipt is None]
            if not strange:
                return
            time.sleep(POLL_S)
        raise TransactionFailed(
            f"{strange[0].what}: expected nonce {strange[0].nonce} of {self._key.address} to be this deployment's, "
            f"found another transaction there; the key was used meanwhile. Remove {self._progress.path} and deploy "
            "anew, with a key that does nothing else"
        )

    def _signed(self, transaction: Transaction) -> bytes:
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._progress.chain_id,
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
        return self._progress.first_nonce
