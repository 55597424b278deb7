"""Errors a user sees, each with the exit code the command line returns for it.

Every message says what was expected, what was found and what to do.
"""

from enum import IntEnum
from urllib.parse import urlsplit


class ExitCode(IntEnum):
    """Exit codes of every `keeper` command; documented in docs/command-line.md."""

    OK = 0
    FAILED = 1
    """Something the other codes do not name; the message says what."""
    USAGE = 2
    """The command line itself was wrong."""
    CONFIG = 3
    """The configuration or book file: unreadable, unknown key, value out of range, a book the model refuses."""
    CHAIN = 4
    """The chain is not the configured one: unreachable, wrong chain id, no contract at an address."""
    KEY = 5
    """The keystore: missing, undecryptable, or not the configured address; or the signer: refused, unreachable."""
    JOURNAL = 6
    """The journal database: unreachable, of another chain, or written by a newer version."""
    UNHEALTHY = 7
    """`keeper once`, `keeper margin`: it ran, but at least one account is unknown."""


class KeeperError(Exception):
    """Base of every error that carries its own exit code."""

    exit_code = ExitCode.FAILED


class UsageError(KeeperError):
    """An option's value that only the command itself could judge."""

    exit_code = ExitCode.USAGE


class ConfigError(KeeperError):
    exit_code = ExitCode.CONFIG


class ChainError(KeeperError):
    exit_code = ExitCode.CHAIN


class RpcUnreachable(ChainError):
    """No usable answer from the node: refused, timed out, or not JSON-RPC."""


class RpcBusy(RpcUnreachable):
    """A limiter or gateway answered in the node's place: HTTP 429 or 5xx without JSON-RPC inside."""

    def __init__(self, message: str, status: int, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s  # as the header asked, None where it did not


class WrongChain(ChainError):
    """The node answers for another chain than the configured one."""


class MissingContract(ChainError):
    """There is no code at an address where a contract was expected."""


class ReadError(KeeperError):
    """A state read failed; the tick that needed it is discarded, nothing is sent."""

    exit_code = ExitCode.CHAIN


class KeystoreError(KeeperError):
    exit_code = ExitCode.KEY


class SigningRefused(KeeperError):
    """The signer's policy does not allow this transaction, or the two stores disagree."""

    exit_code = ExitCode.KEY

    def __init__(self, message: str, rule: str = "") -> None:
        super().__init__(message)
        self.rule = rule  # the signer's, '' where the keeper itself refuses


class SignerStoreError(KeeperError):
    """The signer's own database cannot be written or would not be durable: nothing is signed."""

    exit_code = ExitCode.KEY


class SignerUnreachable(KeeperError):
    """No usable answer from the signer process. It may have signed all the same: ask again by the same request id."""

    exit_code = ExitCode.KEY


class JournalError(KeeperError):
    exit_code = ExitCode.JOURNAL


def redacted(url: str) -> str:
    """Return what may be shown of a URL: scheme://host:port/…, for credentials hide in all other parts."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "(an unreadable URL)"
    if parts.scheme == "sqlite" and not parts.netloc:
        return f"sqlite://{parts.path}"
    if not parts.scheme or not host:
        return "(not a URL)"
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}/…"
