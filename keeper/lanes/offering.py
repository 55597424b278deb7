"""Hand signed bytes to every endpoint: the offer is in the ledger before the socket is written to, the answer after."""

import logging
import time
from collections import Counter
from collections.abc import Sequence

from keeper.chain import Block
from keeper.journal.slot_records import Answer, Moment, NewOffer, SlotAttempt
from keeper.lanes.ports import Ledger, Outlets
from keeper.sending.answers import ACTIONS, AnswerClass
from keeper.submit.endpoints import Offered

log = logging.getLogger(__name__)


def moment(block: Block) -> Moment:
    return Moment(block.number, block.hash, wall_ms())


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def offer(ledger: Ledger, outlets: Outlets, attempts: Sequence[SlotAttempt], block: Block) -> None:
    """Offer each attempt to every usable endpoint. An answer proves nothing about the bytes; it is noted."""
    names = outlets.usable(urgent=True)
    pairs = [NewOffer(attempt.id, name) for name in names for attempt in attempts]
    if not pairs:
        return
    noted = ledger.offering(pairs, moment(block))
    by_hash = {attempt.id: attempt.tx_hash for attempt in attempts}
    ids = {(offered.endpoint, by_hash[offered.attempt_id]): offered.id for offered in noted}
    said = outlets.offer([attempt.raw for attempt in attempts], to=names)
    ledger.answered([Answer(ids[s.endpoint, s.tx_hash], s.answer.name, s.text) for s in said], wall_ms())
    _warn(said)


def _warn(said: Sequence[Offered]) -> None:
    """Tell once per endpoint and class what was not accepted; each answer is in the journal."""
    noted = [one for one in said if one.answer not in (AnswerClass.ACCEPTED, AnswerClass.ALREADY_KNOWN)]
    for (endpoint, answer), count in Counter((one.endpoint, one.answer) for one in noted).items():
        first = next(one.tx_hash for one in noted if (one.endpoint, one.answer) == (endpoint, answer))
        log.warning("%s said %s of %d, %s first: %s", endpoint, answer.name, count, first, ACTIONS[answer].step)
