"""The lens's requests and answers as docs/lens.md lays them out, and what becomes of nodes that do not keep to it."""

from collections.abc import Sequence
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from keeper.abi import keccak256
from keeper.chain import Block, Call
from keeper.errors import RpcBusy, RpcUnreachable
from keeper.lens import GAS, KEPT_EACH, PLACE, LensRpc, answers_in, request
from keeper.rpc import RpcRefusal

BLOCK = Block(5, "0x5", "0x4", 1_000, 7)
DATA = b"what was asked"
STREAM = bytes.fromhex("01000002aabb020000000300000001000000010000011f")
ANSWERS = [b"\xaa\xbb", None, None, b"", b"\x1f"]


def calls(count: int) -> list[Call]:
    return [Call("0x" + f"{n:040x}", bytes([n % 256])) for n in range(count)]


def sealed(stream: bytes, data: bytes = DATA) -> bytes:
    return encode(["bytes32", "bytes"], [keccak256(keccak256(data) + stream), stream])


# --- layout -------------------------------------------------------------------------------------------


def test_a_question_is_whom_how_long_and_what() -> None:
    asked = request([Call("0x" + "11" * 20, b"\x01\x02\x03"), Call("0x" + "22" * 20, b"")])
    questions = decode(["uint32", "uint24", "uint32", "bytes"], asked[4:])[3]
    assert questions.hex() == "11" * 20 + "00000003" + "010203" + "22" * 20 + "00000000"


def test_answers_are_split_by_their_heads() -> None:
    assert answers_in(sealed(STREAM), DATA, 5) == ANSWERS
    assert answers_in(sealed(STREAM), DATA, 9) == ANSWERS  # the last four found no gas
    assert answers_in(sealed(b""), DATA, 9) == []


def test_more_answers_than_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected answers to 4 calls, found 5"):
        answers_in(sealed(STREAM), DATA, 4)


@pytest.mark.parametrize("stream", ["01", "01000002aa", "010000", "01ffffff"])
def test_a_sealed_stream_that_ends_too_early_is_refused(stream: str) -> None:
    with pytest.raises(ValueError, match="expected answers to 5 calls"):
        answers_in(sealed(bytes.fromhex(stream)), DATA, 5)


@given(st.data())
def test_no_damage_to_an_answer_gives_another_answer(draw: st.DataObject) -> None:
    whole = sealed(STREAM)
    at = draw.draw(st.integers(0, len(whole) - 1))
    changed = draw.draw(st.sampled_from(["cut", "byte", "zeros", "doubled"]))
    damaged = {
        "cut": whole[:at],
        "byte": whole[:at] + bytes([whole[at] ^ draw.draw(st.integers(1, 255))]) + whole[at + 1 :],
        "zeros": whole[:at] + bytes(len(whole) - at),
        "doubled": whole + whole[at:],
    }[changed]
    try:
        found = answers_in(damaged, DATA, 5)
    except ValueError:
        return
    assert found == ANSWERS  # what lies behind the stream's end is padding


@given(st.binary(max_size=200))
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        answers_in(raw, DATA, 5)


def test_an_answer_to_other_questions_is_refused() -> None:
    with pytest.raises(ValueError, match="under their seal"):
        answers_in(sealed(STREAM, b"something else"), DATA, 5)


# --- nodes --------------------------------------------------------------------------------------------


