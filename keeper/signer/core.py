"""One transaction over one key's row: what every request to the signer is made of."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from keeper.errors import SignerStoreError
from keeper.signer import store
from keeper.signer.clock import Clock
from keeper.signer.database import Database
from keeper.signer.policy import Policy
from keeper.signer.records import Lane, Refusal
from keeper.signer.switch import Switch

log = logging.getLogger(__name__)

T = TypeVar("T")
Step = Callable[[Connection, Lane, int], tuple[T, Lane, str]]
"""(connection, lane, now in ms) -> (answer, lane afterwards, what to write down of it, '' for nothing)."""


class Core:
    """What the parts of the signer share: store, policy, clock, switch. `policy` is replaced by a reload only."""

    def __init__(
        self, database: Database, policy: Policy, addresses: Sequence[str], clock: Clock, switch: Switch
    ) -> None:
        """Forget the leases of before: their connections are gone. Raises SignerStoreError."""
        self.database = database
        self.policy = policy
        self.addresses = tuple(addresses)
        self.clock = clock
        self.switch = switch
        with database.transaction() as connection:
            clock.not_before(store.seen_ms(connection))
            for address in self.addresses:
                store.keep(connection, replace(self.lane(connection, address), holder=None, expires_ms=0))

    def lane(self, connection: Connection, address: str) -> Lane:
        return store.lane(connection, self.policy.chain_id, address)

    def unknown(self, address: str) -> Refusal:
        return Refusal("key", f"expected one of {', '.join(self.addresses)}, found {address}")

    def change(self, address: str, subject: str, step: Step[T]) -> T | Refusal:
        """Run one step in one transaction. A refusal is recorded, and so is what `step` says of itself."""
        if address not in self.addresses:
            return self.unknown(address)
        try:
            with self.database.transaction() as connection:
                lane, now_ms = self.lane(connection, address), self.clock.now_ms()
                answer, changed, why = step(connection, lane, now_ms)
                refused = answer if isinstance(answer, Refusal) else None
                if changed != lane:
                    store.keep(connection, changed)
                if refused or why:
                    store.decide(connection, changed, now_ms, subject, refused, why)
                store.see(connection, now_ms)
        except SignerStoreError as error:
            log.error("%s: nothing changed: %s", subject, error)
            return Refusal("store", str(error))
        if refused or why:
            log.log(logging.WARNING if refused else logging.INFO, "%s: %s", subject, refused or why)
        return answer
