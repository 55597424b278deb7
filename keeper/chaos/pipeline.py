"""From requests to answers: each passes its faults, then pool or node, then the faults of the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from keeper.chain import Block
from keeper.chaos.faults import (
    Bloat,
    Delay,
    Drop,
    Duplicate,
    Error,
    Hold,
    ItemAction,
    Lie,
    Stale,
)
from keeper.chaos.faultset import Chosen, FaultSet
from keeper.chaos.holds import Holds
from keeper.chaos.lies import NoSuchPath, bloated, lied
from keeper.chaos.mining import Mined, Miner, Placed
from keeper.chaos.pools import ANSWERED, MINE, Pools
from keeper.chaos.requests import SEND, Open
from keeper.chaos.stale import changes, stale_params, stale_result, unknown_block
from keeper.chaos.upstream import Answer, Upstream

SPECIAL = (ANSWERED - {SEND}) | {*MINE}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request under way with the faults that met it."""

    open: Open
    chosen: tuple[Chosen, ...]

    @property
    def item_faults(self) -> list[Chosen]:
        return [c for c in self.chosen if isinstance(c.action, ItemAction)]


class Pipeline:
    def __init__(self, upstream: Upstream, pools: Pools | None, miner: Miner, faults: FaultSet) -> None:
        self._upstream = upstream
        self._pools = pools
        self._miner = miner
        self._faults = faults
        self._chain = pools.lock if pools is not None else asyncio.Lock()
        self.holds = Holds()
        self.blocks: list[Mined] = []

    async def resolve(self, batch: Sequence[Asked]) -> None:
        """Set every answer, in this order; neighbours without faults go together."""
        for way, together in groupby(batch, self._way):
            await way(list(together))

    def _way(self, asked: Asked) -> Callable[[Sequence[Asked]], Awaitable[None]]:
        method = asked.open.request.method
        if asked.item_faults or asked.open.ask is not None or (self._pools is not None and method in SPECIAL):
            return self._one_by_one
        if self._pools is not None and method == SEND:
            return self._send_together
        return self._forward_together

    async def _one_by_one(self, batch: Sequence[Asked]) -> None:
        for asked in batch:
            await self._resolve_one(asked)

    async def _send_together(self, batch: Sequence[Asked]) -> None:
        assert self._pools is not None
        endpoint = batch[0].open.request.endpoint
        sent = [a.open.request.params[0] if a.open.request.params else "" for a in batch]
        for asked, answer in zip(batch, await self._pools.take(endpoint, sent), strict=True):
            asked.open.forwarded += 1
            asked.open.answer = answer

    async def _forward_together(self, plain: Sequence[Asked]) -> None:
        requests = [(a.open.request.method, a.open.request.params) for a in plain]
        for asked, answer in zip(plain, await self._upstream.ask(requests), strict=True):
            asked.open.forwarded += 1
            asked.open.answer = answer
            await self._notice(asked.open.request.method, answer)

    # --- one request -------------------------------------------------------------------------------

    async def _resolve_one(self, asked: Asked) -> None:
        times, behind = 1, None
        for chosen in asked.item_faults:
            if await self._settled_before(asked, chosen):
                return
            if isinstance(chosen.action, Duplicate):
                self._faults.applied(chosen, [asked.open])
                times = chosen.action.times
            if isinstance(chosen.action, Stale) and changes(asked.open.request.method):
                self._faults.applied(chosen, [asked.open])
                behind = chosen.action.blocks
        if behind is None:
            asked.open.answer = await self._forward(asked.open, times)
        else:
            asked.open.answer = await self._behind(asked.open, behind)
        for chosen in asked.item_faults:
            self._change(asked.open, chosen)

    async def _settled_before(self, asked: Asked, chosen: Chosen) -> bool:
        """Apply a fault that stands before forwarding; True when the answer is found with it."""
        exchange, action = asked.open, chosen.action
        tx = exchange.request.transaction()
        match action:
            case Hold() | Delay():
                await self._hold(exchange, chosen, answered=tx is not None)
                exchange.answer = {"result": tx.hash} if tx else None
                return tx is not None
            case Drop():
                self._faults.applied(chosen, [exchange])
                exchange.answer = {"result": tx.hash if tx else None}
                return True
            case Error():
                self._faults.applied(chosen, [exchange])
                if action.forward:
                    await self._forward(exchange, 1)
                error = {"code": action.code, "message": action.message}
                exchange.answer = {"error": error if action.data is None else {**error, "data": action.data}}
                return True
        return False

    async def _hold(self, exchange: Open, chosen: Chosen, *, answered: bool) -> None:
        """Keep the bytes back when the hash is answered at once, else the caller.

        It counts as applied once it can be released, so whoever waits for that may release it.
        """
        due, seconds = None, 0.0
        if isinstance(chosen.action, Delay):
            seconds = chosen.action.seconds
            due = await self._upstream.number() + chosen.action.blocks if chosen.action.blocks else None
        if not answered:
            free = self.holds.gate(chosen.id, due, seconds)
            self._faults.applied(chosen, [exchange])
            await free.wait()
            return

        async def resume() -> None:
            exchange.late = await self._forward(exchange, 1)

        self.holds.keep(chosen.id, due, seconds, resume)
        self._faults.applied(chosen, [exchange])

    def _change(self, exchange: Open, chosen: Chosen) -> None:
        """Apply a fault of the answer. A refusal is no result, so there is nothing to lie about."""
        action = chosen.action
        if exchange.answer is None or "error" in exchange.answer:
            return
        if isinstance(action, Bloat):
            exchange.answer = {"result": bloated(action.mebibytes)}
            self._faults.applied(chosen, [exchange])
        if isinstance(action, Lie):
            try:
                exchange.answer = {"result": lied(exchange.answer.get("result"), action.path, action.value)}
            except NoSuchPath:
                return
            self._faults.applied(chosen, [exchange])

    # --- towards the node --------------------------------------------------------------------------

    async def _forward(self, exchange: Open, times: int) -> Answer:
        """Return the first of `times` answers."""
        answers = []
        for _ in range(times):
            exchange.forwarded += 1
            answers.append(await self._ask(exchange, list(exchange.request.params)))
        return answers[0]

    async def _ask(self, exchange: Open, params: list[Any]) -> Answer:
        request = exchange.request
        if exchange.ask is not None:
            return await exchange.ask(request.method, params)
        if self._pools is not None and request.method in MINE:
            return await self._mine_for_client(params)
        answer = None
        if self._pools is not None:
            answer = await self._pools.answer(request.endpoint, request.method, params)
        if answer is None:
            (answer,) = await self._upstream.ask([(request.method, params)])
            await self._notice(request.method, answer)
        return answer

    async def _behind(self, exchange: Open, blocks: int) -> Answer:
        """Return the answer of a node whose head is `blocks` behind the true one, never below genesis."""
        method = exchange.request.method
        head = max(await self._upstream.number() - blocks, 0)
        params = stale_params(method, exchange.request.params, head)
        exchange.forwarded += 1
        if params is None:
            return unknown_block(method)
        answer = await self._ask(exchange, params)
        return answer if "error" in answer else {"result": stale_result(method, answer.get("result"), head)}

    async def _notice(self, method: str, answer: Answer) -> None:
        """Let go of what waited for a block that somebody else mined."""
        number = answer.get("result") if method == "eth_blockNumber" else None
        if isinstance(number, str):
            await self.holds.reached(int(number, 16))

    # --- blocks ------------------------------------------------------------------------------------

    async def mine(self, timestamp: int | None, base_fee: int | None, first: Sequence[bytes]) -> Mined:
        """Make one block, then let go of what waited for it."""
        async with self._chain:
            made = await self._miner.mine(timestamp, base_fee, first)
        self.blocks.append(made)
        await self.holds.reached(made.block.number)
        return made

    async def reorg(self, depth: int, keep: Mapping[str, int], place: Placed, put_back: bool) -> Block:
        async with self._chain:
            return await self._miner.reorg(depth, keep, place, put_back)

    async def rollback(self, depth: int, put_back: bool) -> Block:
        async with self._chain:
            return await self._miner.rollback(depth, put_back)

    async def _mine_for_client(self, params: list[Any]) -> Answer:
        """`evm_mine` and `anvil_mine` through the proxy: as many blocks as asked, all from the pool."""
        count = int(str(params[0]), 16) if params and isinstance(params[0], str) else 1
        for _ in range(count):
            await self.mine(None, None, ())
        return {"result": "0x0"}
