"""The reference venue's relays as a plan knows them: the call that brings records, and what events say was kept."""

from collections.abc import Sequence
from typing import Final

from keeper.abi import interface
from keeper.chain import Call, Log, Receipt
from keeper.plans import RelayReports
from keeper.rpc import Rpc
from keeper.venues.base import Effect, ForeignPlan
from keeper.venues.reference_contracts import PRICES, SURFACE, Contracts

GAS: Final = (200_000, 600_000)
"""Of a call: a flat part, and what each record may add."""


class Relays:
    """Both relays of one deployment."""

    def __init__(self, rpc: Rpc, contracts: Contracts) -> None:
        self._rpc = rpc
        self._kept_by = {contracts.prices: (PRICES, "ReportSet"), contracts.surface: (SURFACE, "SliceSet")}

    def call(self, plan: RelayReports) -> Call:
        """Return the relayMany of the plan's records. Raises ForeignPlan for a relay of another venue."""
        path, _ = self._said_by(plan)
        relay, (flat, each) = interface(path).function("relayMany"), GAS
        data = relay.selector + bytes.fromhex(plan.signed[2:])
        return Call(plan.relay, data, flat + each * len(plan.records), relay.named)

    def relayed(self, plan: RelayReports, receipt: Receipt) -> Effect:
        path, event = self._said_by(plan)
        kept = _kept([log for log in receipt.logs if log.address == plan.relay], path, event)
        ours = sum(kept.get(about) == second for about, second in plan.records.items())
        if not ours:
            return Effect(False, f"mined without a {event} event of these records")
        return Effect(True, f"{ours} of {len(plan.records)} kept, the others there already")

    def all_kept(self, plan: RelayReports, first: int, last: int) -> bool:
        """Say whether these blocks' events tell of each record, or a later one of the same thing."""
        path, event = self._said_by(plan)
        logs = self._rpc.logs([plan.relay], [interface(path).event(event).topic], first, last)
        kept = _kept(logs, path, event)
        return all(kept.get(about, 0) >= second for about, second in plan.records.items())

    def _said_by(self, plan: RelayReports) -> tuple[str, str]:
        """Return the interface of the plan's relay and the event of what it keeps. Raises ForeignPlan."""
        if plan.relay not in self._kept_by:
            raise ForeignPlan("reference", plan)
        return self._kept_by[plan.relay]


def _kept(logs: Sequence[Log], path: str, event: str) -> dict[tuple[int, int], int]:
    """Return the newest second that the logs tell of each underlying, and expiry where it is a slice."""
    told = interface(path).event(event)
    place = 1 if event == "ReportSet" else 2  # of the time in the record
    found: dict[tuple[int, int], int] = {}
    for log in logs:
        if log.topics[0] == told.topic:
            (record,) = told.body(log).values()
            about = (record[0], record[1] if event == "SliceSet" else 0)
            found[about] = max(found.get(about, 0), record[place])
    return found
