"""Keys: out of an encrypted keystore into memory, and from there only into signatures."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.datatypes import PrivateKey
from eth_typing import HexStr
from eth_utils.exceptions import ValidationError
from pydantic import SecretStr

from keeper.errors import ConfigError, KeystoreError
from keeper.signer.records import SignRequest

PASSWORD = "KEEPER_KEYSTORE_PASSWORD"
PASSWORD_FILE = "KEEPER_KEYSTORE_PASSWORD_FILE"
HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1; EIP-2 allows no `s` above it."""


class _Secret(PrivateKey):
    """A private key that no message, traceback or debugger's listing shows."""

    def __repr__(self) -> str:
        return "PrivateKey(hidden)"

    __str__ = __repr__


class Key:
    """Signs what it is given: whoever calls it has checked. Its representation shows the address only."""

    __slots__ = ("_secret", "address")

    def __init__(self, account: LocalAccount) -> None:
        # an object of its own: from bytes, its public key would be derived anew for every signature
        self._secret = _Secret(bytes(account.key))
        self.address: str = account.address

    def __repr__(self) -> str:
        return f"Key({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a Key cannot be pickled or copied; name it by its address")

    def sign(self, request: SignRequest) -> tuple[str, bytes]:
        """Return hash and bytes (RFC 6979: the same request gives the same bytes).

        The bytes are read back before they are given out. Raises KeystoreError if they hold anything else.
        """
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": request.chain_id,
            "nonce": request.nonce,
            "to": HexStr(request.to),
            "data": request.data,
            "value": request.value,
            "gas": request.gas,
            "maxFeePerGas": request.max_fee,
            "maxPriorityFeePerGas": request.tip,
        }
        signed = Account.sign_transaction(fields, self._secret)
        raw = bytes(signed.raw_transaction)
        _read_back(TypedTransaction.from_bytes(signed.raw_transaction), fields)
        return "0x" + bytes(signed.hash).hex(), raw


def _read_back(signed: TypedTransaction, asked: dict[str, Any]) -> None:
    found = signed.as_dict()
    differing = [name for name, value in asked.items() if name != "to" and found.get(name) != value]
    if bytes(found["to"]) != bytes.fromhex(str(asked["to"])[2:]):
        differing.append("to")
    if differing or found["accessList"] or found["v"] not in (0, 1) or not 0 < found["s"] <= HALF_ORDER:
        raise KeystoreError(f"signature: expected bytes that hold what was checked, found others ({differing}); stop")


def unlock(keystore: Path, password: str, expected: str) -> LocalAccount:
    """Return the account of an encrypted keystore (Web3 Secret Storage). Raises KeystoreError, never with the key."""
    try:
        document = orjson.loads(keystore.read_bytes())
    except (OSError, orjson.JSONDecodeError) as e:
        raise KeystoreError(
            f"signer.keystore: expected an encrypted keystore file at {keystore}, "
            f"found {type(e).__name__}; check the path"
        ) from e
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(document, password))
    # eth_keyfile says NotImplementedError of a version, cipher or derivation it does not know
    except (ValueError, TypeError, KeyError, NotImplementedError, ArithmeticError, ValidationError):
        # the cause is dropped on purpose: its arguments may carry key material
        raise KeystoreError(
            f"signer.keystore: {keystore} could not be decrypted; "
            "check KEEPER_KEYSTORE_PASSWORD (or the file named by KEEPER_KEYSTORE_PASSWORD_FILE)"
        ) from None
    if account.address != expected:
        raise KeystoreError(
            f"signer.address: expected {expected}, found {account.address} in {keystore}; correct one of them"
        )
    return account


def password_given(environ: Mapping[str, str] | None = None) -> SecretStr | None:
    """Return the keystores' password from KEEPER_KEYSTORE_PASSWORD or the file KEEPER_KEYSTORE_PASSWORD_FILE names.

    A line break at the file's end is not part of it. None: neither is set. Raises ConfigError for a file that cannot
    be read.
    """
    environ = os.environ if environ is None else environ
    if PASSWORD in environ:
        return SecretStr(environ[PASSWORD])
    name = environ.get(PASSWORD_FILE)
    if not name:
        return None
    try:
        return SecretStr(Path(name).read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{PASSWORD_FILE}: expected a readable text file at {name}, found {type(error).__name__}; check the path"
        ) from None
