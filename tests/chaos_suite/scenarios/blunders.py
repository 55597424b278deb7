"""A keeper with one protection switched off: what the unprotected runs are made with, and what common senders do."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from keeper.chain import Block, Receipt
from keeper.journal.slot_records import Answer, Loss, NewOffer, Offer, SlotAttempt
from keeper.lanes.offering import moment
from keeper.lanes.watch import Found
from keeper.rpc import Rpc
from keeper.submit.agreement import Agreed, Reading
from keeper.submit.endpoints import Endpoint, Endpoints
from keeper.submit.facts import Facts
from tests.chain.lane_world import CHAIN_ID, LaneKeeper
from tests.chaos_suite.stage import PATIENCE_S, Stage


@dataclass
class BelievesAnswers:
    """A ledger for which an answer of one of these classes proves that the bytes are dead."""

    ledger: Any
    classes: Collection[str]
    attempts: dict[int, int] = field(default_factory=dict)  # offer → attempt
    at: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def offering(self, pairs: Sequence[NewOffer], at: Any) -> tuple[Offer, ...]:
        noted: tuple[Offer, ...] = self.ledger.offering(pairs, at)
        self.attempts |= {offer.id: offer.attempt_id for offer in noted}
        self.at = at
        return noted

    def answered(self, answers: Sequence[Answer], wall_ms: int) -> None:
        self.ledger.answered(answers, wall_ms)
        slots = {attempt.id: attempt.slot_id for attempt in self.ledger.live_attempts()}
        named = {self.attempts[one.offer_id] for one in answers if one.answer_class in self.classes}
        dead = {slots[attempt] for attempt in named}
        self.ledger.lost([_dead(slot) for slot in self.ledger.open_slots() if slot.id in dead], self.at)


def _dead(slot: Any) -> Loss:
    return Loss(slot.id, slot.nonce + 1, None, "given up")


@dataclass
class OnlyNewest:
    """A ledger that knows of each nonce only what was signed last."""

    ledger: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def live_attempts(self, sender: str | None = None) -> tuple[SlotAttempt, ...]:
        newest = {attempt.slot_id: attempt for attempt in self.ledger.live_attempts(sender)}
        return tuple(newest.values())


@dataclass
class OneReplica:
    """Facts of one endpoint, for whom what it does not have does not exist."""

    facts: Facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.facts, name)

    def receipts(self, hashes: Sequence[str]) -> tuple[Reading[Receipt | None], ...]:
        found = self.facts.receipts(hashes)
        return tuple(one if isinstance(one, Agreed) else Agreed(None, ("b",)) for one in found)


def asks_one(stage: Stage, keeper: LaneKeeper, endpoint: str) -> None:
    """Let the keeper take one endpoint's word, and its silence, for the chain's."""
    alone = Endpoint(endpoint, stage.rpc_of(endpoint))
    facts = Facts(Endpoints([alone], CHAIN_ID, patience_s=PATIENCE_S))
    keeper.lane.fleet.home._watch._facts = OneReplica(facts)  # type: ignore[attr-defined]


def gives_up_unseen(stage: Stage, keeper: LaneKeeper, endpoint: str) -> None:
    """Let the keeper take for dead whatever the endpoint does not know, however lately it took it."""
    rpc = stage.rpc_of(endpoint)

    def close_lost(found: Sequence[Found], block: Block) -> bool:
        waiting = [one for one in found if one.slot.state == "offered"]
        unseen = [one.slot for one in waiting if not any(_is_known(rpc, sibling) for sibling in one.siblings)]
        keeper.app.journal.lost([_dead(slot) for slot in unseen], moment(block))
        return bool(unseen)

    keeper.lane.fleet.home._watch._close_lost = close_lost  # type: ignore[attr-defined]


def _is_known(rpc: Rpc, attempt: SlotAttempt) -> bool:
    return rpc.call("eth_getTransactionByHash", attempt.tx_hash) is not None
