"""Follow the chain: the newest head, how it continues the last one, and how far apart blocks are."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from keeper.chain import Block
from keeper.errors import ChainError
from keeper.rpc import Rpc


@dataclass(frozen=True, slots=True)
class Head:
    """A new head. `skipped` blocks were never the newest when we looked: latest wins."""

    block: Block
    skipped: int
    reorged: bool  # the last head is not an ancestor of this one, as far as parent hashes show
    interval_s: int  # block time per block since the last head, >= 1


class Heads:
    """Polls for new heads. Over HTTP a node offers no event to await, so `poll_s` bounds the delay."""

    def __init__(
        self,
        rpc: Rpc,
        poll_s: float,
        stopped: Callable[[float], bool],
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stopped(seconds)` waits that long and says whether to stop, like threading.Event.wait; `clock` returns
        seconds that never go back."""
        self._rpc = rpc
        self._poll = poll_s
        self._stopped = stopped
        self._patience = patience_s
        self._clock = clock
        self._last: Block | None = None

    def follow(self) -> Iterator[Head]:
        """Yield each new newest head until stopped. Raises ChainError after `patience_s` without a usable answer."""
        silent_since = self._clock()
        while not self._stopped(0.0):
            try:
                head = self._new()
            except ChainError:
                if self._clock() - silent_since > self._patience:
                    raise
                self._stopped(min(1.0, self._poll * 10))
                continue
            if head is None:
                self._stopped(self._poll)
            else:
                yield head
            silent_since = self._clock()

    def _new(self) -> Head | None:
        """Return the newest head if it is news; an older block while ours still stands is a lagging replica."""
        block = self._rpc.block()
        if self._last is not None:
            seen = block.hash == self._last.hash
            if seen or (block.number < self._last.number and self.stands(self._last)):
                return None
        return self._advance(block)

    def newest(self) -> Head:
        """Return the newest head now, whether or not it was seen before."""
        return self._advance(self._rpc.block())

    def stands(self, block: Block) -> bool:
        """Say whether `block` is still on the chain: its header is read again and must have the same hash."""
        try:
            return self._rpc.block(block.number).hash == block.hash
        except ChainError:
            return False

    def passed(self, block: Block) -> bool:
        """Say whether a newer block than `block` is there.

        A node may serve reads of its head from the state it is just building the next block on: Anvil 1.7.1
        does, within one batch even. What was read while the head stood still, or is read of a block that is no
        longer the head, is one state.
        """
        return self._rpc.block().number > block.number

    def _advance(self, block: Block) -> Head:
        last = self._last
        if last is None:
            parent = self._rpc.block(max(block.number - 1, 0))
            head = Head(block, 0, False, max(1, block.timestamp - parent.timestamp))
        else:
            ahead = block.number - last.number
            again = block.hash == last.hash
            reorged = not again and (ahead <= 0 or (ahead == 1 and block.parent_hash != last.hash))
            interval = (block.timestamp - last.timestamp) // ahead if ahead > 0 else 1
            head = Head(block, max(ahead - 1, 0), reorged or not self.stands(last), max(1, interval))
        self._last = block
        return head
