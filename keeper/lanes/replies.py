"""What follows from what endpoints last said of the newest bytes of each waiting nonce. Pure.

Only bytes that no endpoint says it has are judged: where one took them, what another says is its own affair. What ends
a call or stops the key must be said by as many as make a fact, for the others may be out of reach: a single lying
endpoint stops nothing. No answer frees a nonce.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from keeper.sending.answers import ACTIONS, AnswerClass, Liveness, Step
from keeper.submit.parcels import is_relay

Said = frozenset[AnswerClass]

DEARER: Final = frozenset({Step.BUMP_FROM_STORED, Step.RAISE_FEES})
STANDSTILL: Final[Mapping[Step, str]] = {
    Step.STOP_NEW: "endpoints say that the key's funds do not suffice; nothing new is sent, send ETH to the key",
    Step.ONE_IN_FLIGHT: "endpoints take one transaction of this key at a time: it is a delegated account",
}
"""Steps after which nothing new is sent while such an answer is the last word on a waiting nonce."""
GRAVE: Final = frozenset({Step.CANCEL, Step.REBUILD, *STANDSTILL})
"""Steps that one endpoint alone does not cause: they end a call, or stop the key."""


def judged(last: Mapping[str, str], needed: int) -> Said:
    """Return the classes that endpoints (name → class) gave bytes that none of them has, none where one has them.

    A class with a grave step counts where at least `needed` gave one with the same step. Relays are not asked: what one
    says of bytes it was given proves nothing.
    """
    said = [AnswerClass(said) for name, said in last.items() if not is_relay(name)]
    if any(ACTIONS[one].live is Liveness.HERE for one in said):
        return frozenset()
    by = Counter(ACTIONS[one].step for one in said)
    return frozenset(one for one in said if (step := ACTIONS[one].step) not in GRAVE or by[step] >= needed)


def wants_sibling(said: Said, kinds: Collection[str]) -> bool:
    """Say whether a nonce needs one more attempt now; `kinds` are those of its attempts so far, the newest last.

    An invalid cancel is not repeated: an empty transfer that is invalid stays so at any price.
    """
    steps = _steps(said)
    return bool(steps & DEARER) or (Step.REBUILD in steps and "cancel" not in kinds)


def wants_cancel(said: Said, kinds: Collection[str]) -> bool:
    """Say whether the call should give way to an empty transfer: nodes will never run it, or a rebuilt one was invalid
    again."""
    steps = _steps(said)
    return Step.CANCEL in steps or (Step.REBUILD in steps and len(kinds) > 1)


def wants_simulation(said: Said) -> bool:
    return Step.SIMULATE_AGAIN in _steps(said)


def one_in_flight(waiting: Collection[Said]) -> bool:
    return any(Step.ONE_IN_FLIGHT in _steps(said) for said in waiting)


def standstill(waiting: Collection[Said]) -> str:
    """Return why nothing new may be sent, '' if it may. `waiting`: what was said of each waiting nonce."""
    steps = {step for said in waiting for step in _steps(said)}
    return "; ".join(why for step, why in STANDSTILL.items() if step in steps)


def alarm(said: Said, siblings: int) -> str:
    """Return what a person should know about a nonce with so many stored attempts, '' for nothing."""
    found = []
    if AnswerClass.REPLACE_UNDERPRICED in said and siblings == 1:
        found.append("a node holds other bytes for it and none of ours are stored: is the key used elsewhere?")
    if AnswerClass.NODE_FEE_CAP in said:
        found.append("every node caps the fee of a transaction below it: raise the nodes' cap or add an endpoint")
    if AnswerClass.INSUFFICIENT_FUNDS in said:
        found.append(STANDSTILL[Step.STOP_NEW])
    return "; ".join(found)


def _steps(said: Said) -> frozenset[Step]:
    return frozenset(ACTIONS[one].step for one in said)
