"""The signer: it signs what it was asked and nothing its policy forbids, and no secret is ever shown."""

import copy
import hashlib
import json
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import rlp
from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.chain import Call
from keeper.errors import ExitCode, KeystoreError, SigningRefused
from keeper.submit.base import Signed, Unsigned
from keeper.submit.signer import Allowed, Signer, SignerPolicy, unlock
from keeper.units import Wei

# The first account of "test test test test test test test test test test test junk", as Hardhat and Anvil print it.
SECRET = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
PASSWORD = "correct horse battery staple"

WRONG_PASSWORD = "hunter2"

HOUSE, MANAGER, STRANGER = (to_checksum_address(digits * 20) for digits in ("c1", "c2", "c3"))
TOKEN = int("aa" * 20, 16)
SELECTOR = "0x90f5a46f"
SETTER = "0x11223344"
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, secp256k1

POLICY = SignerPolicy(
    mode="live",
    chain_id=31_337,
    allowed=(Allowed(HOUSE, SELECTOR), Allowed(MANAGER, SETTER, ((0, TOKEN, TOKEN), (1, 600_000, 700_000)))),
    max_gas=1_800_000,
    max_fee=200 * 10**9,
    max_tip=2 * 10**9,
)


def word(number: int) -> bytes:
    return number.to_bytes(32)


LIQUIDATE = Call(HOUSE, bytes.fromhex(SELECTOR[2:]) + word(1) + word(2))
TX = Unsigned(31_337, 7, LIQUIDATE, 1_800_000, Wei(200 * 10**9), Wei(2 * 10**9))


def setting(ratio: int, token: int = TOKEN) -> Call:
    return Call(MANAGER, bytes.fromhex(SETTER[2:]) + word(token) + word(ratio))


def signer(policy: SignerPolicy = POLICY) -> Signer:
    return Signer(policy, ADDRESS, Account.from_key(SECRET))


def fields(signed: Signed) -> list[object]:
    """Return the RLP list of an EIP-1559 transaction; the first byte is its type."""
    assert signed.raw[0] == 2
    found: list[object] = rlp.decode(signed.raw[1:])
    return found


# --- what is signed -----------------------------------------------------------------------------------


def test_the_bytes_hold_exactly_what_was_asked() -> None:
    signed = signer().sign(TX)
    found = fields(signed)
    chain_id, nonce, tip, max_fee, gas, to, value, data, access_list = found[:9]  # EIP-1559's order
    numbers = [int.from_bytes(bytes(n)) for n in (chain_id, nonce, tip, max_fee, gas, value)]  # type: ignore[arg-type]
    assert numbers == [31_337, 7, 2 * 10**9, 200 * 10**9, 1_800_000, 0]
    assert (to, data, access_list) == (bytes.fromhex(HOUSE[2:]), LIQUIDATE.data, [])


def test_the_signature_is_the_address_own_and_the_hash_that_of_the_bytes() -> None:
    signed = signer().sign(TX)
    assert Account.recover_transaction(signed.raw) == ADDRESS
    assert signed.tx_hash == "0x" + keccak(signed.raw).hex()


def test_signing_again_gives_the_same_bytes() -> None:
    assert signer().sign(TX) == signer().sign(TX)
    assert signer().sign(replace(TX, nonce=8)).tx_hash != signer().sign(TX).tx_hash


@pytest.mark.parametrize("ratio", [600_000, 650_000, 700_000])
def test_both_ends_of_a_range_are_inside(ratio: int) -> None:
    signed = signer().sign(replace(TX, call=setting(ratio)))
    assert fields(signed)[7] == setting(ratio).data


def test_one_of_several_rules_is_enough() -> None:
    other = Allowed(MANAGER, SETTER, ((0, 5, 5), (1, 0, 10)))
    wider = signer(replace(POLICY, allowed=(*POLICY.allowed, other)))
    assert Account.recover_transaction(wider.sign(replace(TX, call=setting(9, token=5))).raw) == ADDRESS
    with pytest.raises(SigningRefused, match="argument"):
        wider.sign(replace(TX, call=setting(9)))  # the token of one rule, the range of the other


# --- what is refused ----------------------------------------------------------------------------------

