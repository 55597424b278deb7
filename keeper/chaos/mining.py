"""Blocks on demand: the pools' executable transactions go to Anvil in miners' order, and exactly one block is made.

Anvil must run with `--order fifo`: by default it orders by fee cap, which no miner does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keeper.chain import Block
from keeper.chaos.pool import Pool, miners_order
from keeper.chaos.pool_rules import State
from keeper.chaos.pools import Pools
from keeper.chaos.transactions import PoolTx, decoded
from keeper.chaos.upstream import Upstream, block_of
from keeper.errors import ChainError

BLOCK_SECONDS = 12
Placed = Sequence[tuple[bytes, int]]
"""Signed bytes and which of a reorganisation's new blocks holds them, from 0."""
ELASTICITY, STEP = 2, 8  # EIP-1559


@dataclass(frozen=True, slots=True)
class Mined:
    """One block made here. `refused`: (hash, Anvil's words); `left`: given to Anvil, but not in the block."""

    block: Block
    hashes: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()
    left: tuple[str, ...] = ()


class Miner:
    """Makes and unmakes Anvil's blocks; the pools follow."""

    def __init__(self, upstream: Upstream, pools: Pools | None) -> None:
        self._upstream = upstream
        self._pools = pools

    async def prepare(self) -> None:
        """Stop Anvil's own mining. Raises ChainError when it is no Anvil or would reorder a block."""
        found = await self._upstream.call("anvil_nodeInfo")
        if found.get("transactionOrder") != "fifo":
            raise ChainError(
                f"anvil: expected --order fifo, found {found.get('transactionOrder')}; "
                "start it so, or a block's order would not be the pool's"
            )
        await self._upstream.call("evm_setAutomine", False)
        await self._upstream.call("evm_setIntervalMining", 0)

    async def mine(self, timestamp: int | None, base_fee: int | None, first: Sequence[bytes]) -> Mined:
        """Make one block, `first` before what the pools hold. Wei per gas; 12 s after its parent by default."""
        header = await self._upstream.header()
        fee = next_base_fee(header) if base_fee is None else base_fee
        parent = block_of(header)
        await self._upstream.call("anvil_setNextBlockBaseFeePerGas", hex(fee))
        await self._upstream.call("evm_setNextBlockTimestamp", hex(timestamp or parent.timestamp + BLOCK_SECONDS))
        given = await self._order(fee, first)
        answers = await self._upstream.ask([("eth_sendRawTransaction", ("0x" + tx.raw.hex(),)) for tx in given])
        refused = [(tx.hash, str(a["error"]["message"])) for tx, a in zip(given, answers, strict=True) if "error" in a]
        await self._upstream.call("evm_mine")
        if self._pools is not None:
            await self._upstream.call("anvil_dropAllTransactions")
        header = await self._upstream.header()
        hashes = tuple(header["transactions"])
        if self._pools is not None:
            await self._pools.new_head(hashes)
        gone = {*hashes, *(tx_hash for tx_hash, _ in refused)}
        left = tuple(tx.hash for tx in given if tx.hash not in gone)
        return Mined(block_of(header), hashes, tuple(refused), left)

    async def _order(self, base_fee: int, first: Sequence[bytes]) -> list[PoolTx]:
        ahead = [decoded(raw) for raw in first]
        if self._pools is None:
            return ahead
        pools = self._pools.all()
        senders = {s for pool in pools for s in pool.senders()} | {tx.sender for tx in ahead}
        return block_order(pools, ahead, await self._pools.state(senders), base_fee)

    async def reorg(self, depth: int, keep: Mapping[str, int], place: Placed, put_back: bool) -> Block:
        """Replace the newest `depth` blocks by as many others.

        `keep` maps hashes to the block they are mined in again, 0 the oldest of the new ones; `place` puts other
        signed bytes into one of them. The rest returns to the pools, where there are pools and `put_back`.
        """
        removed = await self._removed(depth)
        missing = [tx_hash for tx_hash in keep if tx_hash not in removed]
        if missing:
            raise ChainError(f"reorg: expected transactions of the newest {depth} blocks, found {missing} not there")
        pairs = [["0x" + removed[tx_hash].hex(), offset] for tx_hash, offset in keep.items()]
        pairs += [["0x" + raw.hex(), offset] for raw, offset in place]
        await self._upstream.call("anvil_reorg", depth, pairs)
        return await self._follow([raw for tx_hash, raw in removed.items() if tx_hash not in keep], put_back)

    async def rollback(self, depth: int, put_back: bool) -> Block:
        """Take the newest `depth` blocks off the chain, which is shorter afterwards."""
        removed = await self._removed(depth)
        await self._upstream.call("anvil_rollback", depth)
        return await self._follow(list(removed.values()), put_back)

    async def _follow(self, raws: Sequence[bytes], put_back: bool) -> Block:
        if self._pools is not None:
            await self._pools.new_head(())
            if put_back:
                await self._pools.put_back(raws)
        return block_of(await self._upstream.header())

    async def _removed(self, depth: int) -> dict[str, bytes]:
        """Return the signed bytes in the newest `depth` blocks by hash, oldest first; unsigned ones are left out."""
        head = await self._upstream.number()
        hashes: list[str] = []
        for number in range(head - depth + 1, head + 1):
            hashes += (await self._upstream.call("eth_getBlockByNumber", hex(number), False))["transactions"]
        answers = await self._upstream.ask([("eth_getRawTransactionByHash", (h,)) for h in hashes])
        found = {h: a.get("result") for h, a in zip(hashes, answers, strict=True)}
        return {h: bytes.fromhex(raw[2:]) for h, raw in found.items() if raw}


def next_base_fee(header: Mapping[str, str]) -> int:
    """Return the base fee after the block with this header, wei per gas (EIP-1559)."""
    fee, used = int(header["baseFeePerGas"], 16), int(header["gasUsed"], 16)
    target = int(header["gasLimit"], 16) // ELASTICITY
    if used > target:
        return fee + max(fee * (used - target) // target // STEP, 1)
    return fee - fee * (target - used) // target // STEP


def block_order(pools: Sequence[Pool], first: Sequence[PoolTx], state: State, base_fee: int) -> list[PoolTx]:
    """Return what a miner who sees all pools would try, in order; `first` leads and owns its nonces.

    Of two pools' transactions with one nonce the better paying is taken; on a tie the earlier pool's.
    """
    reserved = {(tx.sender, tx.nonce): tx for tx in first}
    best: dict[str, dict[int, PoolTx]] = {}
    arrived: dict[str, int] = {}
    for pool in pools:
        for tx in pool.transactions():
            mine = best.setdefault(tx.sender, {})
            rival = mine.get(tx.nonce)
            if rival is None or tx.effective_tip(base_fee) > rival.effective_tip(base_fee):
                mine[tx.nonce] = tx
            arrived.setdefault(tx.hash, pool.arrival(tx.hash))
    for (sender, nonce), tx in reserved.items():
        best.setdefault(sender, {})[nonce] = tx
    runs = [_run(found, state.holdings[sender].nonce) for sender, found in best.items()]
    rest = (tx for tx in miners_order(runs, base_fee, state.gas_limit, arrived))
    return [*first, *_without(rest, reserved)]


def _run(found: Mapping[int, PoolTx], nonce: int) -> list[PoolTx]:
    run = []
    while nonce in found:
        run.append(found[nonce])
        nonce += 1
    return run


def _without(order: Iterable[PoolTx], reserved: Mapping[tuple[str, int], PoolTx]) -> Iterable[PoolTx]:
    return (tx for tx in order if (tx.sender, tx.nonce) not in reserved)