class Node(LensRpc):
    """Answers each call with its own calldata, through the lens and without it; `fault` replaces the lens's answer."""

    def __init__(self, **settings: Any) -> None:
        self.now, self.sent, self.fault = 0.0, list[str](), None
        self.fits = 10**9  # questions there is gas for
        self.asked = list[int]()
        super().__init__("http://unused.invalid", clock=lambda: self.now, **settings)

    def block(self, number: int | None = None) -> Block:
        assert number is None
        return BLOCK

    def batch(self, items: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return [self._answer(method, *params) for method, params in items]

    def _answer(self, method: str, message: dict[str, str], tag: str, overrides: Any = None) -> Any:
        assert (method, tag) == ("eth_call", "0x5")
        data = bytes.fromhex(message["data"][2:])
        if message["to"] != PLACE or overrides is None:
            self.sent.append("alone")
            return RpcRefusal(3, "reverted") if data == b"?" else "0x" + data.hex()
        assert list(overrides) == [PLACE] and int(message["gas"], 16) <= GAS
        self.sent.append("lens")
        if isinstance(self.fault, Exception):
            raise self.fault
        return self.fault or "0x" + sealed(self._stream(data), data).hex()

    def _stream(self, data: bytes) -> bytes:
        questions, stream = decode(["uint32", "uint24", "uint32", "bytes"], data[4:])[3], b""
        self.asked.append(len(questions) // 25)  # those of `calls` are of one byte
        for _ in range(self.fits):
            if not questions:
                break
            length = int.from_bytes(questions[20:24])
            body, questions = questions[24 : 24 + length], questions[24 + length :]
            status = 2 if body == b"?" else 3 if length > KEPT_EACH else 1
            stream += bytes([status]) + (length.to_bytes(3) + body if status == 1 else bytes(3))
        return stream


def probed(**settings: Any) -> Node:
    node = Node(**settings)
    assert node.probe()
    node.sent.clear()
    node.asked.clear()
    return node


def test_many_calls_are_one_request_and_few_are_not() -> None:
    node = probed(fewest_calls=20)
    assert node.eth_calls(calls(20), BLOCK) == [c.data for c in calls(20)]
    assert node.sent == ["lens"]
    node.eth_calls(calls(19), BLOCK)
    assert node.sent == ["lens", *["alone"] * 19]


def test_without_a_probe_nothing_goes_through_the_lens() -> None:
    node = Node(fewest_calls=1)
    assert node.eth_calls(calls(2), BLOCK) == [b"\x00", b"\x01"]
    assert node.sent == ["alone"] * 2


def test_what_the_lens_did_not_answer_is_asked_alone() -> None:
    node = probed(fewest_calls=1)
    long, refused = Call("0x" + "11" * 20, bytes(KEPT_EACH + 1)), Call("0x" + "22" * 20, b"?")
    found = node.eth_calls([*calls(2), long, refused, *calls(1)], BLOCK)
    assert found == [b"\x00", b"\x01", long.data, RpcRefusal(3, "reverted"), b"\x00"]
    assert node.sent == ["lens", "alone", "alone"]


def test_calls_beyond_the_gas_or_the_number_of_one_request_go_into_the_next() -> None:
    node = probed(fewest_calls=1, most_calls=7)
    node.fits = 4
    assert node.eth_calls(calls(10), BLOCK) == [c.data for c in calls(10)]
    assert node.sent == ["lens"] * 3


def test_a_request_is_no_larger_than_twice_what_the_last_one_had_gas_for() -> None:
    node = probed(fewest_calls=1, most_calls=100)
    node.fits = 5
    assert node.eth_calls(calls(60), BLOCK) == [c.data for c in calls(60)]
    assert node.asked == [60, *[10] * 10, 5]


FAULTS = {
    "overrides ignored": "0x",
    "overrides refused": RpcRefusal(-32602, "too many arguments, want at most 2"),
    "out of gas": RpcRefusal(-32000, "out of gas"),
    "no hex": "0xzz",
    "null": {},
    "another's answer": "0x" + sealed(STREAM, b"something else").hex(),
    "no room for one": None,  # below
    "unreachable": RpcUnreachable("http://node: expected a JSON-RPC answer, found ReadTimeout"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_node_that_fails_the_lens_is_read_as_without_it_for_a_while(fault: str) -> None:
    node = probed(fewest_calls=1, rest_s=60.0)
    node.fault, node.fits = FAULTS[fault], 0
    for _ in range(2):
        assert node.eth_calls(calls(3), BLOCK) == [b"\x00", b"\x01", b"\x02"]
    assert node.sent == ["lens", *["alone"] * 6]
    node.fault, node.fits, node.now = None, 9, 60.0
    assert node.eth_calls(calls(3), BLOCK) == [b"\x00", b"\x01", b"\x02"]
    assert node.sent[7:] == ["lens"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_node_that_fails_the_probe_is_never_asked_through_the_lens(fault: str) -> None:
    node = Node(fewest_calls=1)
    node.fault, node.fits = FAULTS[fault], 0
    assert not node.probe()
    node.fault, node.fits, node.now = None, 9, 10**9
    node.eth_calls(calls(3), BLOCK)
    assert node.sent == ["lens", *["alone"] * 3]


def test_a_node_that_runs_another_code_fails_the_probe() -> None:
    """It answers under the seal, but says that what must fail succeeded."""

    class Lenient(Node):
        def _stream(self, data: bytes) -> bytes:
            return super()._stream(data.replace(b"?", b"!"))

    assert not Lenient().probe()


def test_a_limiter_is_obeyed_not_asked_again_otherwise() -> None:
    node = probed(fewest_calls=1)
    node.fault = RpcBusy("http://node: expected an answer, found HTTP 429", 429, None)
    with pytest.raises(RpcBusy):
        node.eth_calls(calls(3), BLOCK)
    assert node.sent == ["lens"]
    node.fault = None
    node.eth_calls(calls(3), BLOCK)
    assert node.sent == ["lens", "lens"]
