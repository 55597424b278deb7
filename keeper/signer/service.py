"""Signing: every answer is decided and recorded in one transaction before it is given."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from keeper.errors import KeystoreError, SignerStoreError
from keeper.signer import store
from keeper.signer.caps import DAY_MS, Spending
from keeper.signer.core import Core
from keeper.signer.keystore import Key
from keeper.signer.leases import Leases, Session
from keeper.signer.nonces import lease_refusal, nonce_refusal, stop_refusal
from keeper.signer.orders import Orders
from keeper.signer.policy import refusal
from keeper.signer.records import Lane, Refusal, SignedBytes, SignRequest
from keeper.signer.switch import worse

log = logging.getLogger(__name__)


class Service:
    """The signer without its sockets."""

    def __init__(
        self, core: Core, keys: Mapping[str, Key], *, lease_ms: int, committed: Callable[[], None] = lambda: None
    ) -> None:
        """`keys` by address, kept in mode live only; `committed` is called between a commit and its answer."""
        self.core = core
        self.leases = Leases(core, lease_ms=lease_ms)
        self.orders = Orders(core)
        self._keys = dict(keys) if core.policy.mode == "live" else {}
        self._committed = committed

    def sign(
        self, session: Session, address: str, token: int, requests: Sequence[SignRequest]
    ) -> list[SignedBytes | Refusal]:
        """Decide on every request, record all decisions and signatures in one commit, and only then answer."""
        if address not in self.core.addresses:
            return [self.core.unknown(address) for _ in requests]
        try:
            with self.core.database.transaction() as connection:
                answers = self._decided(connection, session, address, token, requests)
        except (SignerStoreError, KeystoreError) as error:
            log.error("nothing signed of %d requests: %s", len(requests), error)
            return [Refusal("store", str(error)) for _ in requests]
        self._committed()
        for request, answer in zip(requests, answers, strict=True):
            _log(request, answer)
        return answers

    def _decided(
        self, connection: Connection, session: Session, address: str, token: int, requests: Sequence[SignRequest]
    ) -> list[SignedBytes | Refusal]:
        lane = self.core.lane(connection, address)
        started_ms = self.core.clock.now_ms()
        spending = Spending(store.spent_since(connection, lane, started_ms - DAY_MS), started_ms)
        answers: list[SignedBytes | Refusal] = []
        for request in requests:
            now_ms = self.core.clock.now_ms()
            lane = replace(lane, state=worse(lane.state, self.core.switch.now()))
            refused = lease_refusal(lane, token, session.tokens.get(address), now_ms) or stop_refusal(lane, request)
            answer = refused or self._replayed(connection, lane, request)
            answer = answer or self._fresh(connection, lane, request, spending, now_ms)
            answers.append(answer)
            refused, why = (answer, "") if isinstance(answer, Refusal) else (None, answer.tx_hash)
            store.decide(connection, lane, now_ms, request.request_id, refused, why)
            if isinstance(answer, SignedBytes):
                lane = replace(lane, watermark=max(lane.watermark, request.nonce))
        store.keep(connection, lane)
        store.see(connection, self.core.clock.now_ms())
        return answers

    def _replayed(self, connection: Connection, lane: Lane, request: SignRequest) -> SignedBytes | Refusal | None:
        before = store.asked_before(connection, lane, request.request_id)
        if before is None:
            return None
        fingerprint, signed = before
        if fingerprint != request.fingerprint:
            return Refusal("request_id", "expected the content this request id was signed with, found another")
        return signed

    def _fresh(
        self, connection: Connection, lane: Lane, request: SignRequest, spending: Spending, now_ms: int
    ) -> SignedBytes | Refusal:
        refused = (
            refusal(self.core.policy, request, lane.address)
            or nonce_refusal(lane, request, store.siblings(connection, lane, request.nonce))
            or spending.refusal(self.core.policy, request.nonce, request.worst_cost)
        )
        if refused:
            return refused
        key = self._keys.get(lane.address)
        if key is None:
            return Refusal("key", f"expected the key of {lane.address} in memory, found none; restart in mode live")
        tx_hash, raw = key.sign(request)
        spending.add(request.nonce, request.worst_cost)
        return store.record(connection, lane, request, tx_hash, raw, now_ms)

    def signed(self, address: str, nonce: int, after: int, limit: int) -> list[SignedBytes] | Refusal:
        """Return what was signed for nonces from `nonce` on, past sequence `after`; in every mode and state."""

        def found(connection: Connection, lane: Lane, _: int) -> tuple[list[SignedBytes] | Refusal, Lane, str]:
            return store.signed_from(connection, lane, nonce, after=after, limit=limit), lane, ""

        return self.core.change(address, f"signed from {nonce}", found)


def _log(request: SignRequest, answer: SignedBytes | Refusal) -> None:
    what = f"{request.kind} nonce {request.nonce} 0x{request.data[:4].hex()} on {request.to}"
    asked = (
        f"request {request.request_id} intent {request.intent}: {what}, gas {request.gas}, max fee {request.max_fee}"
    )
    if isinstance(answer, Refusal):
        log.warning("refused %s: %s", asked, answer)
    else:
        log.info("signed %s: %s", asked, answer.tx_hash)
