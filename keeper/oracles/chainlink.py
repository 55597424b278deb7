"""Chainlink aggregators: answer, decimals and age of every feed at one block, in one batch."""

from collections.abc import Sequence

from keeper.abi import int_at, interface, uint_at
from keeper.chain import Block
from keeper.oracles.base import Feed, Quote
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.units import to_float

AGGREGATOR = "chainlink/AggregatorV3Interface"
MAX_DECIMALS = 77  # of a 256-bit integer


class Chainlink:
    """Reads AggregatorV3Interface.latestRoundData; holds nothing but the endpoint."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def read(self, block: Block, feeds: Sequence[Feed]) -> tuple[Quote, ...]:
        aggregator = interface(AGGREGATOR)
        calls = [aggregator.function(name).call(f.address) for f in feeds for name in ("latestRoundData", "decimals")]
        answers = self._rpc.eth_calls(calls, block)
        return tuple(_quote(block, feed, answers[2 * i : 2 * i + 2]) for i, feed in enumerate(feeds))


def _quote(block: Block, feed: Feed, answers: Sequence[bytes | RpcRefusal]) -> Quote:
    try:
        round_words, decimals_word = answered(answers)
        answer, updated_at = int_at(round_words, 1), uint_at(round_words, 3)
        decimals = uint_at(decimals_word)
        if updated_at >= 1 << 63 or decimals > MAX_DECIMALS:
            raise ValueError(f"absurd round: updated at {updated_at}, {decimals} decimals")
    except ValueError as e:
        return Quote(feed.symbol, feed.address, None, feed.decimals, None, None, f"not read: {e}")
    age = block.timestamp - updated_at
    return Quote(feed.symbol, feed.address, answer, decimals, updated_at, age, _fault(feed, answer, decimals, age))


def _fault(feed: Feed, answer: int, decimals: int, age: int) -> str:
    """Return why the answer may not be used, or ''. An answer exactly as old as the heartbeat is still good."""
    if decimals != feed.decimals:
        return f"expected {feed.decimals} decimals, found {decimals}; correct its [[oracle]] decimals or address"
    if answer <= 0:
        return f"expected an answer > 0, found {answer}"
    if age > feed.heartbeat_s:
        return f"{age} s old, heartbeat {feed.heartbeat_s} s; check the feed or raise heartbeat_seconds"
    if age < 0:
        return f"updated {-age} s after the block it was read at"
    usd = to_float(answer, decimals)
    if feed.min_answer is not None and usd <= feed.min_answer:
        return f"{usd:,.2f} USD is at or below the configured bound {feed.min_answer:,.2f}"
    if feed.max_answer is not None and usd >= feed.max_answer:
        return f"{usd:,.2f} USD is at or above the configured bound {feed.max_answer:,.2f}"
    return ""
