"""Function signatures with names, `take((uint256 account,uint256 taker) call)`, and paths into their arguments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import is_encodable_type
from eth_utils.crypto import keccak

_WORD = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)")
_SUFFIX = re.compile(r"\[(\d*)\]")
_KNOWN = re.compile(r"u?int\d*|bytes\d*|address|bool|string")
_STEP = re.compile(r"(?:^|\.)(\w+)|\[(\*|\d+)\]")

ALL: Final = None
"""The step `[*]`: every element of an array."""
Step = int | None


@dataclass(frozen=True, slots=True)
class Node:
    """One argument: a tuple has `fields`, an array an `element`, anything else neither."""

    name: str
    type: str  # canonical, as eth-abi takes it
    fields: tuple["Node", ...] = ()
    element: "Node | None" = None
    size: int | None = None  # of a fixed array

    @property
    def levels(self) -> int:
        """How many lengths of dynamic things nest: what a small calldata can blow up to is a power of it."""
        if self.element is not None:
            return self.element.levels + (self.size is None)
        if self.fields:
            return max(field.levels for field in self.fields)
        return int(self.type in ("bytes", "string"))


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    arguments: tuple[Node, ...]

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(argument.type for argument in self.arguments)

    @property
    def signature(self) -> str:
        """The canonical one, without names."""
        return f"{self.name}({','.join(self.types)})"

    @property
    def selector(self) -> bytes:
        return bytes(keccak(text=self.signature)[:4])

    @property
    def levels(self) -> int:
        return max((argument.levels for argument in self.arguments), default=0)


def parse(text: str) -> Function:
    """Return the function a signature names. Raises ValueError with the place where it stops making sense."""
    name = _WORD.match(text)
    if name is None:
        raise ValueError(f"expected a function such as take(uint256 account), found {text!r}")
    arguments, end = _list(text, name.end())
    if text[end:].strip():
        raise ValueError(f"expected the end of the signature, found {text[end:]!r}")
    return Function(name.group(1), arguments)


def _list(text: str, at: int) -> tuple[tuple[Node, ...], int]:
    if text[at : at + 1] != "(":
        raise ValueError(f"expected ( at {text[at:]!r}")
    at += 1
    found: list[Node] = []
    if text[at:].lstrip().startswith(")"):
        return (), text.index(")", at) + 1
    while True:
        node, at = _argument(text, at)
        found.append(node)
        at += len(text[at:]) - len(text[at:].lstrip())
        if text[at : at + 1] == ")":
            return tuple(found), at + 1
        if text[at : at + 1] != ",":
            raise ValueError(f"expected , or ) at {text[at:]!r}")
        at += 1


def _argument(text: str, at: int) -> tuple[Node, int]:
    at += len(text[at:]) - len(text[at:].lstrip())
    if text[at : at + 1] == "(":
        fields, at = _list(text, at)
        if not fields:
            raise ValueError("expected fields in every struct, found ()")
        node = Node("", f"({','.join(field.type for field in fields)})", fields)
    else:
        node, at = _plain(text, at)
    while suffix := _SUFFIX.match(text, at):
        size = int(suffix.group(1)) if suffix.group(1) else None
        if size == 0:
            raise ValueError("expected arrays of at least one element, found [0]")
        node, at = Node("", node.type + suffix.group(0), element=node, size=size), suffix.end()
    name = _WORD.match(text, at)
    if name is None:
        return node, at
    return Node(name.group(1), node.type, node.fields, node.element, node.size), name.end()


def _plain(text: str, at: int) -> tuple[Node, int]:
    word = _WORD.match(text, at)
    kind = word.group(1) if word else ""
    kind = {"uint": "uint256", "int": "int256"}.get(kind, kind)
    if word is None or not _KNOWN.fullmatch(kind) or not is_encodable_type(kind):
        raise ValueError(f"expected a Solidity type at {text[at:]!r}")
    return Node("", kind), word.end()


def resolve(function: Function, path: str) -> tuple[tuple[Step, ...], Node]:
    """Return the steps of a path such as `0.taker` or `calls[*].account`, and what it leads to. Raises ValueError."""
    node = Node("", "", function.arguments)
    steps: list[Step] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(f"path {path!r}: expected a name, an index or [*] at {path[at:]!r}")
        step, node = _step(path, node, match)
        steps.append(step)
        at = match.end()
    if not steps:
        raise ValueError("path: expected a name, an index or [*], found nothing")
    return tuple(steps), node


def _step(path: str, node: Node, match: "re.Match[str]") -> tuple[Step, Node]:
    name, element = match.groups()
    if element is not None:
        if node.element is None:
            raise ValueError(f"path {path!r}: expected an array before [{element}], found {node.type or 'the call'}")
        return (ALL if element == "*" else int(element)), node.element
    names = [field.name for field in node.fields]
    index = int(name) if name.isdecimal() else (names.index(name) if name in names else len(names))
    if index >= len(names):
        raise ValueError(f"path {path!r}: expected one of {', '.join(n or '?' for n in names)}, found {name}")
    return index, node.fields[index]


def values(arguments: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    """Yield what the steps lead to. Raises IndexError where an array is too short for a fixed index."""
    if not steps:
        yield arguments
    elif steps[0] is ALL:
        for element in arguments:
            yield from values(element, steps[1:])
    else:
        yield from values(arguments[steps[0]], steps[1:])
