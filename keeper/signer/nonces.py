"""Who may have which nonce signed: pure rules over what the signer remembers of one key.

The ledger allocates the nonce, the signer disposes. Every refusal that means the two stores no longer belong together
names the command that a human runs after looking: nothing here repairs itself.
"""

from collections.abc import Sequence

from keeper.signer.records import NONE_FINAL, Lane, LedgerState, Refusal, SignedBytes, SignRequest

RECONCILE = "stop the keeper, look, then run `keeper signer reconcile`"


def nonce_refusal(lane: Lane, request: SignRequest, siblings: Sequence[SignedBytes]) -> Refusal | None:
    """Return why `request` may not have its nonce, None if it may; `siblings` are the bytes signed for that nonce.

    A new nonce is exactly the watermark + 1. An older one that is not final takes the same call of the same intent,
    or a self-transfer; one that was never signed (the watermark was raised by reconcile) a self-transfer only.
    """
    if request.nonce == lane.watermark + 1:
        if request.kind != "cancel":
            return None
        return Refusal("nonce", f"expected a cancel of a signed nonce up to {lane.watermark}, found {request.nonce}")
    if request.nonce > lane.watermark:
        return Refusal("nonce", f"expected at most {lane.watermark + 1}, found {request.nonce}; sign the gap first")
    if request.nonce <= lane.final:
        return Refusal("nonce", f"expected one above the final nonce {lane.final}, found {request.nonce}")
    if request.kind == "cancel" and (siblings or lane.state == "running"):
        return None
    return _sibling_refusal(request, siblings)


def stop_refusal(lane: Lane, request: SignRequest) -> Refusal | None:
    """Return why the switch forbids `request`, stored bytes included, None if it does not."""
    if lane.state == "killed":
        return Refusal("killed", "expected a running signer, found the kill switch on; run `keeper signer resume`")
    if lane.state == "drain" and request.kind != "cancel":
        found = f"found a {request.kind}; run `keeper signer resume`"
        return Refusal("drain", f"expected a cancel of a signed nonce, {found}")
    return None


def _sibling_refusal(request: SignRequest, siblings: Sequence[SignedBytes]) -> Refusal | None:
    kinds = {signed.kind for signed in siblings}
    if request.kind != "call":
        if "call" not in kinds and request.kind == "filler":
            return None
        return Refusal("nonce", f"expected a cancel of signed bytes at nonce {request.nonce}, found a {request.kind}")
    calls = [signed for signed in siblings if signed.kind == "call"]
    if not calls:
        return Refusal("nonce", f"expected only self-transfers at nonce {request.nonce}, found a call")
    if any(signed.intent != request.intent for signed in calls):
        found = f"found {request.intent}"
        return Refusal("intent", f"expected the intent {calls[0].intent} at nonce {request.nonce}, {found}")
    if any(signed.payload != request.payload for signed in calls):
        return Refusal("intent", f"expected the same call as signed at nonce {request.nonce}, found another")
    return None


def enrolment_refusal(lane: Lane, state: LedgerState, signed: Sequence[SignedBytes]) -> Refusal | None:
    """Return why this ledger may not hold the lease, None if it may.

    `signed` are all bytes with a nonce above the ledger's final one. On a lane without ledger it enrols; then nothing
    it calls live may exist, for this signer did not sign it.
    """
    if lane.ledger_id is None:
        if state.attempts:
            found = f"found {len(state.attempts)} live attempts that this signer did not sign"
            return Refusal("enrolment", f"expected a ledger without live attempts, {found}; run `keeper signer enrol`")
        return None
    if lane.ledger_id != state.ledger_id:
        return Refusal("ledger", f"expected ledger {lane.ledger_id}, found {state.ledger_id}; {RECONCILE}")
    if state.chain_nonce > lane.watermark + 1:
        text = f"expected at most {lane.watermark + 1} transactions of {lane.address}, found {state.chain_nonce}"
        return Refusal("chain_nonce", f"{text}: another signer used the key, or this store is old; {RECONCILE}")
    return _signer_behind(lane, state, signed) or _ledger_behind(lane, state, signed)


def _signer_behind(lane: Lane, state: LedgerState, signed: Sequence[SignedBytes]) -> Refusal | None:
    known = {(row.nonce, row.tx_hash) for row in signed}
    foreign = [nonce for nonce, _ in state.attempts - known if nonce > lane.forgiven_to]
    if state.final <= lane.watermark and not foreign:
        return None
    text = f"expected only what this signer signed (to nonce {lane.watermark})"
    found = f"found final nonce {state.final} and {len(foreign)} attempts it does not know"
    return Refusal("signer_behind", f"{text}, {found} in the ledger: the signer's store is old; {RECONCILE}")


def _ledger_behind(lane: Lane, state: LedgerState, signed: Sequence[SignedBytes]) -> Refusal | None:
    lacking = [
        row
        for row in signed
        if (row.nonce, row.tx_hash) not in state.attempts
        and row.request_id not in state.open_requests
        and row.nonce > lane.forgiven_to
    ]
    reserved = state.next_nonce > lane.watermark or lane.watermark == lane.forgiven_to
    if reserved and not lacking:
        return None
    text = f"expected a ledger that holds or asked for all that was signed (to nonce {lane.watermark})"
    found = f"found its next nonce {state.next_nonce} and {len(lacking)} signed transactions it lacks"
    return Refusal("ledger_behind", f"{text}, {found}: the ledger is old; {RECONCILE}")


def lease_refusal(lane: Lane, token: int, held: int | None, now_ms: int) -> Refusal | None:
    """Return why a request with this fencing token is refused; `held` is the token the connection was granted."""
    if token != lane.token:
        return Refusal("fencing", f"expected the newest token {lane.token}, found {token}; ask for the lease again")
    if held != token or lane.holder is None:
        return Refusal("fencing", f"expected the connection that token {token} was granted to; ask for the lease again")
    if now_ms >= lane.expires_ms:
        return Refusal("lease", f"expected a lease that lasts, found one {now_ms - lane.expires_ms} ms over; ask again")
    return None


def final_refusal(lane: Lane, nonce: int) -> Refusal | None:
    """Return why `nonce` cannot be the highest final one. A lower one than known is no fault: it changes nothing."""
    if nonce < NONE_FINAL or nonce > lane.watermark:
        text = f"expected at most the watermark {lane.watermark}, found {nonce} as final"
        return Refusal("final", f"{text}: another signer used the key; {RECONCILE}")
    return None
