"""The steward of the reference venue: what it says of a parameter, and a write to it (IRiskSteward).

A parameter is named by its field and an id: `scan:0` of underlying 0, `haircut:2` of collateral 2, `band:0` of the
whole venue. Numbers are those the venue holds (docs/parameters.md).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from eth_abi.exceptions import DecodingError

from keeper.abi import address_at, interface, uint_at
from keeper.chain import Block, Call, Log, Receipt
from keeper.errors import ConfigError, ReadError
from keeper.plans import WriteParameters
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.venues.base import Effect
from keeper.venues.portfolio import Steered, Steering

STEWARD: Final = "keeper/RiskSteward"
OF_UNDERLYING: Final = (
    "scan", "vol_up", "vol_down", "short_power", "long_power", "extreme", "deep_up", "deep_down", "extreme_cover",
    "deep_up_cover", "deep_down_cover", "im_scalar", "mm_scalar", "short_im_rate", "short_mm_rate",
    "concentration_rate", "confidence_factor", "concentration_from",
)  # fmt: skip
OF_COLLATERAL: Final = ("haircut", "cap")
FIELDS: Final = (*OF_UNDERLYING, *OF_COLLATERAL, "band", "floor_band", "least_notional", "bonus")
"""In the order of IRiskSteward.Field."""
GAS: Final = (200_000, 150_000)
"""Of a write: a flat part, and what each change may add."""
Key = tuple[int, int]
"""Field and id."""


def key_of(name: str) -> Key:
    """Return what a parameter's name stands for. Raises ConfigError for anything that no steward knows."""
    field, colon, number = name.partition(":")
    if field not in FIELDS or not colon or not number.isdecimal() or int(number) > 255:
        known = ", ".join(FIELDS)
        raise ConfigError(f"{name}: expected one of {known} with a colon and a number behind it, such as im_scalar:0")
    return FIELDS.index(field), int(number)


def record_of(name: str) -> str:
    """Return what is written together with a parameter: all of an underlying, of a collateral, of the venue."""
    field, _, number = name.partition(":")
    if field in OF_UNDERLYING:
        return f"underlying:{number}"
    return f"collateral:{number}" if field in OF_COLLATERAL else "venue"


def steward_of(rpc: Rpc, products: str, block: Block) -> str | None:
    """Return who changes parameters, None where the owner has named nobody yet. Raises ReadError."""
    try:
        (answer,) = answered(rpc.eth_calls([interface("reference/Products").function("steward").call(products)], block))
        found = address_at(answer)
    except ValueError as error:
        raise ReadError(f"reference: steward of {products} at block {block.number} not read: {error}") from error
    return found if int(found, 16) else None


def steering(rpc: Rpc, steward: str, names: Sequence[str], block: Block) -> Steering:
    """Return what the steward says at `block` of itself and of each parameter. Raises ReadError, ConfigError."""
    read = interface(STEWARD).function
    calls = [read("controller").call(steward), read("stopped").call(steward)]
    for key in map(key_of, names):
        calls += [read(name).call(steward, *key) for name in ("number", "terms", "readyAt", "guarded")]
    answers = rpc.eth_calls(calls, block)
    try:
        controller, stopped = answered(answers[:2])
    except ValueError as error:
        raise ReadError(f"reference: steward {steward} at block {block.number} not read: {error}") from error
    found: dict[str, Steered] = {}
    unknown: dict[str, str] = {}
    for row, name in enumerate(names):
        try:
            found[name] = _steered(answers[2 + 4 * row : 6 + 4 * row], record_of(name))
        except (ValueError, DecodingError) as error:
            unknown[name] = f"not read from the steward: {_why(answers[2 + 4 * row : 6 + 4 * row]) or error}"
    return Steering(steward, address_at(controller), bool(uint_at(stopped)), found, unknown)


def _steered(answers: Sequence[bytes | RpcRefusal], record: str) -> Steered:
    number, terms, ready, guard = answered(answers)
    low, high, step, delay = interface(STEWARD).function("terms").values(terms)[0]
    guarded = uint_at(guard, 1) if uint_at(guard, 0) else None
    return Steered(uint_at(number), low, high, step, delay, uint_at(ready), guarded, record)


def _why(answers: Sequence[bytes | RpcRefusal]) -> str:
    refused = [answer.revert[:4] for answer in answers if isinstance(answer, RpcRefusal)]
    return next((name for selector in refused if (name := interface(STEWARD).error_named(selector))), "")


def write(steward: str, plan: WriteParameters) -> Call:
    """Return the call, changes in the order of their fields: those of one record stand together."""
    changes = [(*key, old, new) for key, (old, new) in _keyed(plan)]
    packed = interface(STEWARD).function("write").packed(steward, changes)
    return Call(packed.to, packed.data, gas=GAS[0] + GAS[1] * len(changes), function=packed.function)


def written(steward: str, plan: WriteParameters, receipt: Receipt) -> Effect:
    told = _told([log for log in receipt.logs if log.address == steward])
    missing = [key for key, numbers in _keyed(plan) if told.get(key) != numbers]
    if missing:
        return Effect(
            False, f"mined without a NumberWritten event of {len(missing)} of its {len(plan.numbers)} changes"
        )
    return Effect(True, plan.changes)


def done(rpc: Rpc, steward: str, plan: WriteParameters, first: int, last: int) -> bool:
    """Say whether every number of the plan was written in these blocks, by whomever."""
    logs = rpc.logs([steward], [interface(STEWARD).event("NumberWritten").topic], first, last)
    told = _told(logs)
    return all(told.get(key, (0, None))[1] == new for key, (_, new) in _keyed(plan))


def _keyed(plan: WriteParameters) -> list[tuple[Key, tuple[int, int]]]:
    return sorted((key_of(name), numbers) for name, numbers in plan.numbers.items())


def _told(logs: Sequence[Log]) -> Mapping[Key, tuple[int, int]]:
    """Return the last numbers written, from and to."""
    event = interface(STEWARD).event("NumberWritten")
    found = {}
    for log in logs:
        if log.topics[0] == event.topic:
            body = event.body(log)
            found[int(log.topics[1], 16), int(log.topics[2], 16)] = body["previous"], body["number"]
    return found
