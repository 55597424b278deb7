"""Something that happens in the middle of a keeper's work: its disk is full, it sleeps while the world goes on."""

from collections.abc import Callable
from typing import Any, Literal

from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.stage import Stage

When = Literal["before", "after"]
MOST_BLOCKS = 8


class Interrupted:
    """A part of a keeper (its ledger, its signer) at one of whose calls something happens, once.

    `when` says whether that is before the call has done anything or after all of it is done.
    """

    def __init__(self, part: Any, method: str, when: When, happens: Callable[[], None]) -> None:
        self._part, self._method, self._when, self._happens = part, method, when, happens
        self._waits = True

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._part, name)
        return self._interrupted(real) if name == self._method and self._waits else real

    def _interrupted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self._waits = False
            if self._when == "before":
                self._happens()
            answer = real(*given, **named)
            if self._when == "after":
                self._happens()
            return answer

        return call


def finish(stage: Stage, keeper: LaneKeeper, accounts: int, blocks: int = MOST_BLOCKS) -> int:
    """Mine and tick until so many accounts were liquidated, then settle what is open; return the blocks it took."""
    for passed in range(blocks):
        if len(stage.effects(stage.site.address)) >= accounts:
            return passed + stage.settle(keeper, blocks - passed)
        stage.mine()
        stage.tick(keeper)
    return blocks
