"""Facts of the chain that sending rests on, each from enough endpoints: receipts, nonces, headers, the height.

A fact is read from every usable endpoint and counts when enough agree and none disagrees. Every read asks for the chain
id in the same request, for a name may lead to another chain's node after a fail-over.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from keeper.chain import Block, Receipt
from keeper.errors import ChainError, RpcBusy, RpcUnreachable
from keeper.rpc import Rpc, RpcRefusal
from keeper.rpc_http import TOO_MANY
from keeper.rpc_records import block_of, receipt_of
from keeper.sending.answers import AnswerClass, classify
from keeper.submit.agreement import Agreed, Reading, Unanswered, agree, agree_or_lag
from keeper.submit.dissent import Dissent
from keeper.submit.endpoints import Endpoints
from keeper.submit.fanout import MALFORMED

T = TypeVar("T")
Item = tuple[str, Sequence[object]]


class Facts:
    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._needed = endpoints.needed
        self._dissent = Dissent(endpoints.needed)

    def receipts(self, hashes: Sequence[str]) -> tuple[Reading[Receipt | None], ...]:
        """Return each transaction's receipt, from enough endpoints and in a block they have at its height.

        Agreed on None: enough looked and none has it. One that has it and one that has not is a lag, not a fact.
        """
        if not hashes:
            return ()
        items: list[Item] = [("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in hashes]
        answers, faults = self._read(items, lambda said: [_receipt(a, h) for a, h in zip(said, hashes, strict=True)])
        found = [
            self._seen({name: receipts[row] for name, receipts in answers.items()}, faults)
            for row in range(len(hashes))
        ]
        heights = {r.answer.block_number for r in found if isinstance(r, Agreed) and r.answer is not None}
        headers = dict(zip(sorted(heights), self.headers(sorted(heights)), strict=True))
        return tuple(_on_chain(reading, headers) for reading in found)

    def _seen(self, answers: dict[str, Receipt | RpcRefusal | None], faults: dict[str, str]) -> Reading[Receipt | None]:
        """Return one receipt's reading; a refusal says nothing about it."""
        refused = {name: str(answer) for name, answer in answers.items() if isinstance(answer, RpcRefusal)}
        told = {name: answer for name, answer in answers.items() if not isinstance(answer, RpcRefusal)}
        return agree_or_lag(told, self._needed, {**faults, **refused})

    def nonce(self, address: str, block: Block) -> Reading[int]:
        """Return the transactions `address` has sent by the end of exactly this block (EIP-1898), not of its height."""
        answers, faults = self._counts(address, block)
        return agree(answers, self._needed, faults)

    def nonce_without_dissent(self, address: str, block: Block) -> Reading[int]:
        """As `nonce`, without those that were outvoted for blocks on end: one of several must not stop a key for ever.

        Of one block, so nobody says otherwise because it lags. Nothing may be declared dead by it.
        """
        answers, faults = self._counts(address, block)
        aside = self._dissent.aside(address, block.number, answers)
        reading = agree({name: a for name, a in answers.items() if name not in aside}, self._needed, faults)
        return replace(reading, aside=aside) if isinstance(reading, Agreed) else reading

    def _counts(self, address: str, block: Block) -> tuple[dict[str, int], dict[str, str]]:
        pinned = {"blockHash": block.hash, "requireCanonical": True}
        return self._read([("eth_getTransactionCount", (address, pinned))], lambda said: int(_told(said[0]), 16))

    def headers(self, numbers: Sequence[int]) -> tuple[Reading[Block], ...]:
        """Return the canonical block at each height."""
        if not numbers:
            return ()
        items: list[Item] = [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
        answers, faults = self._read(items, lambda said: [_header(a, n) for a, n in zip(said, numbers, strict=True)])
        return tuple(
            self._known({name: blocks[row] for name, blocks in answers.items()}, faults) for row in range(len(numbers))
        )

    def _known(self, answers: dict[str, Block | None], faults: dict[str, str]) -> Reading[Block]:
        there = {name: block for name, block in answers.items() if block is not None}
        behind = {name: "does not have the block" for name, block in answers.items() if block is None}
        return agree(there, self._needed, {**behind, **faults})

    def probe(self, told: Block) -> Block | None:
        """Ask the endpoints for their newest blocks; return `told` if enough have reached its number and its time.

        Else the newest of theirs that enough have: one endpoint that tells of blocks nobody else has, or of a time that
        has not come, neither hurries us nor makes the others late. None: too few answered.
        """
        items: list[Item] = [("eth_getBlockByNumber", ("latest", False))]
        answers, _ = self._read(items, lambda said: block_of(_table(said[0])))
        for name, block in answers.items():
            self._endpoints.health(name).at_head(block.number)
        if len(answers) < self._needed:
            return None
        rank = self._needed - 1
        number = sorted((block.number for block in answers.values()), reverse=True)[rank]
        timestamp = sorted((block.timestamp for block in answers.values()), reverse=True)[rank]
        for name in self._endpoints.names:
            self._endpoints.health(name).lags_behind(number)
        there = [one for one in (told, *answers.values()) if one.number <= number and one.timestamp <= timestamp]
        if told in there:
            return told
        return max(there, key=lambda one: one.number, default=None)

    # --- asking ------------------------------------------------------------------------------------

    def _read(
        self, items: Sequence[Item], parse: Callable[[list[Any]], T], names: Sequence[str] | None = None
    ) -> tuple[dict[str, T], dict[str, str]]:
        """Return what each endpoint answered, and in words why the others did not."""

        def read(name: str, rpc: Rpc) -> T:
            chain, *said = rpc.batch([("eth_chainId", ()), *items])
            if isinstance(chain, RpcRefusal) and classify(chain.code, chain.message) is AnswerClass.NODE_UNAVAILABLE:
                raise RpcBusy(str(chain), TOO_MANY, None)
            health = self._endpoints.health(name)
            try:
                if not health.on_chain(expected, int(_told(chain), 16)):
                    raise RpcUnreachable(f"expected chain id {expected}, found {chain}")
                found = parse(said)
                health.answered()
                return found
            except MALFORMED as e:
                raise RpcUnreachable(f"expected what was asked for, found {type(e).__name__}: {e}"[:200]) from e

        expected = self._endpoints.chain_id
        asked = self._asked() if names is None else names
        answers = self._endpoints.ask(asked, read)
        good = {name: answer for name, answer in answers.items() if not isinstance(answer, ChainError)}
        return good, {name: str(answer) for name, answer in answers.items() if isinstance(answer, ChainError)}

    def _asked(self) -> tuple[str, ...]:
        """Return whom to ask: every usable endpoint, and those of another chain, which may have come back to ours."""
        strayed = (view.name for view in self._endpoints.views() if view.wrong_chain is not None)
        return (*self._endpoints.usable(urgent=True, least=self._needed), *strayed)


def _told(said: Any | RpcRefusal) -> Any:
    """Return the answer. Raises ValueError for a refusal, with its words."""
    if isinstance(said, RpcRefusal):
        raise ValueError(str(said))
    return said


def _table(said: Any | RpcRefusal) -> dict[str, Any]:
    found = _told(said)
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, found {str(found)[:60]}")
    return found


def _receipt(said: Any | RpcRefusal, tx_hash: str) -> Receipt | RpcRefusal | None:
    """Return what was said of one hash. Raises ValueError where the receipt is another transaction's or torn."""
    if said is None or isinstance(said, RpcRefusal):
        return said
    receipt = receipt_of(_table(said))
    if receipt.tx_hash.lower() != tx_hash.lower():
        raise ValueError(f"expected the receipt of {tx_hash}, found {receipt.tx_hash}'s")
    if any((log.block_hash, log.block_number) != (receipt.block_hash, receipt.block_number) for log in receipt.logs):
        raise ValueError(f"expected logs of block {receipt.block_hash}, found another block's in {tx_hash}'s receipt")
    return receipt


def _header(said: Any | RpcRefusal, number: int) -> Block | None:
    if said is None or isinstance(said, RpcRefusal):
        return None
    block = block_of(_table(said))
    if block.number != number:
        raise ValueError(f"expected block {number}, found {block.number}")
    return block


def _on_chain(reading: Reading[Receipt | None], headers: dict[int, Reading[Block]]) -> Reading[Receipt | None]:
    """Return the reading if its block is the one the endpoints have at that height: caches keep orphaned receipts."""
    if not isinstance(reading, Agreed) or reading.answer is None:
        return reading
    header, receipt = headers[reading.answer.block_number], reading.answer
    if not isinstance(header, Agreed):
        return header
    if header.answer.hash != receipt.block_hash:
        why = f"its block {receipt.block_hash} is not the chain's at {receipt.block_number}, {header.answer.hash}"
        return Unanswered(len(reading.by), 0, why)
    return reading
