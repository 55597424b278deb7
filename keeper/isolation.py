"""Who is left alone for a while, and what that leaves undone: quarantine as the ledger's failures say it is now."""

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from keeper.journal.policy_queries import Failure
from keeper.sending.quarantine import Quarantine
from keeper.sending.strikes import REMEMBERED_S, Struck, barred, cause_of, folded
from keeper.units import to_base

log = logging.getLogger(__name__)
MICRO_DECIMALS: Final = 6
MICRO: Final = 10**6


class Failures(Protocol):
    def failures(self, since_timestamp: int) -> tuple[Failure, ...]: ...


class Isolation:
    """Asks the ledger each time; remembers only what its alarm has told already."""

    def __init__(self, ledger: Failures) -> None:
        self._ledger = ledger
        self._told: frozenset[str] = frozenset()

    def barred(self, now: int) -> Mapping[str, str]:
        """Return `held`, and raise the alarm when somebody is new among them."""
        struck = self._struck(now)
        found = barred(struck, now)
        if new := found.keys() - self._told:
            undone = folded(struck).value_at_risk(now) / MICRO
            named = ", ".join(f"{subject} ({found[subject]})" for subject in sorted(new))
            log.error("%d left alone, %.2f USD at risk stay undone; new: %s", len(found), undone, named)
        self._told = frozenset(found)
        return found

    def held(self, now: int) -> Mapping[str, str]:
        """Return subject → why no plan about it is made at block time `now`."""
        return barred(self._struck(now), now)

    def undone_usd(self, now: int) -> float:
        """Return USD at risk of everybody in quarantine."""
        return self.quarantine(now).value_at_risk(now) / MICRO

    def quarantine(self, now: int) -> Quarantine:
        return folded(self._struck(now))

    def _struck(self, now: int) -> tuple[Struck, ...]:
        return tuple(
            Struck(
                subject=one.subject,
                effect=one.effect,
                cause=cause_of(one.cause, on_chain=one.on_chain),
                paid=one.on_chain,
                at=one.timestamp,
                value_at_risk=to_base(one.at_risk_usd, MICRO_DECIMALS, up=False),
            )
            for one in self._ledger.failures(now - REMEMBERED_S)
        )
