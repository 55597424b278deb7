"""Many transactions at once on a private Anvil: queued, sent as one batch, mined, and each receipt checked.

The senders are impersonated, so no private key is anywhere in the demo. Nonces and the addresses of created
contracts are known beforehand, which is what lets a whole deployment travel in one request.
"""

from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.chain import Call, Receipt
from keeper.errors import KeeperError
from keeper.reverts import revert
from keeper.rpc import Rpc, RpcRefusal

GWEI = 10**9
MAX_FEE = 1_000 * GWEI
TIP = 1  # wei per gas
FUNDS = 10**24  # wei, a million ether: gas is never what fails
CALL_GAS = 1_500_000
CREATE_GAS = 6_500_000
CREATE_FLAT_GAS, CREATE_BYTE_GAS = 900_000, 240  # 200 for a byte stored, 16 for a byte sent, the rest to run
RECEIPT_TRIES = 20


class TransactionFailed(KeeperError):
    """A transaction of the demo's own was refused, reverted, or not mined."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One queued transaction; `to` None creates a contract, `optional` ones may revert."""

    sender: str
    to: str | None
    data: bytes
    gas: int
    nonce: int
    what: str
    optional: bool = False

    def fields(self) -> dict[str, str]:
        """Return the JSON-RPC fields, without fees."""
        found = {"from": self.sender, "data": "0x" + self.data.hex(), "gas": hex(self.gas), "nonce": hex(self.nonce)}
        return found if self.to is None else found | {"to": self.to}


@dataclass(frozen=True, slots=True)
class Mined:
    what: str
    block_number: int
    gas_used: int


def role(name: str) -> str:
    """Return the demo's address for a role, the same in every process. Nobody holds its key."""
    return to_checksum_address(keccak(text=f"keeper demo: {name}")[12:])


