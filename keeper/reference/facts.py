"""What a deployment says of itself by its own views, written into its manifest, and compared with it later."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from keeper.abi import address_at, interface, keccak256
from keeper.chain import Block, Call
from keeper.errors import ReadError
from keeper.reference.manifest import OWNED, Fact, Manifest
from keeper.reference.runtime import is_runtime
from keeper.rpc import Rpc, RpcRefusal, answered

VIEWS: Final = {
    "venue": (
        "auctions", "MARGIN", "RISK_ARRAYS", "PRODUCTS", "PRICES", "SETTLEMENT_TOKEN", "guardian", "limits",
        "openingPaused", "withdrawalsPaused",
    ),
    "auctions": (
        "venue", "margin", "prices", "products", "buffer", "discountCap", "growth", "startGas", "bonusPeriod",
    ),
    "margin": ("PRICES", "PRODUCTS", "RISK_ARRAYS", "MAX_REPORT_AGE", "MAX_EPOCH_AGE", "MAX_SLICE_AGE"),
    "risk_arrays": (
        "PRICES", "PRODUCTS", "TOKEN", "RECOMPUTATION", "venue", "MINIMUM_BOND", "FUND_SHARE", "HEARTBEAT",
        "FINE_PER_SECOND", "MAX_REPORT_AGE", "MAX_SLICE_AGE", "window",
    ),
    "products": ("SETTLEMENT_TOKEN", "MOST_INCENTIVE", "underlyings", "collaterals", "steward"),
    "prices": ("SURFACE", "PRODUCTS", "MAX_AGE", "thresholds"),
    "surface": ("PRODUCTS", "MAX_AGE", "thresholds"),
}  # fmt: skip
"""Wiring and numbers that only the owner changes, if anybody. Balances and clocks are not among them."""
OF_UNDERLYING: Final = {
    "products": ("describe", "marginParameters", "scanVersion"),
    "prices": ("fundingLimits", "priceLimits"),
    "surface": ("surfaceLimits",),
}
COMPANIONS: Final = {
    "steward": ("PRODUCTS", "VENUE", "AUCTIONS", "owner", "controller", "guardian", "stopped"),
    "executor": ("RECEIVER", "VENUE", "AUCTIONS", "ARRAYS", "PRODUCTS", "SETTLEMENT_TOKEN", "LENDER"),
}
"""Asked where they were deployed."""
FEED_VIEWS: Final = ("RELAY", "UNDERLYING", "decimals", "description")


@dataclass(frozen=True, slots=True)
class Question:
    contract: str  # as the manifest calls it
    path: str
    address: str
    function: str
    arguments: tuple[Any, ...] = ()

    @property
    def said(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"

    def call(self) -> Call:
        return interface(self.path).function(self.function).packed(self.address, *self.arguments)


def read_facts(rpc: Rpc, manifest: Manifest, block: Block) -> tuple[Fact, ...]:
    """Return every fact at `block`. Raises ReadError for a contract that does not answer."""
    questions = list(_questions(manifest))
    answers = rpc.eth_calls([question.call() for question in questions], block)
    return tuple(_fact(question, answer) for question, answer in zip(questions, answers, strict=True))


def differences(rpc: Rpc, manifest: Manifest, block: Block) -> list[str]:
    """Return how the chain differs from the manifest at `block`: code, owners, wiring, parameters. Raises ReadError."""
    found = [*_codes(rpc, manifest, block), *_owners(rpc, manifest, block)]
    expected = {(fact.contract, fact.call): fact.answer for fact in manifest.facts}
    for fact in read_facts(rpc, manifest, block):
        written = expected.pop((fact.contract, fact.call), "nothing")
        if fact.answer != written:
            found.append(f"{fact.contract}.{fact.call}: expected {written}, found {fact.answer}")
    return [*found, *(f"{contract}.{call}: expected in every manifest, not asked" for contract, call in expected)]


def _codes(rpc: Rpc, manifest: Manifest, block: Block) -> Iterator[str]:
    codes = answered_codes(rpc, [one.address for one in manifest.deployed], block)
    for one, code in zip(manifest.deployed, codes, strict=True):
        hashed = "0x" + keccak256(code).hex()
        if hashed != one.code_hash:
            yield f"{one.name}: expected code {one.code_hash} at {one.address}, found {hashed}, {len(code)} bytes"
        elif not is_runtime(one.artifact, code):
            yield f"{one.name}: expected the runtime of this version's abis/{one.artifact}.json at {one.address}"


def answered_codes(rpc: Rpc, addresses: list[str], block: Block) -> list[bytes]:
    codes = rpc.codes(addresses, block)
    refused = next((code for code in codes if isinstance(code, RpcRefusal)), None)
    if refused is not None:
        raise ReadError(f"code at block {block.number} not read: {refused}")
    return [code for code in codes if isinstance(code, bytes)]


def _owners(rpc: Rpc, manifest: Manifest, block: Block) -> Iterator[str]:
    read = interface("reference/MarginVenue").function
    addresses = [(name, getattr(manifest.contracts, name)) for name in OWNED]
    calls = [read(view).call(at) for _, at in addresses for view in ("owner", "pendingOwner")]
    answers = _answered(rpc, calls, block)
    for (name, _), owner, pending in zip(addresses, answers[::2], answers[1::2], strict=True):
        if address_at(owner) == manifest.owner:
            continue
        offered = address_at(pending) == manifest.owner
        yield f"{name}: expected owner {manifest.owner}, found {address_at(owner)}" + (
            "; offered, he has to call acceptOwnership" if offered else ""
        )


def _questions(manifest: Manifest) -> Iterator[Question]:
    at = {one.name: (one.artifact, one.address) for one in manifest.deployed}
    for contract, views in VIEWS.items():
        yield from (Question(contract, *at[contract], view) for view in views)
    for contract in ("prices", "surface"):
        yield from (Question(contract, *at[contract], "isSigner", (signer,)) for signer in manifest.signers)
    for number, listed in enumerate(manifest.underlyings):
        for contract, views in OF_UNDERLYING.items():
            yield from (Question(contract, *at[contract], view, (number,)) for view in views)
        for expiry in listed.expiries:
            yield Question("products", *at["products"], "nextExpiry", (number, expiry - 1))
        feed = f"feed_{listed.symbol}"
        yield from (Question(feed, *at[feed], view) for view in FEED_VIEWS)
    for companion in sorted(at.keys() & COMPANIONS.keys()):
        yield from (Question(companion, *at[companion], view) for view in COMPANIONS[companion])
    for index in range(len(manifest.collaterals)):
        yield Question("products", *at["products"], "collateral", (index,))


def _fact(question: Question, answer: bytes | RpcRefusal) -> Fact:
    if isinstance(answer, RpcRefusal):
        raise ReadError(f"{question.contract}.{question.said}: not read: {answer}")
    values = interface(question.path).function(question.function).values(answer)
    return Fact(question.contract, question.said, ", ".join(map(_shown, values)))


def _shown(found: Any) -> str:
    if isinstance(found, bytes):
        return "0x" + found.hex()
    return f"({', '.join(map(_shown, found))})" if isinstance(found, tuple) else str(found)


def _answered(rpc: Rpc, calls: list[Call], block: Block) -> list[bytes]:
    try:
        return answered(rpc.eth_calls(calls, block))
    except ValueError as error:
        raise ReadError(f"owners at block {block.number} not read: {error}") from error
