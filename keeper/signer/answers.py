"""From a request's line to its answer's: one function a kind of request."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from keeper.errors import KeeperError
from keeper.signer import wire
from keeper.signer.leases import Session
from keeper.signer.policy import Policy
from keeper.signer.records import Grant, Refusal, SignedBytes
from keeper.signer.service import Service


def answer(service: Service, session: Session, line: bytes) -> bytes:
    """Return the answer to one line of a keeper's connection."""
    request = wire.read_request(line, admin=False)
    body = wire.refused(request) if isinstance(request, Refusal) else _keeper(service, session, request)
    return wire.to_line({"id": wire.request_id(line), **body})


def _keeper(service: Service, session: Session, request: Any) -> dict[str, Any]:
    match request:
        case wire.Hello():
            return _granted(service.leases.hello(session, request.address, request.holder, request.state()))
        case wire.Renew():
            return _granted(service.leases.renew(session, request.address, request.token))
        case wire.Sign():
            items = [item.asked() for item in request.items]
            given = service.sign(session, request.address, request.token, items)
            return {"ok": True, "items": [_item(one) for one in given]}
        case wire.Signed():
            return _page(service.signed(request.address, request.from_nonce, request.after, wire.PAGE))
        case wire.Final_():
            final = service.leases.final(session, request.address, request.token, request.nonce)
            return wire.refused(final) if isinstance(final, Refusal) else {"ok": True, "final": final}
    return _status(service)


def admin_answer(service: Service, reload: Callable[[], Policy], line: bytes) -> bytes:
    """Return the answer to one line of the operator's connection; `reload` reads the policy from the file again."""
    request = wire.read_request(line, admin=True)
    body = wire.refused(request) if isinstance(request, Refusal) else _admin(service, reload, request)
    return wire.to_line({"id": wire.request_id(line), **body})


def _admin(service: Service, reload: Callable[[], Policy], request: Any) -> dict[str, Any]:
    match request:
        case wire.Reconcile():
            first = request.op == "enrol"
            lane = service.orders.reconcile(request.address, request.ledger, request.next_nonce, first=first)
            return wire.refused(lane) if isinstance(lane, Refusal) else {"ok": True, "watermark": lane.watermark}
        case wire.Command(op="resume"):
            refused = service.orders.resume()
            return wire.refused(refused) if refused else _status(service)
        case wire.Command(op="reload"):
            return _reloaded(service, reload)
        case wire.Command():
            service.core.switch.ask("killed" if request.op == "kill" else "drain")
            service.orders.stop("command")
            return _status(service)
    return _status(service)


def _reloaded(service: Service, reload: Callable[[], Policy]) -> dict[str, Any]:
    """Replace caps, fees and allow-list between two requests. Mode and chain take a restart: they decide on keys."""
    try:
        policy = reload()
    except KeeperError as error:
        return wire.refused(Refusal("reload", f"{error}; the policy of before stays in force"))
    before = service.core.policy
    if (policy.mode, policy.chain_id) != (before.mode, before.chain_id):
        return wire.refused(Refusal("reload", "expected the same mode and chain id, found others; restart the signer"))
    service.core.policy = policy
    return _status(service)


def _status(service: Service) -> dict[str, Any]:
    try:
        return {"ok": True, "lanes": service.orders.status()}
    except KeeperError as error:
        return wire.refused(Refusal("store", str(error)))


def _granted(grant: Grant | Refusal) -> dict[str, Any]:
    return wire.refused(grant) if isinstance(grant, Refusal) else wire.grant_out(grant)


def _item(given: SignedBytes | Refusal) -> dict[str, Any]:
    return wire.refused(given) if isinstance(given, Refusal) else wire.signed_out(given)


def _page(found: Sequence[SignedBytes] | Refusal) -> dict[str, Any]:
    """Return as many rows as fit one line, at least one, and whether there are more."""
    if isinstance(found, Refusal):
        return wire.refused(found)
    sizes = accumulate(len(row.raw) + sum(map(len, row.effects)) for row in found)
    fitting = max(1, sum(size <= wire.PAGE_BYTES for size in sizes))
    more = len(found) > fitting or len(found) == wire.PAGE
    return {"ok": True, "items": [wire.signed_out(row) for row in found[:fitting]], "more": more}
