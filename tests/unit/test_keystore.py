"""Encrypted keystores: what opens, what is refused, and that no message shows a secret."""

import copy
import hashlib
import json
import traceback
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from keeper.errors import ExitCode, KeystoreError
from keeper.signer.keystore import unlock
from tests.signer_desk import ADDRESS, SECRET, STRANGER
from tests.signer_process import PASSWORD

WRONG_PASSWORD = "hunter2"
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, secp256k1


def keystore(key: bytes) -> dict[str, object]:
    """Return a Web3 Secret Storage document (version 3, PBKDF2) of any bytes, also of those that are no key."""
    document: dict[str, object] = Account.encrypt(b"\x11" * 32, PASSWORD, kdf="pbkdf2", iterations=1)
    crypto = copy.deepcopy(document["crypto"])
    assert isinstance(crypto, dict)
    stream = bytes(a ^ 0x11 for a in bytes.fromhex(crypto["ciphertext"]))  # AES in counter mode: a one-time pad
    sealed = bytes(a ^ b for a, b in zip(key, stream, strict=False))
    derived = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), bytes.fromhex(crypto["kdfparams"]["salt"]), 1, 32)
    crypto |= {"ciphertext": sealed.hex(), "mac": keccak(derived[16:] + sealed).hex()}
    return {"version": 3, "crypto": crypto}


def stored(folder: Path, document: object) -> Path:
    path = folder / "keystore.json"
    path.write_text(json.dumps(document))
    return path


def told(error: BaseException) -> str:
    """Return everything a user or a log could see of an exception."""
    return f"{error!r} {error.args} {''.join(traceback.format_exception(error))}"


def test_a_keystore_opens_with_its_password(tmp_path: Path) -> None:
    account = unlock(stored(tmp_path, keystore(bytes.fromhex(SECRET))), PASSWORD, ADDRESS)
    assert account.address == ADDRESS
    assert bytes(account.key).hex() == SECRET


def test_one_that_eth_account_wrote_itself_opens_too(tmp_path: Path) -> None:
    written = Account.encrypt(SECRET, PASSWORD, kdf="scrypt", iterations=2)
    assert unlock(stored(tmp_path, written), PASSWORD, ADDRESS).address == ADDRESS


def test_a_wrong_password_shows_neither_password(tmp_path: Path) -> None:
    path = stored(tmp_path, keystore(bytes.fromhex(SECRET)))
    with pytest.raises(KeystoreError, match=r"could not be decrypted.*KEEPER_KEYSTORE_PASSWORD") as refused:
        unlock(path, WRONG_PASSWORD, ADDRESS)
    assert refused.value.exit_code is ExitCode.KEY
    assert not any(s in told(refused.value) for s in (WRONG_PASSWORD, PASSWORD, SECRET))


def test_another_address_than_expected_shows_both_and_no_key(tmp_path: Path) -> None:
    path = stored(tmp_path, keystore(bytes.fromhex(SECRET)))
    with pytest.raises(KeystoreError, match=f"expected {STRANGER}, found {ADDRESS}") as refused:
        unlock(path, PASSWORD, STRANGER)
    assert not any(s in told(refused.value) for s in (PASSWORD, SECRET))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", SECRET.encode()])
def test_a_file_that_is_no_keystore_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keystore.json"
    path.write_bytes(content)
    with pytest.raises(KeystoreError, match=f"expected an encrypted keystore file at {path}") as refused:
        unlock(path, PASSWORD, ADDRESS)
    assert SECRET not in str(refused.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, kind in ((tmp_path / "none.json", "FileNotFoundError"), (tmp_path, "IsADirectoryError")):
        with pytest.raises(KeystoreError, match=f"at {path}, found {kind}"):
            unlock(path, PASSWORD, ADDRESS)


def spoilt(*place_and_content: object) -> dict[str, object]:
    """Return a good keystore with one entry replaced."""
    *place, content = place_and_content
    document = keystore(bytes.fromhex(SECRET))
    table: dict[object, object] = document  # type: ignore[assignment]
    for name in place[:-1]:
        inner = table[name]
        assert isinstance(inner, dict)
        table = inner
    table[place[-1]] = content
    return document


SCRYPT_OF_NO_BLOCKS = {
    "cipher": "aes-128-ctr",
    "cipherparams": {"iv": "00" * 16},
    "ciphertext": "00" * 32,
    "kdf": "scrypt",
    "kdfparams": {"n": 2, "r": 0, "p": 1, "dklen": 32, "salt": "00"},
    "mac": "00" * 32,
}

SPOILT = {
    "a list": [],
    "a text": "keystore",
    "a number": 5,
    "nothing": None,
    "empty": {},
    "another version": spoilt("version", 1),
    "no crypto": spoilt("crypto", None),
    "unknown kdf": spoilt("crypto", "kdf", "argon2"),
    "scrypt without its parameters": spoilt("crypto", "kdf", "scrypt"),
    "no iterations": spoilt("crypto", "kdfparams", "c", 0),
    "endless iterations": spoilt("crypto", "kdfparams", "c", 10**30),
    "no hex": spoilt("crypto", "ciphertext", "zz"),
    "another mac": spoilt("crypto", "mac", "00" * 32),
    "scrypt that divides by zero": spoilt("crypto", SCRYPT_OF_NO_BLOCKS),
    "a zero key": keystore(bytes(32)),
    "a key beyond the curve": keystore(CURVE_ORDER.to_bytes(32)),
    "a short key": keystore(b"\x11" * 31),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_keystore_is_an_error_and_never_a_traceback_with_secrets(tmp_path: Path, case: str) -> None:
    path = stored(tmp_path, SPOILT[case])
    with pytest.raises(KeystoreError, match=f"{path} could not be decrypted") as refused:
        unlock(path, PASSWORD, ADDRESS)
    assert not any(s in told(refused.value) for s in (PASSWORD, SECRET, str(CURVE_ORDER)))
