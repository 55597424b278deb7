"""Hand signed bytes to endpoints and relays: the offer is in the ledger before the socket is written to."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence

from keeper.chain import Block
from keeper.journal.slot_records import CALLS, Answer, Moment, NewOffer, Offer, SlotAttempt
from keeper.lanes.ports import Ledger, Outlets
from keeper.lanes.privacy import Berth, Private, moored, parcel_at, shown_at, uncovered_at
from keeper.lanes.replies import Said, judged
from keeper.plans import Plan
from keeper.sending.answers import ACTIONS, AnswerClass
from keeper.submit.endpoints import Offered

log = logging.getLogger(__name__)


def moment(block: Block) -> Moment:
    return Moment(block.number, block.hash, wall_ms())


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Desk:
    """Where signed bytes leave one lane. Holds no state: what went where is in the ledger."""

    def __init__(self, ledger: Ledger, outlets: Outlets, sender: str, private: Private | None = None) -> None:
        """`private`: where some plans go first, None where everything is public at once."""
        self._ledger = ledger
        self._outlets = outlets
        self._sender = sender
        self._private = private

    def wants_privacy(self, plans: Sequence[Plan]) -> bool:
        """Say whether a transaction that carries out these plans is to be private at first."""
        return self._private is not None and self._private.covers([plan.kind for plan in plans])

    def berths(self) -> tuple[Berth, ...]:
        """Return the waiting slots with the block from which each is public; none where nothing is ever private."""
        return () if self._private is None else moored(self._ledger, self._sender, self._private)

    def said(self, attempts: Collection[int]) -> dict[int, Said]:
        """Return what endpoints last said of each of these attempts, judged; nothing is left out."""
        last = self._ledger.last_answers(attempts)
        return {attempt: judged(last.get(attempt, {}), self._outlets.needed) for attempt in attempts}

    def offer(self, attempts: Sequence[SlotAttempt], block: Block, withheld: Collection[int] = ()) -> None:
        """Offer attempts to every usable endpoint, or to the relays those that are private at `block`.

        Where fewer than make a fact are usable, those that asked to be left alone are offered to as well: the only one
        that has the bytes might keep them to itself.
        Those below them go to the relays too, for none can be mined before. An answer proves nothing about the bytes;
        it is noted. `withheld`: ids of slots whose calls go to nobody; their cancels do.
        """
        berths = self.berths()
        shown = _leaving(shown_at(attempts, berths, block.number), withheld)
        parcel = _leaving(parcel_at(berths, block.number), withheld)
        names = self._outlets.usable(urgent=True, least=self._outlets.needed)
        relays = self._private.relay.usable() if self._private else ()
        pairs = [NewOffer(attempt.id, name) for name in names for attempt in shown]
        pairs += [NewOffer(attempt.id, name) for name in relays for attempt in parcel]
        noted = self._ledger.offering(pairs, moment(block)) if pairs else ()
        said = self._outlets.offer([attempt.raw for attempt in shown], to=names) if shown else ()
        if self._private and parcel:
            last = max(berth.public_from for berth in berths)
            said += self._private.relay.offer([a.raw for a in parcel], block.number + 1, last, relays)
        elif self._private and (late := uncovered_at(berths, block.number)):
            self._private.relay.withdraw([attempt.raw for attempt in late])
        self._note(noted, [*shown, *parcel], said)

    def _note(self, noted: Sequence[Offer], attempts: Sequence[SlotAttempt], said: Sequence[Offered]) -> None:
        hashes = {attempt.id: attempt.tx_hash for attempt in attempts}
        ids = {(offer.endpoint, hashes[offer.attempt_id]): offer.id for offer in noted}
        if said:
            answers = [Answer(ids[s.endpoint, s.tx_hash], s.answer.name, s.text) for s in said]
            self._ledger.answered(answers, wall_ms())
        _warn(said)


def _leaving(attempts: Sequence[SlotAttempt], withheld: Collection[int]) -> list[SlotAttempt]:
    return [one for one in attempts if one.slot_id not in withheld or one.kind not in CALLS]


def _warn(said: Sequence[Offered]) -> None:
    """Tell once per endpoint and class what was not accepted; each answer is in the journal."""
    noted = [one for one in said if one.answer not in (AnswerClass.ACCEPTED, AnswerClass.ALREADY_KNOWN)]
    for (endpoint, answer), count in Counter((one.endpoint, one.answer) for one in noted).items():
        first = next(one.tx_hash for one in noted if (one.endpoint, one.answer) == (endpoint, answer))
        log.warning("%s said %s of %d, %s first: %s", endpoint, answer.name, count, first, ACTIONS[answer].step)
