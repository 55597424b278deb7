"""Contract interfaces from the JSON files under abis/: selectors, topics, and word-wise encoding.

Calls with only static arguments (addresses, integers, booleans) are packed as 32-byte words here, which is
some forty times faster than a general encoder and is what every hot read needs; the general one is eth_abi.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.chain import Call, Log

ABIS = Path(__file__).resolve().parents[1] / "abis"
WORD = 32


@dataclass(frozen=True, slots=True)
class Function:
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    named: str = ""  # with the names of its arguments, as in Solidity; unnamed ones are called argument0, argument1, …

    def call(self, to: str, *arguments: str | int) -> Call:
        """Encode static arguments. Raises ValueError when their number is wrong."""
        if len(arguments) != len(self.inputs):
            raise ValueError(f"expected {len(self.inputs)} arguments {self.inputs}, found {len(arguments)}")
        return Call(to, self.selector + b"".join(_word(a) for a in arguments), function=self.named)

    def packed(self, to: str, *arguments: Any) -> Call:
        """Encode any arguments, structs as tuples. Raises eth_abi's EncodingError when they do not fit."""
        return Call(to, self.selector + encode(self.inputs, arguments), function=self.named)

    def one(self, returned: bytes) -> int:
        """Return the single static integer the call returned. Raises ValueError when it is not one word."""
        if len(returned) != WORD or len(self.outputs) != 1:
            raise ValueError(f"expected one word, found {len(returned)} bytes")
        return int.from_bytes(returned, signed=self.outputs[0].startswith("int"))

    def values(self, returned: bytes) -> tuple[Any, ...]:
        """Return all outputs, decoded by their types. Raises eth_abi's DecodingError on malformed bytes."""
        return tuple(decode(self.outputs, returned))


@dataclass(frozen=True, slots=True)
class Event:
    topic: str
    indexed: tuple[str, ...]
    names: tuple[str, ...]  # names and types of the fields in the log's body
    types: tuple[str, ...]

    def body(self, log: Log) -> dict[str, Any]:
        return dict(zip(self.names, decode(self.types, log.data), strict=True))


@dataclass(frozen=True, slots=True)
class CustomError:
    """An error a contract declares."""

    name: str
    types: tuple[str, ...]


class Interface:
    """The functions and events of one contract; overloads are named with their types, `liquidate(address,address)`."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._functions = {}
        self._events = {}
        self.errors: dict[bytes, CustomError] = {}  # by selector
        for entry in entries:
            if entry["type"] == "function":
                function = _function(entry)
                self._functions[f"{entry['name']}({','.join(function.inputs)})"] = function
                self._functions.setdefault(entry["name"], function)
            elif entry["type"] == "event":
                self._events[entry["name"]] = _event(entry)
            elif entry["type"] == "error":
                self.errors[_selector(entry)] = CustomError(entry["name"], tuple(self.types(entry["inputs"])))

    @staticmethod
    def types(fields: list[dict[str, Any]]) -> list[str]:
        """Return the fields' types, structs spelled out as tuples."""
        return [_type(field) for field in fields]

    def function(self, name: str) -> Function:
        return self._functions[name]

    def event(self, name: str) -> Event:
        return self._events[name]

    def error(self, name: str) -> bytes | None:
        """Return the selector of a named error; None where the contract has no such one."""
        return next((selector for selector, error in self.errors.items() if error.name == name), None)

    def error_named(self, selector: bytes) -> str:
        """Return the name of the error with this selector, or ''."""
        found = self.errors.get(selector)
        return found.name if found else ""


@cache
def interface(path: str) -> Interface:
    """Return the interface stored under abis/, for example `perp_curie/Vault`."""
    return Interface(json.loads((ABIS / f"{path}.json").read_text())["abi"])


def address_at(returned: bytes, word: int = 0) -> str:
    """Return the address in the given word, checksummed. Raises ValueError when the word is missing or dirty."""
    chunk = returned[word * WORD : (word + 1) * WORD]
    if len(chunk) != WORD or any(chunk[:12]):
        raise ValueError(f"expected an address in word {word}, found {chunk.hex() or 'nothing'}")
    return to_checksum_address(chunk[12:])


def keccak256(message: bytes) -> bytes:
    return bytes(keccak(message))


def checksummed(address: str) -> str:
    """Return an address in its checksummed spelling. Raises ValueError for anything else."""
    return to_checksum_address(address)


def int_at(returned: bytes, word: int = 0) -> int:
    """Return the signed integer in the given word. Raises ValueError when the word is missing."""
    return int.from_bytes(_chunk(returned, word), signed=True)


def uint_at(returned: bytes, word: int = 0) -> int:
    """Return the unsigned integer in the given word. Raises ValueError when the word is missing."""
    return int.from_bytes(_chunk(returned, word))


def _chunk(returned: bytes, word: int) -> bytes:
    chunk = returned[word * WORD : (word + 1) * WORD]
    if len(chunk) != WORD:
        raise ValueError(f"expected at least {word + 1} words, found {len(returned)} bytes")
    return chunk


def topic_address(topic: str) -> str:
    return to_checksum_address("0x" + topic[-40:])


def decoded(types: Sequence[str], encoded: bytes) -> tuple[Any, ...]:
    """Return values encoded by the ABI; bytes behind them do not matter. Raises ValueError for malformed ones."""
    try:
        return tuple(decode(types, encoded, strict=False))
    except (DecodingError, ValueError, OverflowError) as e:  # whoever wrote them may be hostile
        raise ValueError(f"expected ({','.join(types)}), found {len(encoded)} other bytes") from e


def _word(argument: str | int) -> bytes:
    if isinstance(argument, str):
        raw = bytes.fromhex(argument.removeprefix("0x"))
        if len(raw) != 20:
            raise ValueError(f"expected an address of 20 bytes, found {argument!r}")
        return bytes(12) + raw
    return argument.to_bytes(WORD, signed=argument < 0)


def _type(field: dict[str, Any]) -> str:
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    inner = ",".join(_type(c) for c in field["components"])
    return f"({inner}){field['type'][5:]}"


def _selector(entry: dict[str, Any]) -> bytes:
    return function_abi_to_4byte_selector(entry | {"type": "function"})  # type: ignore[arg-type]


def _function(entry: dict[str, Any]) -> Function:
    return Function(
        selector=_selector(entry),
        inputs=tuple(_type(i) for i in entry["inputs"]),
        outputs=tuple(_type(o) for o in entry.get("outputs", [])),
        named=f"{entry['name']}({_named(entry['inputs'])})",
    )


def _named(fields: list[dict[str, Any]]) -> str:
    """Return types and names of arguments, structs spelled out: `(address to,uint256 amount)[] calls`."""
    return ",".join(f"{_named_type(field)} {field['name'] or f'argument{n}'}" for n, field in enumerate(fields))


def _named_type(field: dict[str, Any]) -> str:
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    return f"({_named(field['components'])}){field['type'][5:]}"


def _event(entry: dict[str, Any]) -> Event:
    body = [i for i in entry["inputs"] if not i["indexed"]]
    return Event(
        topic="0x" + event_abi_to_log_topic(entry).hex(),  # type: ignore[arg-type]
        indexed=tuple(i["name"] for i in entry["inputs"] if i["indexed"]),
        names=tuple(i["name"] for i in body),
        types=tuple(_type(i) for i in body),
    )


def transaction_hash(raw: bytes) -> str:
    """Return the hash that every node must give signed bytes: keccak-256, 0x and 64 digits."""
    return "0x" + keccak(raw).hex()
