"""Who may ask: one ledger per key, one connection at a time, each grant with a higher token than all before."""

from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from keeper.signer import store
from keeper.signer.core import Core
from keeper.signer.nonces import enrolment_refusal, final_refusal, lease_refusal
from keeper.signer.records import Grant, Lane, LedgerState, Refusal
from keeper.signer.switch import worse


@dataclass(slots=True)
class Session:
    """One connection and the tokens it was granted, by address."""

    tokens: dict[str, int] = field(default_factory=dict)


class Leases:
    def __init__(self, core: Core, *, lease_ms: int) -> None:
        self._core = core
        self._lease_ms = lease_ms
        self._left: dict[str, int] = {}  # address → token of a closed connection that the store still calls held

    def hello(self, session: Session, address: str, holder: str, state: LedgerState) -> Grant | Refusal:
        """Grant the lease of a key to this connection, enrolling the first ledger, or refuse with what to run."""

        def grant(connection: Connection, lane: Lane, now_ms: int) -> tuple[Grant | Refusal, Lane, str]:
            refused = self._taken(session, lane, now_ms)
            signed = store.signed_from(connection, lane, state.final + 1)
            refused = refused or enrolment_refusal(lane, state, signed)
            if refused:
                return refused, lane, ""
            if lane.ledger_id is None:
                used = state.chain_nonce - 1
                lane = replace(lane, ledger_id=state.ledger_id, watermark=used, final=used)
            lane = replace(
                lane,
                final=max(lane.final, state.final),
                token=lane.token + 1,
                holder=holder,
                expires_ms=now_ms + self._lease_ms,
            )
            given = self._grant(lane)
            return given, lane, f"lease with token {lane.token} to {holder}"

        answer = self._core.change(address, f"ledger {state.ledger_id}", grant)
        if isinstance(answer, Grant):
            session.tokens[address] = answer.token
        return answer

    def _grant(self, lane: Lane) -> Grant:
        state = worse(lane.state, self._core.switch.now())
        return Grant(lane.token, self._lease_ms, lane.watermark, lane.final, lane.forgiven_to, state)

    def _taken(self, session: Session, lane: Lane, now_ms: int) -> Refusal | None:
        own = session.tokens.get(lane.address) == lane.token
        left = self._left.get(lane.address) == lane.token
        if lane.holder is None or now_ms >= lane.expires_ms or own or left:
            return None
        lasts = lane.expires_ms - now_ms
        return Refusal(
            "lease", f"expected a free lease, found {lane.holder} holding it for {lasts} ms; stop that keeper"
        )

    def renew(self, session: Session, address: str, token: int) -> Grant | Refusal:
        def renewed(_: Connection, lane: Lane, now_ms: int) -> tuple[Grant | Refusal, Lane, str]:
            refused = lease_refusal(lane, token, session.tokens.get(address), now_ms)
            if refused:
                return refused, lane, ""
            lane = replace(lane, expires_ms=now_ms + self._lease_ms)
            return self._grant(lane), lane, ""

        return self._core.change(address, f"token {token}", renewed)

    def closed(self, session: Session) -> None:
        """Free what a closed connection held: its tokens are of no use to anybody else.

        If the store cannot be written that is remembered here, or the keeper could not come back to a store that can.
        """
        for address, token in session.tokens.items():

            def freed(_: Connection, lane: Lane, _now_ms: int, token: int = token) -> tuple[None, Lane, str]:
                mine = lane.token == token
                return None, (replace(lane, holder=None, expires_ms=0) if mine else lane), ""

            if isinstance(self._core.change(address, "closed", freed), Refusal):
                self._left[address] = token
        session.tokens.clear()

    def final(self, session: Session, address: str, token: int, nonce: int) -> int | Refusal:
        """Note the highest final nonce; return the one that holds now."""

        def noted(_: Connection, lane: Lane, now_ms: int) -> tuple[int | Refusal, Lane, str]:
            refused = lease_refusal(lane, token, session.tokens.get(address), now_ms) or final_refusal(lane, nonce)
            if refused:
                return refused, lane, ""
            lane = replace(lane, final=max(lane.final, nonce))
            return lane.final, lane, ""

        return self._core.change(address, f"final {nonce}", noted)
