"""A chain whose blocks an adversary fills: siblings swap, statuses flip, forks come and go; one sender's bytes only."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import rlp
from eth_utils.address import to_checksum_address

from keeper.abi import transaction_hash
from keeper.chain import Block
from keeper.rpc import RpcRefusal
from tests.signer_desk import ADDRESS, GWEI, HOUSE

FIRST_NONCE = 3
"""The key was used before: a first nonce of 0 would hide counting from the wrong end."""

NAMES, BITS = 16, 256
"""Accounts that may be in danger at a time, and names for all of them: bits of a call's argument."""


@dataclass(frozen=True, slots=True)
class Tx:
    """Signed bytes as a miner reads them; a stranger's have no raw."""

    tx_hash: str
    nonce: int
    to: str
    data: bytes
    max_fee: int  # wei per gas
    gas: int  # limit
    raw: bytes = b""

    @property
    def accounts(self) -> frozenset[int]:
        """Whom the call acts on: the bits of its only argument. A self-transfer acts on nobody."""
        mask = int.from_bytes(self.data[4:]) if self.to == HOUSE else 0
        return frozenset(bit for bit in range(mask.bit_length()) if mask >> bit & 1)


def read(raw: bytes) -> Tx:
    """Return signed EIP-1559 bytes decoded without the keeper's code. The sender is not recovered: one key signs."""
    _, nonce, _, max_fee, gas, to, _, data, *_ = rlp.decode(raw[1:])
    to_address = to_checksum_address(to)
    number = int.from_bytes
    return Tx(transaction_hash(raw), number(nonce), to_address, data, number(max_fee), number(gas), raw)


@dataclass(frozen=True, slots=True)
class Landed:
    tx: Tx
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Link:
    block: Block
    landed: tuple[Landed, ...]


Links = tuple[Link, ...]


class Chain:
    """`pool` keeps whatever any endpoint took, for ever: any sibling may be mined at any time."""

    def __init__(self) -> None:
        self.links: Links = (Link(_block(0, 0, "0x" + "0" * 64, 1, GWEI), ()),)
        self.abandoned: Links = ()
        self.pool: dict[str, Tx] = {}
        self.base_fee = 10 * GWEI
        self.forks = 0
        self.deepest = 0  # blocks of the longest reorg so far
        self.strangers: set[str] = set()

    @property
    def head(self) -> Block:
        return self.links[-1].block

    def take(self, raw: bytes) -> None:
        tx = read(raw)
        self.pool[tx.tx_hash] = tx

    def stranger(self, nonce: int) -> None:
        """Somebody else uses the key: a transaction that no ledger knows waits for `nonce`."""
        tx = Tx(f"0x{len(self.strangers) + 1:02x}{'57' * 31}", nonce, ADDRESS, b"", 10**30, 21_000)
        self.strangers.add(tx.tx_hash)
        self.pool[tx.tx_hash] = tx

    def mine(self, choice: random.Random, most: int = 4) -> None:
        """Add a block with up to `most` of the pool, any includable sibling of the next nonce each."""
        landed: list[Landed] = []
        first = count(self.links)
        for nonce in range(first, first + most):
            fitting = [tx for tx in self.pool.values() if tx.nonce == nonce and tx.max_fee >= self.base_fee]
            if not fitting:
                break
            tx = choice.choice(sorted(fitting, key=lambda one: one.tx_hash))
            landed.append(Landed(tx, choice.random() < 0.8))
        head = self.head
        block = _block(head.number + 1, self.forks, head.hash, head.timestamp + 12, self.base_fee)
        self.links = (*self.links, Link(block, tuple(landed)))

    def reorg(self, depth: int, choice: random.Random, most: int = 4) -> None:
        """Abandon `depth` blocks; as many and one more take their place, filled anew."""
        depth = min(depth, len(self.links) - 1)
        self.abandoned, self.links = self.links, self.links[: len(self.links) - depth]
        self.forks += 1
        self.deepest = max(self.deepest, depth)
        for _ in range(depth + 1):
            self.mine(choice, most)

    def endangered(self, accounts: list[int], seen: Block) -> list[int]:
        """Return these accounts under the names they have at `seen`: one that was done is somebody new the next time.

        So whoever is done twice was done twice for one cause.
        """
        blocks = landed(self.links[: seen.number + 1])
        done = {account for _, one in blocks if one.succeeded for account in one.tx.accounts}
        names = [[name for name in range(one, BITS, NAMES) if name not in done] for one in accounts]
        return [left[0] for left in names if left]

    def user_of(self, nonce: int) -> tuple[Link, Landed] | None:
        """Return who used the nonce on the chain as it is."""
        return next(((link, one) for link, one in landed(self.links) if one.tx.nonce == nonce), None)

    def landed(self) -> list[Landed]:
        return [one for _, one in landed(self.links)]


def landed(links: Links) -> Iterator[tuple[Link, Landed]]:
    for link in links:
        for one in link.landed:
            yield link, one


def count(links: Links) -> int:
    """Return the sender's nonce count at the end of these blocks."""
    return FIRST_NONCE + sum(len(link.landed) for link in links)


def _block(number: int, fork: int, parent: str, timestamp: int, base_fee: int) -> Block:
    return Block(number, f"0x{fork:04x}{number:060x}", parent, timestamp, base_fee)


# --- what a node would say, as JSON-RPC ----------------------------------------------------------------


def header(links: Links, number: int) -> dict[str, str] | None:
    if number >= len(links):
        return None
    block = links[number].block
    return {
        "number": hex(block.number),
        "hash": block.hash,
        "parentHash": block.parent_hash,
        "timestamp": hex(block.timestamp),
        "baseFeePerGas": hex(block.base_fee),
    }


def receipt(links: Links, tx_hash: str, *, flipped: bool = False) -> dict[str, object] | None:
    found = next(((link, one) for link, one in landed(links) if one.tx.tx_hash == tx_hash), None)
    if found is None:
        return None
    link, one = found
    place = {"blockNumber": hex(link.block.number), "blockHash": link.block.hash}
    log = {"address": HOUSE, "data": "0x", "logIndex": "0x0", **place}
    return {
        "transactionHash": tx_hash,
        "status": hex(one.succeeded != flipped),
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x1",
        "logs": [{**log, "topics": [hex(a)]} for a in sorted(one.tx.accounts) if one.succeeded != flipped],
        **place,
    }


def nonce_at(links: Links, block_hash: str) -> str | RpcRefusal:
    """Return the count at exactly this block (EIP-1898), a refusal where the block is not on this chain."""
    for height, link in enumerate(links):
        if link.block.hash == block_hash:
            return hex(count(links[: height + 1]))
    return RpcRefusal(-32000, "header not found")
