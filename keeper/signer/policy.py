"""What may be signed: pure rules over one request; the first that is broken is the answer.

A call is decoded with its function's types and must encode to the same bytes again, so what was checked is exactly
what is signed: nothing behind the arguments, no second way to write them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError

from keeper.signer.bounds import Bound
from keeper.signer.records import Refusal, SignRequest
from keeper.signer.signature import Function

Mode = Literal["observe", "shadow", "live"]

MAX_CALLDATA: Final = 131_072
"""Bytes; Geth's pool takes no larger transaction (core/txpool, txMaxSize)."""
MAX_NESTED_CALLDATA: Final = {2: 16_384, 3: 8_192}
"""Bytes, by how many dynamic things are within each other: overlapping pointers decode to that power of the size before
they can be refused."""
MAX_LEVELS: Final = max(MAX_NESTED_CALLDATA)
MAX_NONCE: Final = 2**53
"""Far below EIP-2681's 2**64 - 1, far above any real one; fits every integer column."""


@dataclass(frozen=True, slots=True)
class CallRule:
    """One function of one contract, with all of `bounds` kept."""

    to: str  # checksummed
    function: Function
    bounds: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    mode: Mode
    chain_id: int
    calls: tuple[CallRule, ...]
    max_gas: int
    max_fee: int  # wei per gas
    max_tip: int  # wei per gas
    per_transaction: int  # wei, of gas limit × max fee
    per_hour: int  # wei
    per_day: int  # wei


def refusal(policy: Policy, request: SignRequest, address: str) -> Refusal | None:
    """Return the first rule that forbids `request` to the key of `address`, None if all allow it.

    Equality with a cap is allowed. Nonces and rolling spend need memory and are judged elsewhere (nonces, caps).
    """
    return next(_refusals(policy, request, address), None)


def _refusals(policy: Policy, request: SignRequest, address: str) -> Iterator[Refusal]:
    if policy.mode == "observe":
        yield Refusal("mode", 'expected live, found observe; set mode = "live" and restart the signer')
    if request.chain_id != policy.chain_id:
        yield Refusal("chain_id", f"expected {policy.chain_id}, found {request.chain_id}")
    if request.value != 0:
        yield Refusal("value", f"expected 0 wei, found {request.value}")
    if not 0 <= request.nonce <= MAX_NONCE:
        yield Refusal("nonce", f"expected 0 to {MAX_NONCE}, found {request.nonce}")
    yield from _fee_refusals(policy, request)
    yield from _self_transfer(request, address) if request.kind != "call" else _call(policy, request)
    if policy.mode == "shadow":
        yield Refusal("mode", "expected live, found shadow; every other rule of the policy allows it")


def _fee_refusals(policy: Policy, request: SignRequest) -> Iterator[Refusal]:
    limits = (("gas", request.gas, policy.max_gas), ("max_fee", request.max_fee, policy.max_fee))
    for rule, found, highest in (*limits, ("tip", request.tip, policy.max_tip)):
        if not 0 <= found <= highest:
            yield Refusal(rule, f"expected 0 to {highest}, found {found}")
    if request.tip > request.max_fee:
        yield Refusal("tip", f"expected at most the max fee {request.max_fee}, found {request.tip}")
    if request.worst_cost > policy.per_transaction:
        yield Refusal("per_transaction", f"expected at most {policy.per_transaction} wei, found {request.worst_cost}")


def _self_transfer(request: SignRequest, address: str) -> Iterator[Refusal]:
    if request.to != address:
        yield Refusal(request.kind, f"expected a transfer to the key's own address {address}, found {request.to}")
    if request.data:
        yield Refusal(request.kind, f"expected no calldata, found {len(request.data)} bytes")


def _call(policy: Policy, request: SignRequest) -> Iterator[Refusal]:
    selector = request.data[:4]
    rules = [rule for rule in policy.calls if rule.to == request.to and rule.function.selector == selector]
    if len(selector) < 4 or not rules:
        yield Refusal("allow_list", f"expected an allowed function, found 0x{selector.hex()} on {request.to}")
        return
    arguments = canonical(rules[0].function, request.data)
    if isinstance(arguments, Refusal):
        yield arguments
        return
    faults = [fault for rule in rules if (fault := _outside(rule, arguments))]
    if len(faults) == len(rules):
        yield Refusal("argument", f"{rules[0].function.name} on {request.to}: {'; or '.join(faults[:3])}")


def _outside(rule: CallRule, arguments: tuple[Any, ...]) -> str:
    return next((fault for bound in rule.bounds if (fault := bound.fault(arguments))), "")


def canonical(function: Function, data: bytes) -> tuple[Any, ...] | Refusal:
    """Return the decoded arguments, or why these bytes are not the one encoding of them."""
    limit = MAX_NESTED_CALLDATA.get(function.levels, MAX_CALLDATA)
    if len(data) > limit or function.levels > MAX_LEVELS:
        return Refusal("calldata", f"expected at most {limit} bytes and {MAX_LEVELS} levels, found {len(data)} bytes")
    try:
        arguments = tuple(decode(function.types, data[4:]))
        again = encode(function.types, arguments)
    except (DecodingError, EncodingError, ValueError, OverflowError, TypeError) as error:
        return Refusal("calldata", f"expected arguments of {function.signature}, found bytes that give none ({error})")
    if again != data[4:]:
        text = f"expected the one encoding of {function.signature}'s arguments"
        return Refusal("calldata", f"{text} ({len(again)} bytes), found another of {len(data) - 4}")
    return arguments
