"""The pools in front of a node: what a client of Geth would be told about transactions that are not mined yet."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eth_utils.address import to_checksum_address

from keeper.chaos.pool import Pool
from keeper.chaos.pool_rules import SERVER_ERROR, Holding, PoolRefusal, State
from keeper.chaos.requests import SEND
from keeper.chaos.transactions import BadTransaction, PoolTx, decoded
from keeper.chaos.upstream import Answer, Upstream, result_of

DELEGATION = "0xef0100"  # EIP-7702
MINE = ("evm_mine", "anvil_mine")
NONCE, LOOKUP, STATUS = "eth_getTransactionCount", "eth_getTransactionByHash", "txpool_status"
ANSWERED = frozenset({SEND, NONCE, LOOKUP, STATUS})


class Pools:
    """One pool an endpoint, or one for all. A block is never mined while a transaction is being taken."""

    def __init__(self, upstream: Upstream, pools: Mapping[str, Pool]) -> None:
        self._upstream = upstream
        self._by_endpoint = pools
        self.lock = asyncio.Lock()

    def at(self, endpoint: str) -> Pool:
        return self._by_endpoint[endpoint]

    def all(self) -> list[Pool]:
        """Return every pool once, in the order of the endpoints."""
        return list({id(pool): pool for pool in self._by_endpoint.values()}.values())

    async def answer(self, endpoint: str, method: str, params: Sequence[Any]) -> Answer | None:
        """Return what the pool says; None when the question is the node's alone."""
        pool = self.at(endpoint)
        if method == SEND and params:
            return (await self.take(endpoint, params[:1]))[0]
        if method == NONCE and params[1:] == ["pending"]:
            return await self._pending_nonce(pool, str(params[0]))
        if method == LOOKUP and params:
            return await self._lookup(pool, str(params[0]))
        if method == STATUS:
            pending, queued = pool.status()
            return {"result": {"pending": hex(pending), "queued": hex(queued)}}
        return None

    async def take(self, endpoint: str, sent: Sequence[object]) -> list[Answer]:
        """Offer raw transactions (hex) to the endpoint's pool one after the other, all at the same head."""
        found = [_decoded(str(raw)) for raw in sent]
        async with self.lock:
            state = await self.state({tx.sender for tx in found if isinstance(tx, PoolTx)})
            return [_added(self.at(endpoint), tx, state) if isinstance(tx, PoolTx) else tx for tx in found]

    async def state(self, senders: Iterable[str]) -> State:
        """Return the head block and what these senders hold there."""
        names = sorted(senders)
        asked: list[tuple[str, Sequence[Any]]] = [("eth_getBlockByNumber", ("latest", False))]
        for name in names:
            asked += [(method, (name, "latest")) for method in (NONCE, "eth_getBalance", "eth_getCode")]
        answers = await self._upstream.ask(asked)
        header, *found = [result_of(method, a) for (method, _), a in zip(asked, answers, strict=True)]
        facts = zip(names, found[::3], found[1::3], found[2::3], strict=True)
        held = {name: Holding(int(n, 16), int(b, 16), code.startswith(DELEGATION)) for name, n, b, code in facts}
        return State(int(header.get("baseFeePerGas", "0x0"), 16), int(header["gasLimit"], 16), held)

    async def new_head(self, hashes: Iterable[str]) -> None:
        """Tell every pool which transactions the new head's blocks hold."""
        mined = list(hashes)
        state = await self.state({sender for pool in self.all() for sender in pool.senders()})
        for pool in self.all():
            pool.mined(mined, state)

    async def put_back(self, raws: Sequence[bytes]) -> None:
        """Offer every pool what a reorganisation took out of the chain; what it refuses is gone, as in Geth."""
        for raw in raws:
            state = await self.state([decoded(raw).sender])
            for pool in self.all():
                try:
                    pool.add(raw, state)
                except PoolRefusal:
                    continue

    async def _pending_nonce(self, pool: Pool, address: str) -> Answer:
        sender = to_checksum_address(address)
        mined = int(await self._upstream.call(NONCE, sender, "latest"), 16)
        ours = pool.nonce(sender) if sender in pool.senders() else 0
        return {"result": hex(max(mined, ours))}

    async def _lookup(self, pool: Pool, tx_hash: str) -> Answer:
        (answer,) = await self._upstream.ask([(LOOKUP, (tx_hash,))])
        held = pool.by_hash(tx_hash)
        if answer.get("result") is None and held is not None:
            return {"result": as_json(held)}
        return answer


def _decoded(sent: str) -> PoolTx | Answer:
    try:
        return decoded(bytes.fromhex(sent.removeprefix("0x")))
    except (BadTransaction, ValueError) as e:
        return {"error": {"code": SERVER_ERROR, "message": str(e)}}


def _added(pool: Pool, tx: PoolTx, state: State) -> Answer:
    try:
        return {"result": pool.add(tx.raw, state)}
    except PoolRefusal as e:
        return {"error": {"code": e.code, "message": e.message}}


def as_json(tx: PoolTx) -> dict[str, Any]:
    """Return a transaction that waits in the pool as eth_getTransactionByHash shows it."""
    shown: dict[str, Any] = {
        "hash": tx.hash,
        "type": hex(tx.kind),
        "from": tx.sender.lower(),
        "to": tx.to.lower() if tx.to else None,
        "nonce": hex(tx.nonce),
        "gas": hex(tx.gas),
        "gasPrice": hex(tx.fee_cap),
        "value": hex(tx.value),
        "input": "0x" + tx.data.hex(),
        "chainId": hex(tx.chain_id or 0),
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
    }
    if tx.kind >= 2:
        shown |= {"maxFeePerGas": hex(tx.fee_cap), "maxPriorityFeePerGas": hex(tx.tip_cap)}
    return shown
