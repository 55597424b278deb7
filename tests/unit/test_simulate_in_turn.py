"""Calls simulated one after the other: what a node may answer, and that nothing unread counts as a success."""

from typing import Any

import pytest

from keeper.chain import Block, Call
from keeper.rpc import Rpc, RpcRefusal

BLOCK = Block(5, "0x5", "0x4", 1_000, 7)
CALLS = (Call("0x" + "11" * 20, b"\x01\x02", 50_000), Call("0x" + "22" * 20, b"\x03"))
FINE = {"status": "0x1", "returnData": "0x" + "00" * 31 + "01", "gasUsed": "0x5208"}
REVERTED = {"status": "0x0", "returnData": "0xdeadbeef", "error": {"code": 3, "message": "execution reverted"}}


def simulated(monkeypatch: pytest.MonkeyPatch, answer: Any) -> tuple[list[bytes | RpcRefusal], dict[str, Any]]:
    """Return what a node's answer becomes, and what it was asked."""
    asked: list[Any] = []

    def batch(_: Rpc, items: Any) -> list[Any]:
        asked.extend(items)
        return [answer]

    monkeypatch.setattr(Rpc, "batch", batch)
    found = Rpc("http://node").simulate_in_turn(CALLS, "0x" + "33" * 20, BLOCK, 1_012, 90_000)
    ((method, (request, tag)),) = asked
    assert (method, tag) == ("eth_simulateV1", "0x5")
    return found, request["blockStateCalls"][0]


def test_the_block_has_room_for_all_and_each_call_its_own_gas(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked = simulated(monkeypatch, [{"calls": [FINE, FINE]}])
    assert asked["blockOverrides"] == {"time": hex(1_012), "number": "0x6", "gasLimit": hex(180_000)}
    assert [int(call["gas"], 16) for call in asked["calls"]] == [50_000, 90_000]


def test_a_revert_is_a_refusal_in_its_place_with_its_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, second), _ = simulated(monkeypatch, [{"calls": [FINE, REVERTED]}])
    assert first == bytes(31) + b"\x01"
    assert second == RpcRefusal(3, "execution reverted", bytes.fromhex("deadbeef"))


@pytest.mark.parametrize(
    "answer",
    [
        RpcRefusal(-32601, "the method eth_simulateV1 does not exist"),
        None,
        [],
        [{"calls": [FINE]}],
        [{"calls": [FINE, FINE, FINE]}],
        [{"calls": [{"status": "0x1"}, FINE]}],
        [{"calls": [{"status": "maybe", "returnData": "0x"}, FINE]}],
    ],
)
def test_a_node_that_cannot_say_refuses_every_call(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    found, _ = simulated(monkeypatch, answer)
    assert len(found) == len(CALLS)
    assert all(isinstance(result, RpcRefusal) for result in found)
