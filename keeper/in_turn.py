"""Calls tried one after the other in a single eth_call: contracts/src/keeper/InTurn.sol at the sender's own address.

Each call finds what those before it left behind, and every contract sees the sender it will see on the chain. Works
wherever eth_call takes state overrides; the answer is bounded however much a contract returns. A contract that asks
whether its caller has code is told that it has.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from keeper.abi import ABIS, decoded, interface
from keeper.chain import Block, Call
from keeper.rpc import Rpc, RpcRefusal

ARTIFACT: Final = "keeper/InTurn"
KEPT: Final = 1_024
"""Bytes kept of each answer: enough for any error a person would read."""
NODE_GAS: Final = 50_000_000
"""Most gas asked of a node for one simulation: Geth's own cap unless configured. Steps it does not reach come back."""
STEP_GAS: Final = 200_000
"""Allowed for what surrounds a step."""
TRANSACTION_GAS: Final = 21_000
BYTE_GAS, ZERO_BYTE_GAS = 16, 4  # EIP-2028
FLOOR_BYTE_GAS, FLOOR_ZERO_BYTE_GAS = 40, 10  # EIP-7623


@dataclass(frozen=True, slots=True)
class Step:
    """A call and the gas limit its transaction would have."""

    call: Call
    gas: int

    @property
    def inside(self) -> int:
        """Gas the call itself may use: the limit less what every transaction with this calldata costs."""
        return max(self.gas - intrinsic_gas(self.call.data), 0)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended."""

    succeeded: bool
    gas_used: int  # by the call itself, refunds not taken off
    size: int  # bytes it answered
    returned: bytes  # the first KEPT of them


def try_in_turn(
    rpc: Rpc, runs: Sequence[Sequence[Step]], sender: str, block: Block, at_time: int
) -> list[tuple[Ending, ...] | RpcRefusal]:
    """Make the steps of each run one after the other in the block after `block`, at block time `at_time` (seconds).

    Runs know nothing of each other. Steps for which there is no gas left are missing at the end of their run's answer.
    """
    tag, at = hex(block.number), {"time": hex(at_time), "number": hex(block.number + 1)}
    state = {sender: {"code": _code()}}
    items = [("eth_call", (_message(run, sender), tag, state, at)) for run in runs]
    return [_endings(answer, len(run)) for answer, run in zip(rpc.batch(items), runs, strict=True)]


def _message(run: Sequence[Step], sender: str) -> dict[str, str]:
    rows = [(step.call.to, step.inside, step.call.data) for step in run]
    call = interface(ARTIFACT).function("run").packed(sender, rows, KEPT)
    gas = sum(2 * step.gas + STEP_GAS for step in run) + intrinsic_gas(call.data)
    return {"from": sender, "to": sender, "data": "0x" + call.data.hex(), "gas": hex(min(gas, NODE_GAS))}


def _endings(answer: object, count: int) -> tuple[Ending, ...] | RpcRefusal:
    """Return how a run ended; an answer that is no list of endings is a refusal, and so counts as no success."""
    if isinstance(answer, RpcRefusal):
        return answer
    try:
        (rows,) = decoded(interface(ARTIFACT).function("run").outputs, bytes.fromhex(str(answer)[2:]))
    except ValueError:
        rows = [()] * (count + 1)
    if len(rows) > count:
        return RpcRefusal(0, f"expected how {count} calls ended, found {str(answer)[:60]}")
    return tuple(Ending(*row) for row in rows)


def intrinsic_gas(data: bytes) -> int:
    """Return what a transaction with this calldata costs before its call begins (EIP-2028)."""
    zeros = data.count(0)
    return TRANSACTION_GAS + ZERO_BYTE_GAS * zeros + BYTE_GAS * (len(data) - zeros)


def least_gas(data: bytes, used: int) -> int:
    """Return the least limit of a transaction whose call uses `used`: never below calldata's own floor (EIP-7623)."""
    zeros = data.count(0)
    floor = TRANSACTION_GAS + FLOOR_ZERO_BYTE_GAS * zeros + FLOOR_BYTE_GAS * (len(data) - zeros)
    return max(intrinsic_gas(data) + used, floor)


@cache
def _code() -> str:
    document: dict[str, Any] = json.loads((ABIS / f"{ARTIFACT}.json").read_text())
    return str(document["bytecode"])
