"""The key in memory signs, and shows itself to nobody."""

import copy
import pickle
import traceback
from dataclasses import replace

import pytest
import rlp
from eth_account import Account

from keeper.errors import KeystoreError
from keeper.signer.keystore import HALF_ORDER, Key, password_given
from tests.signer_desk import ADDRESS, SECRET, call

KEY = Key(Account.from_key(SECRET))
FORMS = (SECRET, SECRET.upper(), str(int(SECRET, 16)), repr(bytes.fromhex(SECRET)))


def test_it_signs_as_eth_account_does_for_the_same_key() -> None:
    request = call(7)
    fields = {
        "type": 2,
        "chainId": request.chain_id,
        "nonce": 7,
        "to": request.to,
        "data": request.data,
        "value": 0,
        "gas": request.gas,
        "maxFeePerGas": request.max_fee,
        "maxPriorityFeePerGas": request.tip,
    }
    expected = Account.from_key(SECRET).sign_transaction(fields)
    assert KEY.sign(request) == ("0x" + bytes(expected.hash).hex(), bytes(expected.raw_transaction))


@pytest.mark.parametrize("nonce", range(20))
def test_every_signature_is_low_s_and_recovers_to_the_address(nonce: int) -> None:
    _, raw = KEY.sign(call(nonce))
    assert Account.recover_transaction(raw) == ADDRESS
    assert 0 < int.from_bytes(rlp.decode(raw[1:])[-1]) <= HALF_ORDER


def test_no_form_of_the_key_is_shown() -> None:
    inside = KEY._secret
    shown = f"{KEY!r} {KEY} {inside!r} {inside} {[inside]} {(KEY,)}"
    assert ADDRESS in shown
    assert not any(form in shown for form in FORMS)


@pytest.mark.parametrize("change", [{"gas": "x"}, {"to": "0x12"}, {"nonce": -1}, {"data": None}])
def test_an_exception_out_of_signing_carries_no_key(change: dict[str, object]) -> None:
    with pytest.raises(Exception) as found:
        KEY.sign(replace(call(0), **change))  # type: ignore[arg-type]
    told = "".join(traceback.TracebackException.from_exception(found.value, capture_locals=True).format())
    assert not any(form in told for form in FORMS)


def test_it_can_be_neither_pickled_nor_copied() -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="name it by its address"):
            attempt(KEY)


def test_bytes_that_hold_something_else_never_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the library had signed another transaction than it was given."""
    other = Account.sign_transaction
    monkeypatch.setattr(Account, "sign_transaction", lambda fields, key: other({**fields, "nonce": 99}, key))
    with pytest.raises(KeystoreError, match=r"\['nonce'\]"):
        KEY.sign(call(0))
    assert 2 * HALF_ORDER + 1 == 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2


def test_without_variable_and_file_there_is_no_password() -> None:
    assert password_given({}) is None
