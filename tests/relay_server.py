"""A private relay and its builder on loopback: takes signed bundles, and fails, leaks or lies about them as told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.exceptions import BadSignature, ValidationError
from eth_utils.crypto import keccak

from keeper.rpc import Rpc

HEADER = "X-Flashbots-Signature"


@dataclass(frozen=True)
class Bundle:
    id: str
    raws: tuple[bytes, ...]
    target: int
    by: str  # who signed the request


@dataclass
class RelayServer:
    """What it does with bundles. It never forgets any, whatever it says."""

    url: str = ""
    status: int | None = None  # of HTTP, instead of an answer
    body: bytes | None = None  # instead of JSON-RPC
    failure: str = ""  # a JSON-RPC error to every bundle
    echoes: bool = False  # quotes the bytes it was given in that error
    result: object = None  # instead of the right one, where set
    location: str = ""  # with a status: where a redirect leads
    silent: bool = False  # takes requests and never answers
    received: list[Bundle] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    turned_away: int = 0  # requests without a right signature
    told: Callable[[Bundle], None] = lambda _: None  # called with what it was given, before it answers
    released: threading.Event = field(default_factory=threading.Event)

    # --- the builder -------------------------------------------------------------------------------

    def block(self, number: int) -> tuple[bytes, ...]:
        """Return what an honest builder puts into this block: the newest bundle for it that was not cancelled."""
        kept = [b for b in self.received if b.target == number and b.id not in self.cancelled]
        return kept[-1].raws if kept else ()

    def anything(self, number: int = 0) -> tuple[bytes, ...]:
        """Return what a builder has who ignores targets and cancels: the bundle of this place among all."""
        return self.received[number].raws

    def leak(self, node: Rpc) -> None:
        """Offer the newest bundle's transactions to a public node."""
        for raw in self.received[-1].raws:
            node.call("eth_sendRawTransaction", "0x" + raw.hex())

    # --- the relay ---------------------------------------------------------------------------------

    def answer(self, body: bytes, header: str) -> tuple[int, bytes]:
        asked = orjson.loads(body)
        by = signer_of(body, header)
        if by is None:
            self.turned_away += 1
            return 403, _error(asked, "invalid signature")
        self._keep(asked, by)
        if self.silent:
            self.released.wait(30)
        if self.status is not None or self.body is not None:
            return self.status or 200, self.body or b"busy"
        if self.failure or self.echoes:
            return 200, _error(asked, self.failure + (body.decode() if self.echoes else ""))
        return 200, orjson.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": self._result(asked)})

    def _keep(self, asked: dict[str, Any], by: str) -> None:
        (given,) = asked["params"]
        if asked["method"] == "eth_sendBundle":
            raws = tuple(bytes.fromhex(raw[2:]) for raw in given["txs"])
            self._take(Bundle(given["replacementUuid"], raws, int(given["blockNumber"], 16), by))
        elif asked["method"] == "eth_sendPrivateTransaction":
            raw = bytes.fromhex(given["tx"][2:])
            self._take(Bundle("0x" + keccak(raw).hex(), (raw,), int(given["maxBlockNumber"], 16), by))
        elif asked["method"] == "eth_cancelBundle":
            self.cancelled.add(given["replacementUuid"])
        elif asked["method"] == "eth_cancelPrivateTransaction":
            self.cancelled.add(given["txHash"])

    def _take(self, bundle: Bundle) -> None:
        self.cancelled.discard(bundle.id)
        self.received.append(bundle)
        self.told(bundle)

    def _result(self, asked: dict[str, Any]) -> object:
        if self.result is not None:
            return self.result
        if asked["method"] == "eth_sendPrivateTransaction":
            return "0x" + keccak(self.received[-1].raws[0]).hex()
        if asked["method"] == "eth_sendBundle":
            return {"bundleHash": "0x" + keccak(b"".join(self.received[-1].raws)).hex()}
        return True


def signer_of(body: bytes, header: str) -> str | None:
    """Return the address that signed this body, None where the header names another or is no signature."""
    address, _, signature = header.partition(":")
    try:
        found = Account.recover_message(encode_defunct(text="0x" + keccak(body).hex()), signature=signature)
    except (ValueError, TypeError, BadSignature, ValidationError):
        return None
    return address if found == address else None


def _error(asked: dict[str, Any], message: str) -> bytes:
    error = {"code": -32000, "message": message}
    return orjson.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error})


@contextmanager
def relay_server() -> Iterator[RelayServer]:
    relay = RelayServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, text = relay.answer(body, self.headers.get(HEADER, ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if relay.location:
                self.send_header("Location", relay.location)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    relay.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
