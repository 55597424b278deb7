"""A model of Geth's main transaction pool, without I/O: what it takes, keeps, replaces and gives to a block.

Unlike Anvil it keeps transactions whose fee cap fell below the base fee and asks +10 % for a replacement.
Simplified against core/txpool/legacypool: one price order instead of two heaps when the pool is full, and the
bookkeeping that Geth does in the background is done at once. No lifetime: nothing is dropped for its age.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from keeper.chaos.pool_rules import (
    Holding,
    Limits,
    PoolRefusal,
    State,
    replaces,
    require_affordable,
    require_delegation_limit,
    require_no_gap,
    require_valid,
)
from keeper.chaos.transactions import BadTransaction, PoolTx, decoded

Tag = Literal["latest", "pending"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction that left the pool without being mined, and why."""

    hash: str
    reason: str


class Pool:
    """One node's pool. What follows the chain's nonce without a gap is executable, the rest is queued."""

    def __init__(self, chain_id: int, limits: Limits | None = None) -> None:
        self.chain_id = chain_id
        self.limits = limits or Limits()
        self.dropped: list[Dropped] = []
        self._by_sender: dict[str, dict[int, PoolTx]] = {}
        self._by_hash: dict[str, PoolTx] = {}
        self._arrived: dict[str, int] = {}
        self._arrivals = 0
        self._holdings: dict[str, Holding] = {}
        self._evictions = 0  # since the last block

    # --- questions ---------------------------------------------------------------------------------

    def by_hash(self, tx_hash: str) -> PoolTx | None:
        return self._by_hash.get(tx_hash.lower())

    def senders(self) -> frozenset[str]:
        """Return who has something here: the holdings a `State` for `mined` must have."""
        return frozenset(self._by_sender)

    def nonce(self, sender: str, tag: Tag = "pending") -> int:
        """Return the sender's next nonce, for "pending" after all executable transactions; 0 for a stranger."""
        held = self._holdings.get(sender)
        if held is None:
            return 0
        return held.nonce + (len(self.pending(sender)) if tag == "pending" else 0)

    def pending(self, sender: str) -> list[PoolTx]:
        """Return the sender's executable transactions by nonce."""
        mine, held = self._by_sender.get(sender, {}), self._holdings.get(sender)
        found: list[PoolTx] = []
        nonce = held.nonce if held else 0
        while nonce in mine:
            found.append(mine[nonce])
            nonce += 1
        return found

    def queued(self, sender: str) -> list[PoolTx]:
        """Return the sender's transactions behind a nonce gap, by nonce."""
        next_nonce = self.nonce(sender)
        return [tx for nonce, tx in sorted(self._by_sender.get(sender, {}).items()) if nonce >= next_nonce]

    def arrival(self, tx_hash: str) -> int:
        """Return its place in the order of arrival."""
        return self._arrived[tx_hash]

    def transactions(self) -> list[PoolTx]:
        return list(self._by_hash.values())

    def status(self) -> tuple[int, int]:
        """Return how many transactions are executable and how many are queued."""
        pending = sum(len(self.pending(sender)) for sender in self._by_sender)
        return pending, len(self._by_hash) - pending

    def executable(self, base_fee: int, gas_limit: int) -> list[bytes]:
        """Return what a miner would try, in his order (see `miners_order`); the block's end is his business."""
        runs = [self.pending(sender) for sender in self._by_sender]
        return [tx.raw for tx in miners_order(runs, base_fee, gas_limit, self._arrived)]

    # --- changes -----------------------------------------------------------------------------------

    def add(self, raw: bytes, state: State) -> str:
        """Take the bytes and return their hash, or raise PoolRefusal. `state` must hold the sender's holding.

        As in Geth an accepted transaction may be dropped at once, when its sender queues too many.
        """
        try:
            tx = decoded(raw)
        except BadTransaction as e:
            raise PoolRefusal(str(e)) from e
        if tx.hash in self._by_hash:
            raise PoolRefusal("already known")
        require_valid(tx, self.chain_id, self.limits, state.gas_limit)
        held = self._holdings[tx.sender] = state.holdings[tx.sender]
        pending = self.pending(tx.sender)
        if not self.limits.queues_gaps:
            require_no_gap(tx, held.nonce + len(pending))
        sibling = next((old for old in pending if old.nonce == tx.nonce), None)
        require_affordable(tx, held, sum(old.cost for old in pending), sibling)
        if held.delegated:
            require_delegation_limit(tx, held.nonce, pending)
        self._make_room(tx, state.base_fee)
        old = self._by_sender.get(tx.sender, {}).get(tx.nonce)
        if old is not None:
            if not replaces(old, tx, self.limits.price_bump):
                raise PoolRefusal("replacement transaction underpriced")
            self._drop(old, f"replaced by {tx.hash}")
        self._keep(tx)
        self._truncate(tx.sender)
        return tx.hash

    def mined(self, hashes: Iterable[str], state: State) -> None:
        """A new head: forget the mined ones, and of the rest whatever can no longer be mined."""
        for tx_hash in hashes:
            if tx := self.by_hash(tx_hash):
                self._forget(tx)
        self._evictions = 0
        self._holdings.update(state.holdings)
        for tx in list(self._by_hash.values()):
            held = self._holdings[tx.sender]
            if tx.nonce < held.nonce:
                self._drop(tx, "another transaction used the nonce")
            elif tx.cost > held.balance:
                self._drop(tx, "costs more than the balance")
            elif tx.gas > state.gas_limit:
                self._drop(tx, "exceeds block gas limit")
        for sender in list(self._by_sender):
            self._truncate(sender)

    def drop(self, tx_hash: str, reason: str = "evicted") -> None:
        """Forget one transaction, as a pool may at any time. Unknown hashes are left alone."""
        if tx := self.by_hash(tx_hash):
            self._drop(tx, reason)

    # --- room --------------------------------------------------------------------------------------

    def _make_room(self, tx: PoolTx, base_fee: int) -> None:
        """Evict the cheapest for a dearer newcomer when all places are taken (legacypool.add)."""
        places = self.limits.global_slots + self.limits.global_queue
        missing = sum(other.slots for other in self._by_hash.values()) + tx.slots - places
        if missing <= 0:
            return
        cheapest = sorted(self._by_hash.values(), key=lambda other: _price(other, base_fee))
        if cheapest and _price(tx, base_fee) <= _price(cheapest[0], base_fee):
            raise PoolRefusal("transaction underpriced")
        if self._evictions > self.limits.global_slots // 4:
            raise PoolRefusal("txpool is full")
        victims = list(_until(cheapest, missing))
        if sum(victim.slots for victim in victims) < missing:
            raise PoolRefusal("txpool is full")
        if tx.nonce > self.nonce(tx.sender) and any(v in self.pending(v.sender) for v in victims):
            raise PoolRefusal("future transaction tries to replace pending")
        self._evictions += len(victims)
        for victim in victims:
            self._drop(victim, "evicted: the pool is full")

    def _truncate(self, sender: str) -> None:
        for tx in self.queued(sender)[self.limits.account_queue :]:
            self._drop(tx, "the sender queues too many")
        pending, queued = self.status()
        while pending > self.limits.global_slots:
            runs = [self.pending(other) for other in self._by_sender]
            longest = max(runs, key=len)
            if len(longest) <= self.limits.account_slots:
                break
            self._drop(longest[-1], "the sender has more than its share of a full pool")
            pending, queued = self.status()
        for _ in range(queued - self.limits.global_queue):
            # the sender who has been quiet for longest pays, as in truncateQueue
            quiet = min((s for s in self._by_sender if self.queued(s)), key=self._last_arrival)
            self._drop(self.queued(quiet)[-1], "too many are queued")

    def _last_arrival(self, sender: str) -> int:
        return max(self._arrived[tx.hash] for tx in self._by_sender[sender].values())

    def _keep(self, tx: PoolTx) -> None:
        self._by_sender.setdefault(tx.sender, {})[tx.nonce] = tx
        self._by_hash[tx.hash] = tx
        self._arrivals += 1
        self._arrived[tx.hash] = self._arrivals

    def _drop(self, tx: PoolTx, reason: str) -> None:
        self._forget(tx)
        self.dropped.append(Dropped(tx.hash, reason))

    def _forget(self, tx: PoolTx) -> None:
        del self._by_hash[tx.hash], self._by_sender[tx.sender][tx.nonce], self._arrived[tx.hash]
        if not self._by_sender[tx.sender]:
            del self._by_sender[tx.sender]


