"""The classes of what nodes answer to eth_sendRawTransaction, and what follows from each.

One node's rejection never proves that bytes are dead, so no class has a step that frees a nonce or forgets bytes.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AnswerClass(StrEnum):
    ACCEPTED = "ACCEPTED"
    ALREADY_KNOWN = "ALREADY_KNOWN"
    NONCE_USED = "NONCE_USED"
    NONCE_AMBIGUOUS = "NONCE_AMBIGUOUS"
    NONCE_GAP = "NONCE_GAP"
    REPLACE_UNDERPRICED = "REPLACE_UNDERPRICED"
    UNDERPRICED = "UNDERPRICED"
    FEECAP_BELOW_BASEFEE = "FEECAP_BELOW_BASEFEE"
    NODE_FEE_CAP = "NODE_FEE_CAP"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    POOL_FULL = "POOL_FULL"
    TYPE_CONFLICT = "TYPE_CONFLICT"
    DELEGATED_LIMIT = "DELEGATED_LIMIT"
    REVERT_PRECHECK = "REVERT_PRECHECK"
    TERMINALLY_STUCK = "TERMINALLY_STUCK"
    INVALID = "INVALID"
    NODE_UNAVAILABLE = "NODE_UNAVAILABLE"
    UNKNOWN = "UNKNOWN"


class Liveness(StrEnum):
    """Whether the bytes may be mined although this node answered so. There is no `dead`: that needs proof."""

    HERE = "here"
    """This node has them."""
    ELSEWHERE = "elsewhere"
    """This node does not have them; another one may."""
    ASSUMED = "assumed"
    """Nothing is known: assume that they are live."""


class Step(StrEnum):
    """What to do next. The nonce is kept in every case."""

    MARK_SEEN = "mark seen by the endpoint, after checking that the hash it returned is ours"
    LOOK_UP_SIBLINGS = "look up all sibling hashes at a pinned block, on several endpoints"
    COMPARE_NONCES = "compare the node's nonce with the ledger's, then as a gap or as used"
    SEND_PREDECESSORS = "offer the lower nonces first, then the same bytes again"
    BUMP_FROM_STORED = "bump both fees from the highest stored sibling; alarm when none is stored"
    RAISE_FEES = "sign a replacement within the caps, else hold"
    OTHER_ENDPOINT = "offer to other endpoints or ask for less gas; alarm: the node has a fee cap"
    STOP_NEW = "open nothing new, keep the head, alarm; offer the same bytes again once there is money"
    BACK_OFF = "wait, offer to other endpoints, offer again"
    WAIT_OR_CANCEL = "wait, or cancel with the type that is pooled"
    ONE_IN_FLIGHT = "keep one transaction of this key in flight"
    SIMULATE_AGAIN = "simulate again; cancel by a same-nonce transfer only where offers were made"
    CANCEL = "cancel by a same-nonce transfer of nothing"
    REBUILD = "sign another attempt at the same nonce; keep the bytes"
    QUERY_AND_REPEAT = "ask for the hash and offer the same bytes again"


@dataclass(frozen=True, slots=True)
class Action:
    live: Liveness
    step: Step


ACTIONS: Final[dict[AnswerClass, Action]] = {
    AnswerClass.ACCEPTED: Action(Liveness.HERE, Step.MARK_SEEN),
    AnswerClass.ALREADY_KNOWN: Action(Liveness.HERE, Step.MARK_SEEN),
    AnswerClass.NONCE_USED: Action(Liveness.ASSUMED, Step.LOOK_UP_SIBLINGS),
    AnswerClass.NONCE_AMBIGUOUS: Action(Liveness.ASSUMED, Step.COMPARE_NONCES),
    AnswerClass.NONCE_GAP: Action(Liveness.ELSEWHERE, Step.SEND_PREDECESSORS),
    AnswerClass.REPLACE_UNDERPRICED: Action(Liveness.ELSEWHERE, Step.BUMP_FROM_STORED),
    AnswerClass.UNDERPRICED: Action(Liveness.ELSEWHERE, Step.RAISE_FEES),
    AnswerClass.FEECAP_BELOW_BASEFEE: Action(Liveness.ELSEWHERE, Step.RAISE_FEES),
    AnswerClass.NODE_FEE_CAP: Action(Liveness.ELSEWHERE, Step.OTHER_ENDPOINT),
    AnswerClass.INSUFFICIENT_FUNDS: Action(Liveness.ELSEWHERE, Step.STOP_NEW),
    AnswerClass.POOL_FULL: Action(Liveness.ASSUMED, Step.BACK_OFF),
    AnswerClass.TYPE_CONFLICT: Action(Liveness.ELSEWHERE, Step.WAIT_OR_CANCEL),
    AnswerClass.DELEGATED_LIMIT: Action(Liveness.ELSEWHERE, Step.ONE_IN_FLIGHT),
    AnswerClass.REVERT_PRECHECK: Action(Liveness.ELSEWHERE, Step.SIMULATE_AGAIN),
    AnswerClass.TERMINALLY_STUCK: Action(Liveness.ASSUMED, Step.CANCEL),
    AnswerClass.INVALID: Action(Liveness.ELSEWHERE, Step.REBUILD),
    AnswerClass.NODE_UNAVAILABLE: Action(Liveness.ASSUMED, Step.QUERY_AND_REPEAT),
    AnswerClass.UNKNOWN: Action(Liveness.ASSUMED, Step.QUERY_AND_REPEAT),
}
