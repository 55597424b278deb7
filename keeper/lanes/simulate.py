"""Would it succeed where it will land? Simulated in the next block and the one after, at their block times."""

from collections.abc import Sequence

from keeper.abi import revert_reason
from keeper.chain import Block, Call
from keeper.heads import Head
from keeper.journal.records import Intent
from keeper.plans import in_order
from keeper.rpc import Rpc, RpcRefusal
from keeper.venues.base import Venue


class Simulation:
    """Asks the node what calls would do. Both blocks, because marks move with time alone."""

    def __init__(self, rpc: Rpc, venue: Venue, gas: int) -> None:
        """`gas`: limit of one transaction."""
        self._rpc = rpc
        self._venue = venue
        self._gas = gas

    def refusals(self, intents: Sequence[Intent], head: Head, sender: str) -> dict[int, str]:
        """Return by intent id why its call would revert; an intent that is missing would succeed."""
        if not intents:
            return {}
        calls = [self._venue.encode(intent.plan) for intent in intents]
        refused: dict[int, str] = {}
        for ahead in (1, 2):
            at = head.block.timestamp + ahead * head.interval_s
            for intent, answer in zip(intents, self._answers(intents, calls, head.block, at, sender), strict=True):
                if isinstance(answer, RpcRefusal):
                    refused.setdefault(intent.id, f"simulation: {revert_reason(answer.revert) or answer.message}")
        return refused

    def _answers(
        self, intents: Sequence[Intent], calls: Sequence[Call], block: Block, at: int, sender: str
    ) -> list[bytes | RpcRefusal]:
        """Return what each call would answer: each alone, or in turn where one needs another to land before it."""
        groups = in_order([intent.plan for intent in intents])
        alone = [rows[0] for rows in groups if len(rows) == 1]
        answers = self._rpc.simulate([calls[row] for row in alone], sender, block, at, self._gas)
        found = dict(zip(alone, answers, strict=True))
        for rows in groups:
            if len(rows) > 1:
                in_turn = self._rpc.simulate_in_turn([calls[row] for row in rows], sender, block, at, self._gas)
                found |= dict(zip(rows, in_turn, strict=True))
        return [found[row] for row in range(len(calls))]
