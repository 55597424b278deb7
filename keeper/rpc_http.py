"""One HTTP request to a JSON-RPC server: an answer bounded in size and time, and errors that quote no signed bytes."""

import re
import time
from collections.abc import Mapping

import requests
from urllib3.exceptions import HTTPError

from keeper.errors import RpcBusy, RpcUnreachable, redacted

CHUNK_BYTES = 1 << 20
MAX_RESPONSE_BYTES = 64 << 20
TOO_MANY = 429


class Boundless(Exception):
    """An answer that is too long or takes too long; its text is ours and quotes nothing."""


def posted(
    session: requests.Session, url: str, data: bytes, headers: Mapping[str, str], timeout_s: float
) -> tuple[bytes, int]:
    """Return the body and the HTTP status of the answer.

    Where `headers` sign the body redirects are not followed: they would carry it to a stranger. Raises RpcBusy for 429
    and server errors without JSON, RpcUnreachable when there is no answer.
    """
    where = redacted(url)
    try:
        with session.post(
            url, data=data, headers=headers, timeout=timeout_s, stream=True, allow_redirects=not headers
        ) as response:
            raw = _body(response, time.monotonic() + timeout_s)
            status, retry_after = response.status_code, response.headers.get("Retry-After")
    except Boundless as e:
        raise RpcUnreachable(f"{where}: expected a JSON-RPC answer, found {e}; is the url right?") from e
    except (requests.RequestException, HTTPError, OSError) as e:
        raise RpcUnreachable(
            f"{where}: expected a JSON-RPC answer, found {type(e).__name__}; is the node running and the url right?"
        ) from e
    if status == TOO_MANY or (status >= 500 and not raw.lstrip().startswith((b"{", b"["))):
        raise RpcBusy(
            f"{where}: expected an answer, found HTTP {status} with {quoted(raw)}; ask less often or add endpoints",
            status,
            _seconds(retry_after),
        )
    return raw, status


def _body(response: requests.Response, deadline: float) -> bytes:
    """Return the body, bounded in size and, however slowly it drips, in time. Raises Boundless beyond either."""
    chunks, size = [], 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise Boundless(f"an answer larger than {MAX_RESPONSE_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise Boundless("an answer that did not end in time")
    return b"".join(chunks)


def _seconds(retry_after: str | None) -> float | None:
    """Return a Retry-After in seconds; the form with a date is not used by limiters and counts as not given."""
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 7 else None


def without_bytes(text: str) -> str:
    """Return a text without long hexadecimal: a server may quote the signed bytes it was given. Hashes stay."""
    return re.sub(r"[0-9a-fA-F]{65,}", "…", text)


def quoted(raw: bytes) -> str:
    """Return the beginning of a body for a message."""
    return repr(without_bytes(raw[:4_096].decode(errors="replace"))[:120])
