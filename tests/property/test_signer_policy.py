"""No plan and no bytes outside the policy are ever signed, and whatever is signed decodes to something allowed."""

from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keeper.signer.bounds import bound
from keeper.signer.keystore import HALF_ORDER, Key
from keeper.signer.policy import MAX_NONCE, canonical, refusal
from keeper.signer.records import Refusal, SignRequest
from keeper.signer.signature import parse
from tests.signed_from_outside import GOOD, inside, spoilt
from tests.signer_desk import (
    ADDRESS,
    CHAIN,
    GWEI,
    HOUSE,
    POLICY,
    SECRET,
    STRANGER,
    TAKE,
    TOUCH,
    call,
    take,
    touch,
    transfer,
)

KEY = Key(Account.from_key(SECRET))


def around(cap: int) -> st.SearchStrategy[int]:
    return st.sampled_from([0, cap - 1, cap, cap + 1, 2**63 - 1])


REQUESTS = st.builds(
    SignRequest,
    request_id=st.just("r"),
    nonce=st.sampled_from([-1, 0, 5, MAX_NONCE, MAX_NONCE + 1]),
    kind=st.sampled_from(["call", "call", "call", "cancel", "filler"]),
    intent=st.just("i"),
    effects=st.just(()),
    chain_id=st.sampled_from([CHAIN, CHAIN, CHAIN, 1, 0]),
    to=st.sampled_from([HOUSE, HOUSE, HOUSE, ADDRESS, STRANGER]),
    data=st.one_of(spoilt(), st.just(b""), st.binary(max_size=80)),
    gas=around(POLICY.max_gas),
    max_fee=around(POLICY.max_fee),
    tip=around(POLICY.max_tip),
    value=st.sampled_from([0, 0, 0, 1, 2**63 - 1]),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(REQUESTS)
@example(call(0))
@example(call(0, data=take((1, 7, 1_000, 5), (2, 9, -1_000, 5), (3, 7, 0, 5))))
@example(transfer(0, "cancel"))
def test_whatever_passes_is_inside_seen_from_outside(request: SignRequest) -> None:
    if refusal(POLICY, request, ADDRESS) is not None:
        return
    tx_hash, raw = KEY.sign(request)
    assert inside(raw)
    assert Account.recover_transaction(raw) == ADDRESS
    assert tx_hash == "0x" + keccak(raw).hex()
    assert 0 < int.from_bytes(rlp.decode(raw[1:])[-1]) <= HALF_ORDER
    assert KEY.sign(request) == (tx_hash, raw)


@given(data=spoilt())
def test_calldata_that_passes_is_the_one_encoding_of_its_arguments(data: bytes) -> None:
    function = TAKE if data[:4] == TAKE.selector else TOUCH
    found = canonical(function, data)
    if not isinstance(found, Refusal):
        assert encode(function.types, found) == data[4:]


@given(GOOD, st.binary(min_size=1, max_size=96))
def test_nothing_may_stand_behind_the_arguments(data: bytes, tail: bytes) -> None:
    assert refusal(POLICY, call(0, data=data + tail), ADDRESS) is not None


BROKEN: dict[str, dict[str, Any]] = {
    "chain_id": {"chain_id": 1},
    "value": {"value": 1},
    "nonce": {"nonce": MAX_NONCE + 1},
    "gas": {"gas": POLICY.max_gas + 1, "max_fee": 1, "tip": 0},
    "max_fee": {"max_fee": POLICY.max_fee + 1, "gas": 1},
    "tip high": {"tip": POLICY.max_tip + 1},
    "tip above fee": {"tip": 2, "max_fee": 1},
    "per_transaction": {"gas": 10**6, "max_fee": 200 * GWEI, "data": touch(1), "tip": 0, "value": 0},
    "allow_list target": {"to": STRANGER},
    "allow_list selector": {"data": b"\xff\xff\xff\xff" + bytes(32)},
    "allow_list short": {"data": TOUCH.selector[:3]},
    "calldata short": {"data": touch(1)[:-1]},
    "calldata dirty bool": {"data": take()[:35] + b"\x40" + bytes(31) + b"\x02" + take()[68:]},
    "calldata dirty number": {"data": take((1, 7, 0, 0))[:-32] + b"\x01" + bytes(31)},
    "argument taker": {"data": take((1, 7, 0, 0), (1, 8, 0, 0))},
    "argument price": {"data": take((1, 7, 1_001, 0))},
    "argument items": {"data": take(*[(1, 7, 0, 0)] * 4)},
    "cancel to another": {"kind": "cancel", "data": b""},
    "cancel with data": {"kind": "cancel", "to": ADDRESS, "data": b"\x00"},
    "filler with data": {"kind": "filler", "to": ADDRESS, "data": b"\x00"},
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_request_that_breaks_one_rule_is_refused_by_its_name(case: str) -> None:
    found = refusal(POLICY, replace(call(0), **BROKEN[case]), ADDRESS)
    assert found is not None and found.rule == case.partition(" ")[0]
    assert "expected" in found.reason and "found" in found.reason


def test_modes_that_do_not_sign_refuse_what_live_allows() -> None:
    assert refusal(POLICY, call(0), ADDRESS) is None
    for mode in ("observe", "shadow"):
        found = refusal(replace(POLICY, mode=mode), call(0), ADDRESS)  # type: ignore[arg-type]
        assert found is not None and found.rule == "mode"
    told = refusal(replace(POLICY, mode="shadow"), call(0, to=STRANGER), ADDRESS)
    assert told is not None and told.rule == "allow_list"  # shadow says what live would have refused


# --- signatures and paths -----------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z][a-zA-Z0-9]{0,8}", fullmatch=True)
PLAIN = st.sampled_from(["uint256", "int128", "address", "bool", "bytes", "bytes4", "string"])


def typed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    structs = st.lists(inner, min_size=1, max_size=3).map(lambda fields: f"({','.join(fields)})")
    return st.one_of(structs, st.tuples(inner, st.sampled_from(["[]", "[3]"])).map("".join))


@given(NAMES, st.lists(st.recursive(PLAIN, typed, max_leaves=6), max_size=4), st.sampled_from(["", " ", "  "]))
def test_a_signature_with_names_is_the_canonical_one_without(name: str, types: list[str], space: str) -> None:
    named = ",".join(f"{space}{kind} argument{i}{space}" for i, kind in enumerate(types))
    assert parse(f"{name}({named})").signature == f"{name}({','.join(types)})"
    assert parse(f"{name}({','.join(types)})").selector == keccak(text=f"{name}({','.join(types)})")[:4]


@pytest.mark.parametrize(
    "text", ["", "f", "f(", "f(uint)x", "f(uint257)", "f(())", "f(uint256[0])", "f(uint256,)", "f(mapping)"]
)
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


@pytest.mark.parametrize(
    ("path", "limits", "says"),
    [
        ("calls[*].price", {"low": 0}, "one of account, taker, maxPrice, deadline"),
        ("calls.taker", {"low": 0}, "found taker"),
        ("calls[*]", {"low": 0}, "single argument"),
        ("byArrays", {"low": 0}, "on a number"),
        ("calls[*].taker", {"max_items": 2}, "on an array"),
        ("calls[*].taker", {}, "found none"),
        ("calls[*].taker", {"one_of": ("7",)}, "values of type uint256"),
        ("calls[*].taker", {"low": 2, "high": 1}, "low <= high"),
        ("byArrays[*]", {"low": 0}, "array before"),
        ("", {"low": 0}, "found nothing"),
    ],
)
def test_a_bound_that_fits_no_argument_is_refused(path: str, limits: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        bound(TAKE, path, **limits)


def test_bounds_on_addresses_bytes_and_fixed_elements() -> None:
    function = parse("f(address who, bytes4 kind, uint8[2] pair, bytes note)")
    given_ = (HOUSE.lower(), b"\x01\x02\x03\x04", (5, 6), b"abc")
    assert bound(function, "who", one_of=(HOUSE,)).fault(given_) == ""
    assert bound(function, "who", one_of=(STRANGER,)).fault(given_) != ""
    assert bound(function, "kind", one_of=("0x01020304",)).fault(given_) == ""
    assert bound(function, "pair[1]", low=6, high=6).fault(given_) == ""
    assert bound(function, "pair[*]", high=5).fault(given_) != ""
    assert bound(function, "note", max_items=3).fault(given_) == ""
    assert bound(function, "note", max_items=2).fault(given_) != ""


def test_a_struct_must_fit_one_row_in_every_field() -> None:
    function = parse("write((uint8 field, uint8 id, uint128 number)[] changes)")
    rows = (((11, 11), (0, 0), (100, 200)), ((0, 0), (1, 1), (7, 9)))
    both = bound(function, "changes[*]", rows=rows)
    for changes, ok in (
        ([(11, 0, 100), (0, 1, 9)], True),
        ([(11, 0, 200)], True),
        ([(11, 0, 201)], False),
        ([(0, 1, 150)], False),  # the other's bounds
        ([(11, 1, 150)], False),  # one's field, the other's id
        ([(11, 0, 100), (5, 0, 100)], False),
    ):
        assert (both.fault((changes,)) == "") == ok
    for path, wrong, says in (
        ("changes", rows, "on a struct of numbers"),
        ("changes[*].id", rows, "on a struct of numbers"),
        ("changes[*]", (((1, 1), (0, 0)),), "rows of 3 pairs"),
        ("changes[*]", (((2, 1), (0, 0), (0, 0)),), "rows of 3 pairs"),
    ):
        with pytest.raises(ValueError, match=says):
            bound(function, path, rows=wrong)


def test_overlapping_pointers_are_refused_before_they_blow_up() -> None:
    """An array of arrays whose elements all point at one large one: small as calldata, square when decoded."""
    function = parse("f(uint256[][] rows)")
    words = 4_000
    heads = b"".join((32 * (words - 1)).to_bytes(32) for _ in range(words))
    data = function.selector + (32).to_bytes(32) + words.to_bytes(32) + heads + words.to_bytes(32) + bytes(32 * words)
    found = canonical(function, data)
    assert isinstance(found, Refusal) and "at most 16384 bytes" in found.reason