def created_address(sender: str, nonce: int) -> str:
    """Return where CREATE puts a contract: the hash of the RLP list of both (Yellow Paper, section 7, appendix B)."""
    digits = nonce.to_bytes((nonce.bit_length() + 7) // 8)
    item = digits if 0 < nonce < 0x80 else bytes([0x80 + len(digits)]) + digits
    body = b"\x94" + bytes.fromhex(sender[2:]) + item
    return to_checksum_address(keccak(bytes([0xC0 + len(body)]) + body)[12:])


def argument_types(signature: str) -> list[str]:
    """Return the outermost types in a signature: `f(address,(int24,bool)[])` has two."""
    inner, types, depth = signature[signature.index("(") + 1 : -1], [""], 0
    for letter in inner:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            types.append("")
        else:
            types[-1] += letter
    return [t for t in types if t]


def call(to: str, signature: str, *arguments: Any) -> Call:
    """Return the call of a function named by its full signature, for example `approve(address,uint256)`."""
    return Call(to, keccak(text=signature)[:4] + encode(argument_types(signature), arguments))


class Batch:
    """Transactions waiting to be mined together, in the order they were added.

    Anvil orders a block by maxFeePerGas, whatever the tip. A `modest` batch offers the least that the next block
    can ask for, and so comes after everybody who offers more.
    """

    def __init__(self, rpc: Rpc, *, modest: bool = False) -> None:
        self._rpc = rpc
        self._modest = modest
        self._nonces: dict[str, int] = {}
        self._waiting: list[Transaction] = []
        self.mined: list[Mined] = []  # everything so far, in order

    def add(self, sender: str, message: Call, what: str, *, gas: int = CALL_GAS, optional: bool = False) -> None:
        """Queue a call. `what` names it in errors, `gas` is its limit."""
        self._queue(Transaction(sender, message.to, message.data, gas, self._nonce(sender), what, optional))

    def create(self, sender: str, code: bytes, what: str, *, gas: int = CREATE_GAS) -> str:
        """Queue a contract creation using at most `gas`; returns the address it will have."""
        limit = min(gas, CREATE_FLAT_GAS + CREATE_BYTE_GAS * len(code))
        nonce = self._nonce(sender)
        self._queue(Transaction(sender, None, code, limit, nonce, what))
        return created_address(sender, nonce)

    def next_address(self, sender: str, offset: int = 0) -> str:
        """Return the address of the contract `sender` would create after `offset` more transactions."""
        return created_address(sender, self._nonce(sender) + offset)

    def mine(self) -> list[Receipt]:
        """Send everything, mine until it is in, return the receipts. Raises TransactionFailed on the first revert."""
        automine = self._rpc.call("anvil_getAutomine")
        self._rpc.call("evm_setAutomine", False)
        try:
            waiting, self._waiting = self._waiting, []
            found = [receipt for part in self._in_blocks(waiting) for receipt in self._mine(part)]
            self._keep(waiting, found)
            return found
        finally:
            self._rpc.call("evm_setAutomine", automine)

    def _keep(self, waiting: list[Transaction], found: list[Receipt]) -> None:
        self.mined += [Mined(t.what, r.block_number, r.gas_used) for t, r in zip(waiting, found, strict=True)]

    @property
    def queued(self) -> int:
        """How many transactions were queued so far, mined ones included: the place of the next one in `mined`."""
        return len(self.mined) + len(self._waiting)

    def send(self) -> list[tuple[Transaction, str]]:
        """Send everything without mining; returns each transaction with its hash."""
        waiting, self._waiting = self._waiting, []
        return self._send(waiting)

    def _mine(self, part: list[Transaction]) -> list[Receipt]:
        """Put one block's worth into one block."""
        sent = self._send(part)
        self._rpc.call("evm_mine")
        return [check(self._rpc, t, r) for (t, _), r in zip(sent, receipts(self._rpc, sent), strict=True)]

    def _send(self, part: list[Transaction]) -> list[tuple[Transaction, str]]:
        fees = self._max_fees(len(part))
        items = [
            ("eth_sendTransaction", [t.fields() | {"maxFeePerGas": hex(fee), "maxPriorityFeePerGas": hex(TIP)}])
            for t, fee in zip(part, fees, strict=True)
        ]
        sent = []
        for transaction, answer in zip(part, self._rpc.batch(items), strict=True):
            if isinstance(answer, RpcRefusal):
                raise TransactionFailed(f"{transaction.what}: the node refused the transaction: {answer}")
            sent.append((transaction, str(answer)))
        return sent

    def _max_fees(self, count: int) -> range:
        """Return wei per gas for each of `count` transactions, a wei less for each later one to keep their order."""
        # EIP-1559: a base fee rises by an eighth at most, and by at least 1.
        least = self._rpc.block().base_fee * 9 // 8 + 1 + TIP if self._modest else MAX_FEE
        return range(least + count - 1, least - 1, -1)

    def _in_blocks(self, waiting: list[Transaction]) -> list[list[Transaction]]:
        block_gas = int(self._rpc.call("eth_getBlockByNumber", "latest", False)["gasLimit"], 16)
        return _blocks(waiting, block_gas)

    def _queue(self, transaction: Transaction) -> None:
        self._waiting.append(transaction)
        self._nonces[transaction.sender] = transaction.nonce + 1

    def _nonce(self, sender: str) -> int:
        if sender not in self._nonces:
            self._nonces[sender] = self._first_nonce(sender)
        return self._nonces[sender]

    def _first_nonce(self, sender: str) -> int:
        adopt(self._rpc, [sender])
        return int(self._rpc.call("eth_getTransactionCount", sender, "pending"), 16)


def adopt(rpc: Rpc, senders: list[str]) -> None:
    """Let Anvil sign for these addresses and give each ether for gas."""
    _all(rpc, [("anvil_impersonateAccount", [s]) for s in senders])
    _all(rpc, [("anvil_setBalance", [s, hex(FUNDS)]) for s in senders])


def receipts(rpc: Rpc, sent: list[tuple[Transaction, str]]) -> list[Receipt | None]:
    """Return the receipts of a block just mined; Anvil may need to be asked twice. None: not in that block."""
    hashes = [h for _, h in sent]
    for _ in range(RECEIPT_TRIES):
        found = [r if isinstance(r, Receipt) else None for r in rpc.receipts(hashes)]
        if all(found):
            break
    return found


def check(rpc: Rpc, transaction: Transaction, receipt: Receipt | None) -> Receipt:
    """Return the receipt of a transaction that succeeded, else raise TransactionFailed saying why."""
    if receipt is None:
        raise TransactionFailed(f"{transaction.what}: not mined, the block was full; raise Anvil's --gas-limit")
    if not receipt.succeeded:
        reason = _why(rpc, transaction)
        raise TransactionFailed(f"{transaction.what}: reverted in block {receipt.block_number}: {reason}")
    return receipt


def _why(rpc: Rpc, transaction: Transaction) -> str:
    """Run it again on the newest state for the revert reason; the state may have moved on since."""
    fields = {k: v for k, v in transaction.fields().items() if k != "nonce"}
    answer = rpc.batch([("eth_call", [fields, "latest"])])[0]
    if isinstance(answer, RpcRefusal):
        return str(revert(answer.revert)) if answer.revert else answer.message
    return "no reason any more: on the newest state it succeeds; it probably ran out of gas"


def _blocks(waiting: list[Transaction], block_gas: int) -> list[list[Transaction]]:
    """Split by gas limit into parts that fit a block each.

    Anvil 1.7.1 deletes what a full block leaves over: the next nonces of the sender whose transaction did not fit.
    """
    parts: list[list[Transaction]] = [[]]
    room = block_gas
    for transaction in waiting:
        if transaction.gas > room:
            parts.append([])
            room = block_gas
        parts[-1].append(transaction)
        room -= transaction.gas
    return parts


def _all(rpc: Rpc, items: list[tuple[str, list[Any]]]) -> None:
    for item, answer in zip(items, rpc.batch(items), strict=True):
        if isinstance(answer, RpcRefusal):
            raise TransactionFailed(f"{item[0]} {item[1][0]}: {answer}; is this node an Anvil?")