REFUSED = {
    "observe": ({"mode": "observe"}, {}, "mode is observe"),
    "shadow": ({"mode": "shadow"}, {}, "mode is shadow"),
    "chain id": ({}, {"chain_id": 10}, "chain id: expected 31337, found 10"),
    "no chain id": ({}, {"chain_id": 0}, "chain id: expected 31337, found 0"),
    "gas": ({}, {"gas": 1_800_001}, "gas limit 1800001 above signer.max_gas 1800000"),
    "fee": ({}, {"max_fee": 200 * 10**9 + 1}, "fees 200000000001/2000000000 wei above the caps"),
    "tip": ({}, {"tip": 2 * 10**9 + 1}, "fees 200000000000/2000000001 wei above the caps"),
    "tip above fee": ({}, {"max_fee": 10**9, "tip": 10**9 + 1}, "fees 1000000000/1000000001 wei"),
    "target": ({}, {"call": Call(STRANGER, LIQUIDATE.data)}, f"{SELECTOR} on {STRANGER} is not on the allow-list"),
    "selector": ({}, {"call": Call(HOUSE, b"\xff\xff\xff\xff" + LIQUIDATE.data[4:])}, "0xffffffff on .* not on"),
    "selector of another target": ({}, {"call": Call(HOUSE, setting(650_000).data)}, "not on the allow-list"),
    "no calldata": ({}, {"call": Call(HOUSE, b"")}, "not on the allow-list"),
    "below the range": ({}, {"call": setting(599_999)}, "argument is outside its allowed range"),
    "above the range": ({}, {"call": setting(700_001)}, "argument is outside its allowed range"),
    "negative": ({}, {"call": setting(2**256 - 1)}, "argument is outside its allowed range"),
    "another token": ({}, {"call": setting(650_000, token=TOKEN + 1)}, "argument is outside its allowed range"),
    "truncated word": ({}, {"call": Call(MANAGER, setting(650_000).data[:-1])}, "argument is outside"),
    "missing word": ({}, {"call": Call(MANAGER, setting(650_000).data[:36])}, "argument is outside"),
    "selector alone": ({}, {"call": Call(MANAGER, setting(650_000).data[:4])}, "argument is outside"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_policy_forbids_is_refused_with_the_rule(case: str) -> None:
    of_policy, of_transaction, says = REFUSED[case]
    with pytest.raises(SigningRefused, match=says) as refused:
        signer(replace(POLICY, **of_policy)).sign(replace(TX, **of_transaction))  # type: ignore[arg-type]
    assert refused.value.exit_code is ExitCode.KEY
    assert SECRET not in "".join(traceback.format_exception(refused.value)).lower()


@pytest.mark.parametrize("missing", [1, 31, 32, 64])
def test_missing_bytes_are_no_zero(missing: int) -> None:
    """Solidity would revert, and a range that holds zero must not let them through either."""
    from_zero = signer(replace(POLICY, allowed=(Allowed(MANAGER, SETTER, ((0, 0, 2**160), (1, 0, 700_000))),)))
    whole = setting(0, token=0)
    assert from_zero.sign(replace(TX, call=whole)).raw
    with pytest.raises(SigningRefused, match="argument is outside"):
        from_zero.sign(replace(TX, call=Call(MANAGER, whole.data[:-missing])))


def test_a_policy_of_nothing_signs_nothing() -> None:
    with pytest.raises(SigningRefused, match="not on the allow-list"):
        signer(replace(POLICY, allowed=())).sign(TX)


def test_without_a_key_nothing_is_signed() -> None:
    with pytest.raises(SigningRefused, match="no key"):
        Signer(POLICY, ADDRESS, None).sign(TX)


# --- secrets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["observe", "shadow"])
def test_in_modes_that_do_not_sign_no_key_is_kept(mode: str) -> None:
    found = signer(replace(POLICY, mode=mode))  # type: ignore[arg-type]
    assert not any(isinstance(kept, type(Account.from_key(SECRET))) for kept in vars(found).values())


def test_no_secret_is_shown() -> None:
    live = signer()
    shown = f"{live!r} {live} {live.sign(TX)!r} {vars(live)}".lower()
    assert ADDRESS.lower() in shown
    assert SECRET not in shown
    assert str(int(SECRET, 16)) not in shown
    assert live.sign(TX).raw.hex() not in shown


# --- the keystore -------------------------------------------------------------------------------------


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
    assert Account.recover_transaction(Signer(POLICY, ADDRESS, account).sign(TX).raw) == ADDRESS


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
    "a key beyond the curve": keystore(word(CURVE_ORDER)),
    "a short key": keystore(b"\x11" * 31),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_keystore_is_an_error_and_never_a_traceback_with_secrets(tmp_path: Path, case: str) -> None:
    path = stored(tmp_path, SPOILT[case])
    with pytest.raises(KeystoreError, match=f"{path} could not be decrypted") as refused:
        unlock(path, PASSWORD, ADDRESS)
    assert not any(s in told(refused.value) for s in (PASSWORD, SECRET, str(CURVE_ORDER)))
