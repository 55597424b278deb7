"""Gas limits from simulation, and reverts in words, whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.chain import Call
from keeper.in_turn import Step, intrinsic_gas
from keeper.lanes.simulate import gas_limit
from keeper.reverts import LONGEST, revert

TO = "0x" + "11" * 20
DATA = st.binary(max_size=200)
GAS = st.integers(21_000, 10**8)


@given(DATA, GAS, st.integers(0, 10**8), st.integers(0, 10**7))
def test_a_limit_carries_what_was_used_and_never_passes_the_cap(data: bytes, cap: int, used: int, margin: int) -> None:
    limit = gas_limit(Step(Call(TO, data), cap), used, margin)
    assert limit <= cap
    assert limit == cap or limit - intrinsic_gas(data) >= used
    assert gas_limit(Step(Call(TO, data), cap), used, margin + 1) >= limit
    assert gas_limit(Step(Call(TO, data), cap), used + 1, margin) >= limit


@given(st.sampled_from([b"", bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")]), st.binary(max_size=300))
def test_any_payload_is_a_short_line_of_text(selector: bytes, rest: bytes) -> None:
    text = str(revert(selector + rest))
    assert 0 < len(text) <= LONGEST
    assert text.isprintable()