def miners_order(
    runs: Sequence[Sequence[PoolTx]], base_fee: int, gas_limit: int, arrived: Mapping[str, int]
) -> Iterator[PoolTx]:
    """Yield transactions by effective tip, first come first served on a tie, and each sender's by nonce.

    A run is one sender's, without gaps. A transaction below the base fee or above the gas limit ends its run.
    """
    ready = [(_rank(run[0], base_fee, arrived), i, 0) for i, run in enumerate(runs) if run]
    heapq.heapify(ready)
    while ready:
        _, i, place = heapq.heappop(ready)
        tx = runs[i][place]
        if tx.fee_cap < base_fee or tx.gas > gas_limit:
            continue
        yield tx
        if place + 1 < len(runs[i]):
            heapq.heappush(ready, (_rank(runs[i][place + 1], base_fee, arrived), i, place + 1))


def _rank(tx: PoolTx, base_fee: int, arrived: Mapping[str, int]) -> tuple[int, int]:
    return -tx.effective_tip(base_fee), arrived.get(tx.hash, 0)


def _price(tx: PoolTx, base_fee: int) -> tuple[int, int, int]:
    return tx.effective_tip(base_fee), tx.fee_cap, tx.tip_cap


def _until(cheapest: Sequence[PoolTx], missing: int) -> Iterator[PoolTx]:
    for tx in cheapest:
        if missing <= 0:
            return
        missing -= tx.slots
        yield tx
