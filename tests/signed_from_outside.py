"""Calldata to spoil, and a judge of signed bytes who knows nothing of the signer."""

import rlp
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import strategies as st

from tests.signer_desk import ADDRESS, GWEI, TAKERS, take, touch

UINT = st.integers(0, 2**256 - 1)
PRICES = st.one_of(st.sampled_from([-1_001, -1_000, 0, 1_000, 1_001]), st.integers(-(2**255), 2**255 - 1))
TAKES = st.builds(
    lambda calls, by_arrays: take(*calls, by_arrays=by_arrays),
    st.lists(st.tuples(UINT, st.sampled_from((*TAKERS, 8)), PRICES, st.integers(0, 2**40 - 1)), max_size=4),
    st.booleans(),
)
GOOD = st.one_of(TAKES, UINT.map(touch))


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """Good calldata with bytes changed, cut off, added or swapped."""
    data = bytearray(draw(GOOD))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        match draw(st.sampled_from(["change", "cut", "add", "insert"])):
            case "change" if data:
                data[at] ^= draw(st.integers(1, 255))
            case "cut":
                del data[at:]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=32))
            case _:
                data += draw(st.binary(min_size=1, max_size=64))
    return bytes(data)


def inside(raw: bytes) -> bool:
    """Judge signed bytes from the outside: RLP and eth-abi only, with the policy written out by hand."""
    assert raw[0] == 2
    chain, _nonce, tip, fee, gas, to, value, data, access, _v, _r, _s = rlp.decode(raw[1:])
    number = lambda found: int.from_bytes(found)  # noqa: E731
    assert number(chain) == 31_337 and value == b"" and access == []
    assert number(gas) <= 1_000_000 and number(fee) <= 200 * GWEI and number(tip) <= min(2 * GWEI, number(fee))
    assert number(gas) * number(fee) <= 10**17
    if to == bytes.fromhex(ADDRESS[2:]):
        return bool(data == b"")
    assert to == b"\xc1" * 20
    if data[:4] == keccak(text="touch(uint256)")[:4]:
        return len(data) == 36
    assert data[:4] == keccak(text="take((uint256,uint256,int256,uint40)[],bool)")[:4]
    types = ["(uint256,uint256,int256,uint40)[]", "bool"]
    calls, flag = decode(types, data[4:])
    assert encode(types, [calls, flag]) == data[4:]
    return len(calls) <= 3 and all(taker in (7, 9) and -1_000 <= price <= 1_000 for _, taker, price, _ in calls)
