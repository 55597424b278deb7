"""Rolling spend caps over the worst case: gas limit × max fee, per nonce the dearest sibling, cancels included.

Of the siblings of a nonce one can be mined, so their maximum counts. A signature counts from its own moment for an
hour and for a day of the signer's clock; at exactly an hour's (a day's) age it no longer counts.
"""

from collections.abc import Iterable

from keeper.signer.policy import Policy
from keeper.signer.records import Refusal

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Spending:
    """What one key has put at risk in the hour and the day that end now."""

    def __init__(self, signed: Iterable[tuple[int, int, int]], now_ms: int) -> None:
        """`signed`: (nonce, worst cost in wei, time in ms) of at least the last day."""
        self._hour: dict[int, int] = {}
        self._day: dict[int, int] = {}
        for nonce, cost, time_ms in signed:
            if now_ms - time_ms < HOUR_MS:
                self._hour[nonce] = max(cost, self._hour.get(nonce, 0))
            if now_ms - time_ms < DAY_MS:
                self._day[nonce] = max(cost, self._day.get(nonce, 0))
        self.hour = sum(self._hour.values())  # wei
        self.day = sum(self._day.values())  # wei

    def refusal(self, policy: Policy, nonce: int, cost: int) -> Refusal | None:
        """Return the cap that `cost` more at `nonce` would break; reaching a cap exactly is allowed."""
        windows = (
            ("per_hour", self.hour, self._hour, policy.per_hour),
            ("per_day", self.day, self._day, policy.per_day),
        )
        for rule, spent, by_nonce, cap in windows:
            after = spent + max(0, cost - by_nonce.get(nonce, 0))
            if after > cap:
                return Refusal(rule, f"expected at most {cap} wei, found {after} with this one; wait or raise the cap")
        return None

    def add(self, nonce: int, cost: int) -> None:
        self.hour += max(0, cost - self._hour.get(nonce, 0))
        self.day += max(0, cost - self._day.get(nonce, 0))
        for by_nonce in (self._hour, self._day):
            by_nonce[nonce] = max(cost, by_nonce.get(nonce, 0))
