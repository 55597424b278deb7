"""The lanes of one keeper: what befalls one of them, no signer or a key that stands still, does not stop the others."""

import logging
from collections.abc import Callable, Sequence

from keeper.chain import Block
from keeper.errors import ChainError, KeeperError, SignerUnreachable, SigningRefused
from keeper.lanes.alarms import Alarms
from keeper.lanes.lane import Lane

log = logging.getLogger(__name__)


class Fleet:
    """The first lane is home: publications, changes of parameters and takes need its key. Raises ValueError for none,
    and for one key twice."""

    def __init__(self, lanes: Sequence[Lane], alarms: Alarms) -> None:
        addresses = [lane.address for lane in lanes]
        if not addresses or len(set(addresses)) < len(addresses):
            raise ValueError(f"expected at least one key and each once, found {addresses}")
        self.lanes = tuple(lanes)
        self._alarms = alarms

    @property
    def home(self) -> Lane:
        return self.lanes[0]

    def act(self, lanes: Sequence[Lane], do: Callable[[Lane], None]) -> list[Lane]:
        """Do it on each of `lanes`; return those where it succeeded. One without its signer is told and passed over, as
        is one that has not recovered for the chain's sake: endpoints that disagree on its nonces alone.

        Raises its error too where no lane has a signer, and at once whatever concerns all lanes: journal or chain.
        """
        done: list[Lane] = []
        failed: list[tuple[Lane, KeeperError]] = []
        for lane in lanes:
            try:
                do(lane)
                done.append(lane)
            except (SignerUnreachable, SigningRefused) as error:
                failed.append((lane, error))
            except ChainError as error:
                if lane.is_seated:
                    raise
                failed.append((lane, error))
        for lane, why in failed:
            cause = why.rule if isinstance(why, SigningRefused) else type(why).__name__
            self._alarms.tell(f"{lane.address} is passed over: {why}", about=f"{lane.address} is passed over: {cause}")
        if failed and not any(lane.is_seated for lane in self.lanes):
            raise failed[0][1]
        return done

    def stand_by(self, block: Block) -> None:
        """Let lanes that cannot reach their signer see through what is signed. A chain that cannot be read is told."""
        for lane in self.lanes:
            if not lane.is_seated:
                try:
                    lane.stand_by(block)
                except ChainError as error:
                    self._alarms.tell(f"{lane.address}: nothing is seen through meanwhile: {error}")

    def open_lanes(self) -> tuple[list[Lane], str]:
        """Return the lanes that take something new, and why the first of the others does not."""
        seated = [lane for lane in self.lanes if lane.is_seated] or list(self.lanes)
        why = {lane.address: lane.standstill() for lane in seated}
        closed = [f"{address}: {cause}" if len(self.lanes) > 1 else cause for address, cause in why.items() if cause]
        for cause in closed:
            self._alarms.tell(cause, about=cause)
        return [lane for lane in seated if not why[lane.address]], "".join(closed[:1])
