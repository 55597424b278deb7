"""Calls tried one after the other: what a node is asked, what it may answer, what transactions cost."""

from typing import Any

import pytest
from eth_abi.abi import encode

from keeper.chain import Block, Call
from keeper.in_turn import NODE_GAS, Ending, Step, intrinsic_gas, least_gas, try_in_turn
from keeper.rpc import Rpc, RpcRefusal

BLOCK = Block(5, "0x5", "0x4", 1_000, 7)
SENDER = "0x" + "33" * 20
STEPS = (Step(Call("0x" + "11" * 20, b"\x01\x02"), 50_000), Step(Call("0x" + "22" * 20, b"\x03"), 90_000))
ENDINGS = "(bool,uint256,uint256,bytes)[]"


def tried(monkeypatch: pytest.MonkeyPatch, answer: Any) -> tuple[Any, list[Any]]:
    """Return what a node's answer becomes, and what it was asked."""
    asked: list[Any] = []

    def batch(_: Rpc, items: Any) -> list[Any]:
        asked.extend(items)
        return [answer]

    monkeypatch.setattr(Rpc, "batch", batch)
    (found,) = try_in_turn(Rpc("http://node"), [STEPS], SENDER, BLOCK, 1_012)
    return found, asked


def encoded(*rows: tuple[bool, int, int, bytes]) -> str:
    return "0x" + encode([ENDINGS], [rows]).hex()


def test_the_code_stands_at_the_sender_in_the_next_block(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ((method, (message, tag, state, at)),) = tried(monkeypatch, encoded())
    assert (method, tag, at) == ("eth_call", "0x5", {"time": hex(1_012), "number": "0x6"})
    assert (message["from"], message["to"], list(state)) == (SENDER, SENDER, [SENDER])
    assert 140_000 < int(message["gas"], 16) <= NODE_GAS


def test_endings_are_read_in_order_and_those_without_gas_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = tried(monkeypatch, encoded((False, 31, 4, b"oops")))
    assert found == (Ending(False, 31, 4, b"oops"),)


@pytest.mark.parametrize(
    "answer",
    [RpcRefusal(-32602, "too many arguments"), None, "0x", "0x00", {}, "0xzz", encoded(*[(True, 1, 0, b"")] * 3)],
)
def test_what_is_no_list_of_endings_is_a_refusal(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    found, _ = tried(monkeypatch, answer)
    assert isinstance(found, RpcRefusal)


def test_a_transaction_costs_its_bytes_before_its_call() -> None:
    """EIP-2028: 16 a byte, 4 a zero byte; EIP-7623's floor is 40 and 10, and binds when the call itself is cheap."""
    data = b"\x01\x00\x02"
    assert intrinsic_gas(data) == 21_000 + 16 + 4 + 16
    assert least_gas(data, 54) == 21_000 + 40 + 10 + 40  # the floor, met exactly
    assert least_gas(data, 55) == intrinsic_gas(data) + 55
    assert Step(Call("0x" + "11" * 20, data), 20_000).inside == 0
