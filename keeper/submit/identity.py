"""Who a relay thinks we are: a key that holds nothing and signs requests, so that bundles build up one reputation."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from keeper.errors import ConfigError

HEADER: Final = "X-Flashbots-Signature"
OWNER_ONLY: Final = 0o600


class Identity:
    """Signs the bodies of requests. Its representation shows the address only."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    @property
    def address(self) -> str:
        return str(self._account.address)

    def __repr__(self) -> str:
        return f"Identity({self.address})"

    def stamp(self, body: bytes) -> Mapping[str, str]:
        """Return the header that relays ask for: address and EIP-191 signature of the body's keccak in hexadecimal."""
        signed = self._account.sign_message(encode_defunct(text="0x" + keccak(body).hex()))
        return {HEADER: f"{self.address}:0x{bytes(signed.signature).hex()}"}


def identity(path: Path) -> Identity:
    """Return the identity whose key is in the file; it is made, readable by its owner only, where there is none.

    Raises ConfigError for a file that holds anything else than one key of 32 bytes in hexadecimal.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        return Identity(_kept(path))
    except OSError as e:
        raise ConfigError(
            f"relay.auth_key: expected a file at {path}, or a place for one, found {e.strerror}; correct the path"
        ) from e
    account: LocalAccount = Account.create()
    with os.fdopen(descriptor, "w") as file:
        file.write(f"0x{bytes(account.key).hex()}\n")
    return Identity(account)


def _kept(path: Path) -> LocalAccount:
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip().removeprefix("0x"))
        account: LocalAccount = Account.from_key(secret)
    except (OSError, ValueError) as e:
        # the cause is dropped on purpose: its text may carry what was read
        raise ConfigError(
            f"relay.auth_key: expected 32 bytes in hexadecimal at {path}, found {type(e).__name__}; "
            "remove the file, and a new key is made"
        ) from None
    return account
