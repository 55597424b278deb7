"""Would it succeed where it will land? Tried behind everything of ours that lands before it, in the next two blocks.

What waits on this lane comes first, then the tick's plans in their order: a start that rests on arrays published just
before it, a liquidation that moves the price for the next. Two block times, because marks move with time alone. Each is
also tried by itself, for its gas: what an earlier call has warmed is cold in a transaction of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from keeper.chain import Block
from keeper.heads import Head
from keeper.in_turn import Ending, Step, least_gas, try_in_turn
from keeper.journal.records import Intent
from keeper.plans import opens_the_way
from keeper.reverts import RevertKind, revert
from keeper.rpc import Rpc, RpcRefusal
from keeper.venues.base import Venue

PPM = 10**6


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a call is not sent. `gas`: it used all it may; `large`: it reverts with more than is read; `node`: no say."""

    kind: RevertKind | Literal["gas", "large", "node"]
    text: str

    def __str__(self) -> str:
        return f"no simulation: {self.text}" if self.kind == "node" else f"simulation: {self.text}"


@dataclass(frozen=True, slots=True)
class Simulated:
    """By intent id: why its call would fail, and for the others the gas limit of a transaction of its own.

    An intent that succeeds only behind others has no limit here: its gas could not be seen cold.
    """

    refusals: Mapping[int, Refused]
    gas: Mapping[int, int]


class Simulation:
    """Asks the node what calls would do."""

    def __init__(self, rpc: Rpc, venue: Venue, gas: int, margin_ppm: int) -> None:
        """`gas`: limit of one transaction; `margin_ppm`: on top of the gas a call used, parts per million."""
        self._rpc = rpc
        self._venue = venue
        self._gas = gas
        self._margin = margin_ppm

    def simulate(self, intents: Sequence[Intent], head: Head, sender: str, pending: Sequence[Step] = ()) -> Simulated:
        """Try the calls of all intents in their order, behind `pending`, what waits on the lane, lowest nonce first."""
        if not intents:
            return Simulated({}, {})
        calls = [self._venue.encode(intent.plan) for intent in intents]
        steps = [Step(call, min(call.gas or self._gas, self._gas)) for call in calls]
        opening = [opens_the_way(intent.plan) for intent in intents]
        soon, later = (head.block.timestamp + ahead * head.interval_s for ahead in (1, 2))
        near = self._in_turn(steps, opening, pending, sender, head.block, soon)
        limits = self._limits(steps, near, sender, head.block, soon)
        tight = [Step(step.call, limit or step.gas) for step, limit in zip(steps, limits, strict=True)]
        far = self._in_turn(tight, opening, pending, sender, head.block, later)
        short = [row for row, one in enumerate(far) if _failed(one) and limits[row] is not None]
        if short:  # of gas, perhaps: a contract may want more in hand than it uses
            far = self._in_turn(steps, opening, pending, sender, head.block, later)
            limits = [None if row in short else limit for row, limit in enumerate(limits)]
        return _judged(intents, steps, [near, far], limits)

    def _in_turn(
        self,
        steps: Sequence[Step],
        opening: Sequence[bool],
        pending: Sequence[Step],
        sender: str,
        block: Block,
        at: int,
    ) -> list[Ending | RpcRefusal]:
        """Return how each step ended.

        Where one request has not the gas for all, the next one begins with what waits and with what opened the way;
        a step that finds no room even then is tried by itself.
        """
        found: list[Ending | RpcRefusal] = []
        while rest := steps[len(found) :]:
            way = [step for step, opens in zip(steps[: len(found)], opening, strict=False) if opens]
            answer = self._behind([*pending, *way], rest, sender, block, at) or self._behind(
                [], rest[:1], sender, block, at
            )
            if answer is None:
                answer = [RpcRefusal(0, f"expected a node that simulates {rest[0].gas} gas, found less; lower max_gas")]
            found += answer
        return found

    def _behind(
        self, before: Sequence[Step], rest: Sequence[Step], sender: str, block: Block, at: int
    ) -> list[Ending | RpcRefusal] | None:
        """Return how the first of `rest` ended behind `before`, None where there was room for none of them."""
        (answer,) = try_in_turn(self._rpc, [[*before, *rest]], sender, block, at)
        if isinstance(answer, RpcRefusal):
            return [answer for _ in rest]
        return list(answer[len(before) :]) or None

    def _limits(
        self, steps: Sequence[Step], near: Sequence[Ending | RpcRefusal], sender: str, block: Block, at: int
    ) -> list[int | None]:
        """Return the gas limit each step needs with the margin, None where it fails by itself or behind the others."""
        alone = try_in_turn(self._rpc, [[step] for step in steps], sender, block, at)
        return [self._limit(step, said, behind) for step, said, behind in zip(steps, alone, near, strict=True)]

    def _limit(self, step: Step, alone: tuple[Ending, ...] | RpcRefusal, behind: Ending | RpcRefusal) -> int | None:
        if isinstance(alone, RpcRefusal) or not alone or not alone[0].succeeded or _failed(behind):
            return None
        assert isinstance(behind, Ending)
        return gas_limit(step, max(alone[0].gas_used, behind.gas_used), self._margin)


def gas_limit(step: Step, used: int, margin_ppm: int) -> int:
    """Return the limit for a call that used so much gas: the margin on top, rounded up, never above the step's own."""
    least = least_gas(step.call.data, used)
    return min(least + -(-least * margin_ppm // PPM), step.gas)


def _failed(ending: Ending | RpcRefusal) -> bool:
    return isinstance(ending, RpcRefusal) or not ending.succeeded


def _judged(
    intents: Sequence[Intent],
    steps: Sequence[Step],
    tries: Sequence[Sequence[Ending | RpcRefusal]],
    limits: Sequence[int | None],
) -> Simulated:
    refusals: dict[int, Refused] = {}
    for endings in tries:
        for intent, step, ending in zip(intents, steps, endings, strict=True):
            if _failed(ending):
                refusals.setdefault(intent.id, refused(step, ending))
    found = {intent.id: limit for intent, limit in zip(intents, limits, strict=True) if limit is not None}
    return Simulated(refusals, {row: limit for row, limit in found.items() if row not in refusals})


def refused(step: Step, ending: Ending | RpcRefusal) -> Refused:
    """Return why a step that failed did. One that used exactly all it may counts as out of gas, whatever it says."""
    if isinstance(ending, RpcRefusal):
        return Refused("node", ending.message)
    if ending.gas_used >= step.inside:
        return Refused("gas", f"used all of {step.gas} gas: too little, or a call that burns whatever it is given")
    said = revert(ending.returned)
    if ending.size > len(ending.returned):
        return Refused("large", f"reverted with {ending.size} bytes: {said}")
    return Refused(said.kind, said.text)
