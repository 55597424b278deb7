"""What failed, as quarantine and the retry budget count it: the cause of each failure, and who stays out because of it.

Both are rebuilt from the failures of the last day whenever they are asked for, so a restart forgets nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.sending.quarantine import Cause, Quarantine, RetryBudget

REMEMBERED_S: Final = 90_000
"""How far back failures are looked for, block time: the longest stay and a day after it."""
RETRIES: Final = RetryBudget(per_effect=10, in_all=500, window_s=3_600)
"""Of what was mined without effect: each try paid its gas."""

_GAS_WORDS = ("out of gas", "outofgas", "gas required exceeds", "used all of")
_LARGE_WORDS = ("larger than", "too large", "reverted with")


@dataclass(frozen=True, slots=True)
class Struck:
    """One failure. `value_at_risk` is what stays undone, micro-USD."""

    subject: str
    effect: str
    cause: Cause
    paid: bool  # mined: its gas is gone
    at: int  # block time, seconds
    value_at_risk: int


def cause_of(text: str, *, on_chain: bool) -> Cause:
    """Return what kind of failure a text tells of.

    On the chain only gas tells kinds apart; a simulation's refusal carries the contract's or the node's words.
    """
    words = text.casefold()
    if any(word in words for word in _GAS_WORDS):
        return "gas bomb"
    if on_chain:
        return "reverts"
    return "large answer" if any(word in words for word in _LARGE_WORDS) else "would revert"


def folded(failures: Iterable[Struck]) -> Quarantine:
    """Return the quarantine after these failures, oldest first."""
    state = Quarantine()
    for one in failures:
        state = state.struck(one.subject, one.cause, one.at, one.value_at_risk)
    return state


def barred(failures: Sequence[Struck], now: int) -> dict[str, str]:
    """Return subject → why it is left alone at `now`: quarantined, or its retries are spent. Others may go on."""
    why = {
        entry.subject: f"quarantined to second {entry.until} of block time: {entry.strikes} x {entry.cause}"
        for entry in folded(failures).held(now)
    }
    paid = [one for one in failures if one.paid]
    budget = replace(RETRIES, tried=tuple((one.effect, one.at) for one in paid))
    for one in paid:
        if one.subject not in why and (spent := budget.refusal(one.effect, now)):
            why[one.subject] = spent
    return why
