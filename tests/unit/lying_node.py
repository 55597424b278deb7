"""A JSON-RPC server of our own that answers as told: by method, or with any HTTP status, headers, body and speed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Answer = Callable[[list[Any]], Any]


@dataclass(frozen=True)
class Refuse:
    """A JSON-RPC error as an answer."""

    code: int
    message: str


@dataclass
class LyingNode:
    """`answers` by method; `raw` replaces the whole HTTP answer: status, headers, body."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    raw: tuple[int, dict[str, str], bytes] | None = None
    deaf: threading.Event | None = None  # answers only once this is set
    drips: bool = False  # a byte at a time, and never the end
    seen: list[tuple[str, list[Any]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def asked(self, method: str) -> list[list[Any]]:
        return [params for name, params in self.seen if name == method]

    def body(self, request: bytes) -> bytes:
        items = orjson.loads(request)
        self.seen += [(item["method"], item["params"]) for item in items]
        return orjson.dumps([self._item(item) for item in items])

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        known = self.answers.get(item["method"])
        found = known(item["params"]) if known else Refuse(-32601, f"the method {item['method']} does not exist")
        envelope = {"jsonrpc": "2.0", "id": item["id"]}
        if isinstance(found, Refuse):
            return {**envelope, "error": {"code": found.code, "message": found.message}}
        return {**envelope, "result": found}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    node: LyingNode

    def do_POST(self) -> None:
        node = self.node
        body = node.body(self.rfile.read(int(self.headers["Content-Length"])))
        if node.deaf is not None:
            node.deaf.wait(20)
        status, headers, body = node.raw or (200, {}, body)
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self._write(body)
        except OSError:
            self.close_connection = True  # the keeper has hung up

    def _write(self, body: bytes) -> None:
        if not self.node.drips:
            self.wfile.write(body)
            return
        for row in range(len(body) - 1):
            self.wfile.write(body[row : row + 1])
            if self.node.stopped.wait(0.02):
                return

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def lying_node(**answers: Answer) -> Iterator[LyingNode]:
    node = LyingNode(answers=dict(answers))
    handler = type("Told", (Handler,), {"node": node})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        node.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield node
        finally:
            node.stopped.set()
            if node.deaf is not None:
                node.deaf.set()
            server.shutdown()
            thread.join()
