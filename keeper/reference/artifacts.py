"""Our compiled contracts as creation code: bytecode of abis/reference with its constructor's arguments behind it."""

import json
from functools import cache
from typing import Any

from eth_abi.abi import encode

from keeper.abi import ABIS, Interface


@cache
def _document(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ABIS / f"{path}.json").read_text())
    return document


def creation_code(path: str, *arguments: Any) -> bytes:
    """Return the code that creates the contract stored under abis/, for example `reference/Margin`.

    Raises eth_abi's EncodingError when the arguments do not fit its constructor.
    """
    return bare_code(path) + constructor_words(path, *arguments)


def bare_code(path: str) -> bytes:
    """Return the creation code without arguments."""
    return bytes.fromhex(_document(path)["bytecode"][2:])


def constructor_words(path: str, *arguments: Any) -> bytes:
    """Return the constructor's arguments as the ABI encodes them. Raises eth_abi's EncodingError."""
    entries = _document(path)["abi"]
    inputs: list[dict[str, Any]] = next((e["inputs"] for e in entries if e["type"] == "constructor"), [])
    return encode(Interface.types(inputs), arguments)
