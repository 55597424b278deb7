"""What an operator asks of a running signer: stop, resume, enrol, reconcile, tell."""

from dataclasses import replace

from sqlalchemy import Connection

from keeper.signer import store
from keeper.signer.caps import DAY_MS, Spending
from keeper.signer.core import Core
from keeper.signer.records import Lane, Refusal
from keeper.signer.switch import worse


class Orders:
    def __init__(self, core: Core) -> None:
        self._core = core

    def stop(self, state: str) -> None:
        """Store what the switch says (a signal or the file) for every key; if that fails it stays asked for."""
        asked = self._core.switch.now()
        if asked == "running":
            return

        def stopped(_: Connection, lane: Lane, _now_ms: int) -> tuple[None, Lane, str]:
            return None, replace(lane, state=worse(lane.state, asked)), f"{asked} by {state}"

        for address in self._core.addresses:
            self._core.change(address, asked, stopped)

    def resume(self) -> Refusal | None:
        """Sign again after kill or drain. Refused while the kill file is there."""
        if self._core.switch.file_present():
            return Refusal("kill_file", "expected the kill file to be gone, found it; remove it, then resume")
        self._core.switch.clear()

        def resumed(_: Connection, lane: Lane, _now_ms: int) -> tuple[Refusal | None, Lane, str]:
            return None, replace(lane, state="running"), "resume"

        answers = [self._core.change(address, "resume", resumed) for address in self._core.addresses]
        return next((answer for answer in answers if answer is not None), None)

    def reconcile(self, address: str, ledger_id: str, next_nonce: int, *, first: bool) -> Lane | Refusal:
        """Enrol a ledger by hand (`first`), or accept that ledger and signer know different bytes below `next_nonce`.

        No nonce below is ever signed as new; the watermark is only raised. The lease must be free.
        """

        def reconciled(_: Connection, lane: Lane, now_ms: int) -> tuple[Lane | Refusal, Lane, str]:
            if lane.holder is not None and now_ms < lane.expires_ms:
                return Refusal("lease", f"expected a free lease, found {lane.holder}; stop that keeper"), lane, ""
            if first and lane.ledger_id is not None:
                reason = f"expected no ledger, found {lane.ledger_id}; run `keeper signer reconcile` to replace it"
                return Refusal("enrolment", reason), lane, ""
            watermark = max(lane.watermark, next_nonce - 1)
            fields = {"ledger_id": ledger_id, "watermark": watermark, "forgiven_to": watermark}
            lane = replace(lane, token=lane.token + 1, holder=None, expires_ms=0, **fields)  # type: ignore[arg-type]
            return lane, lane, f"enrolled {ledger_id}, watermark {watermark}"

        return self._core.change(address, "enrol" if first else "reconcile", reconciled)

    def status(self) -> list[dict[str, object]]:
        """Return every key's state as plain values; amounts are wei as text."""
        with self._core.database.transaction() as connection:
            now_ms = self._core.clock.now_ms()
            return [
                self._status(connection, self._core.lane(connection, address), now_ms)
                for address in self._core.addresses
            ]

    def _status(self, connection: Connection, lane: Lane, now_ms: int) -> dict[str, object]:
        spending = Spending(store.spent_since(connection, lane, now_ms - DAY_MS), now_ms)
        held = lane.holder is not None and now_ms < lane.expires_ms
        return {
            "address": lane.address,
            "chain_id": lane.chain_id,
            "mode": self._core.policy.mode,
            "state": worse(lane.state, self._core.switch.now()),
            "ledger": lane.ledger_id,
            "holder": lane.holder if held else None,
            "lease_ms": lane.expires_ms - now_ms if held else 0,
            "token": lane.token,
            "watermark": lane.watermark,
            "final": lane.final,
            "spent_hour_wei": str(spending.hour),
            "spent_day_wei": str(spending.day),
            "cap_hour_wei": str(self._core.policy.per_hour),
            "cap_day_wei": str(self._core.policy.per_day),
        }
