"""A node that misbehaves on request: a proxy before a real one, which drops requests or answers of chosen methods."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import orjson


class FaultyNode:
    """Everything asked passes through `seen`; sets may be changed while it runs."""

    def __init__(self, port: int) -> None:
        self.upstream_port = port
        self.seen: list[tuple[str, list[Any]]] = []
        self.deaf_to: set[str] = set()  # never reach the node
        self.mute_on: set[str] = set()  # reach it, but the answer is lost
        self.refuses: set[str] = set()  # are answered with a JSON-RPC error
        self.url = ""

    def asked(self, method: str) -> list[list[Any]]:
        return [params for name, params in self.seen if name == method]

    def forward(self, body: bytes) -> bytes:
        node = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=30)
        try:
            node.request("POST", "/", body, {"Content-Type": "application/json"})
            return node.getresponse().read()
        finally:
            node.close()

    def answer(self, body: bytes) -> bytes | None:
        """Return what the client gets, None when the connection breaks."""
        asked = orjson.loads(body)
        self.seen += [(item["method"], item["params"]) for item in asked]
        methods = {item["method"] for item in asked}
        if methods & self.deaf_to:
            return None
        if methods & self.refuses:
            error = {"code": -32_005, "message": "limit exceeded"}
            return orjson.dumps([{"jsonrpc": "2.0", "id": item["id"], "error": error} for item in asked])
        answered = self.forward(body)
        return None if methods & self.mute_on else answered


N = TypeVar("N", bound=FaultyNode)


@contextmanager
def faulty_node(port: int, kind: type[N] = FaultyNode) -> Iterator[N]:
    """Serve a FaultyNode before the node on `port` of this machine."""
    node = kind(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = node.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.close_connection = True
            if answer is not None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        node.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield node
        finally:
            server.shutdown()
            thread.join()
