"""The reference venue's margin on Anvil beside the integer twin: contracts, board, reports, slices and honest arrays.

Whatever the owner or publisher says is said to the contracts and remembered here as the twin's records, never read
back: what the contracts make of it is what is tested. Legs and collateral are handed to `Margin` as a book.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.abi import ABIS, interface
from keeper.demo.transactions import adopt, created_address, role
from keeper.rpc import Rpc, RpcRefusal
from keeper.twin.fixed import WAD
from keeper.twin.records import (
    Book,
    Check,
    CollateralType,
    Instrument,
    MarginParameters,
    Report,
    ScanParameters,
    Slice,
    content_id,
)
from keeper.twin.words import expiry_words, packed, terms
from keeper.twin.world import Epoch, Limits, Underlying, World
from tests.twin_worlds import MARGIN, SCAN, STABLE

START = 1_800_000_000
HOUR, DAY = 3_600, 86_400
AVERAGING = 1_800
GAS = 200_000_000
WINDOW = 600
OWNER = role("reference owner")
PRICES = (3_000 * WAD, 60_000 * WAD, WAD)
LIMITS = Limits(report_age=300, epoch_age=2_400, slice_age=600, window=WINDOW)
BOND = 10**12
COLLATERALS = ((18, 0, 1_000), (8, 1, 1_500), (6, 2, 600))  # decimals, underlying, haircut
SHORT = (4 * HOUR, 6 * HOUR)  # expiries that the tests live to see
EXPIRIES = (
    (*SHORT, DAY, 3 * DAY, 10 * DAY, 40 * DAY, 200 * DAY),
    (*SHORT, 2 * DAY, 7 * DAY, 30 * DAY, 90 * DAY, 400 * DAY),
)
STRIKES = (50, 80, 90, 95, 98, 100, 102, 105, 110, 130)  # percent of the first price


class Refused(Exception):
    """The contract reverted; `name` is the error's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True)
class _Known:
    """One underlying as the owner and the publisher have told it."""

    scan: ScanParameters
    margin: MarginParameters
    report: Report | None = None
    slices: dict[int, Slice] = field(default_factory=dict)
    epochs: list[tuple[int, Epoch]] = field(default_factory=list)  # completed at, epoch
    board: dict[int, tuple[Instrument, ...]] = field(default_factory=dict)


class ReferenceWorld:
    """One deployment, and the twin's picture of it."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self.chain_id = rpc.chain_id()
        adopt(rpc, [OWNER])
        self.now = START
        self.known = {
            u: _Known(SCAN if u < 2 else STABLE, replace(MARGIN, concentration_from=(500, 40, 10**6)[u] * WAD))
            for u in range(len(PRICES))
        }
        self._deploy()
        self._open_board()

    # ---- saying ----

    def report(self, prices: Mapping[int, int], at: int) -> None:
        """Report these underlyings at time `at`, in a block of that time."""
        self._warp(at)
        seen = []
        for u, price in prices.items():
            known = self.known[u]
            last = known.report
            expiry, share = self._fixing(u, at)
            average = self._average(last, expiry, share, price)
            known.report = Report(
                underlying=u, timestamp=at, fixing_expiry=expiry, sequence=last.sequence + 1 if last else 1,
                price=price, confidence=price // 2_000 + u, funding_rate=0, funding_index=0,
                fixed_share=share, fixed_average=average,
            )  # fmt: skip
            seen.append((u, at, price, known.report.confidence, 0, expiry, share, average))
        self.send("Prices", "setReports", seen)

    def fit(self, underlyings: Iterable[int], *, variance: int = 30 * WAD // 100) -> None:
        """Fit every live expiry anew at the newest report: a smile with a skew."""
        slices = []
        for u in underlyings:
            known = self.known[u]
            price = known.report.price
            for expiry in self.live(u):
                known.slices[expiry] = Slice(
                    u, expiry, self.now, price * 1_004 // 1_000, price,
                    variance, 40 * WAD // 100, -30 * WAD // 100, 5 * WAD // 100, 40 * WAD // 100,
                )  # fmt: skip
                slices.append(astuple(known.slices[expiry]))
        self.send("Prices", "setSlices", slices)

    def publish(self, u: int) -> None:
        """Publish the arrays of every live expiry on the newest report."""
        known = self.known[u]
        arrays = {}
        for expiry in self.live(u):
            words = expiry_words(terms(known.report, known.slices[expiry], known.scan), known.board[expiry])
            ids = (self._id(known.report), self._id(known.slices[expiry]))
            self.send("RiskArrays", "publish", u, expiry, *ids, b"".join(packed(w) for w in words))
            arrays[expiry] = words
        completed = int(self.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        known.epochs.append((completed, Epoch(known.report.price, known.report.timestamp, known.scan, arrays)))

    def list_later(self, u: int, expiry: int, strike: int) -> Instrument:
        """List one more call; there is no array for it until the next publication. Strike in 10⁻⁸ USD."""
        known = self.known[u]
        added = Instrument(u, expiry, strike, True, len(known.board[expiry]))
        self.send("Products", "listOptions", u, expiry, [strike], [True])
        known.board[expiry] += (added,)
        return added

    def live(self, u: int) -> list[int]:
        """Expiries with options later than the newest report, ascending."""
        return [expiry for expiry in self.known[u].board if expiry > self.known[u].report.timestamp]

    # ---- asking ----

    def world(self) -> World:
        """The twin's picture at the newest block."""
        now = int(self.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        underlyings = {}
        for u, known in self.known.items():
            settled = [epoch for completed, epoch in known.epochs if completed + WINDOW <= now]
            newest = known.epochs[-1][1] if known.epochs else None
            underlyings[u] = Underlying(
                known.report, known.scan, known.margin, known.slices, newest, settled[-1] if settled else None
            )
        return World(now, underlyings, self.collaterals, LIMITS)

    def checks(self, name: str, books: Sequence[Book], scenarios: Sequence[int] | None = None) -> list[Check | Refused]:
        """Ask `Margin` for the statement of every book."""
        selector = interface("reference/Margin").function(name).selector
        asked = [selector + _book(book, None if scenarios is None else scenarios[i]) for i, book in enumerate(books)]
        return [self._check(answer) for answer in self._calls("Margin", asked)]

    def marks(self, instruments: Sequence[Instrument]) -> list[int]:
        """Ask `Margin` for marks, wad."""
        selector = interface("reference/Margin").function("mark").selector
        answers = self._calls("Margin", [selector + i.id.to_bytes(32) for i in instruments])
        return [int(str(answer), 16) for answer in answers]

    def _check(self, answer: Any) -> Check | Refused:
        if isinstance(answer, RpcRefusal):
            return Refused(self._errors.get(answer.revert[:4], answer.revert.hex()))
        raw = bytes.fromhex(answer[2:])
        return Check(*(int.from_bytes(raw[at : at + 32], signed=at == 0) for at in (0, 32, 64)))

    def _calls(self, contract: str, asked: Sequence[bytes]) -> list[Any]:
        answers: list[Any] = []
        for at in range(0, len(asked), 100):
            part = asked[at : at + 100]
            to = self.addresses[contract]
            messages = [{"to": to, "data": "0x" + body.hex(), "gas": hex(GAS)} for body in part]
            answers += self.rpc.batch([("eth_call", [message, "latest"]) for message in messages])
        return answers

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo afterwards whatever the test says, on the chain and in the picture."""
        known, now, nonce = deepcopy(self.known), self.now, self._nonce
        snapshot = self.rpc.call("evm_snapshot")
        yield
        assert self.rpc.call("evm_revert", snapshot) is True
        self.known, self.now, self._nonce = known, now, nonce

    # ---- setting up ----

    def _deploy(self) -> None:
        self.addresses: dict[str, str] = {}
        self._nonce = 0
        self._warp(START)
        token = self._create("demo/MintableToken", ["string", "string", "uint8"], "USD Coin", "USDC", 6)
        extra = [
            self._create("demo/MintableToken", ["string", "string", "uint8"], f"T{n}", f"T{n}", decimals)
            for n, (decimals, _, _) in enumerate(COLLATERALS)
        ]
        self.collaterals = tuple(
            CollateralType(int(address, 16), decimals, u, haircut, 10**30)
            for address, (decimals, u, haircut) in zip(extra, COLLATERALS, strict=True)
        )
        self.addresses["Token"] = token
        products = self._create("reference/Products", ["address", "uint16", "address"], token, 500, OWNER)
        prices = self._create("reference/Prices", ["address", "address"], products, OWNER)
        arrays = self._create(
            "reference/RiskArrays",
            ["address", "address", "address", "(uint40,uint16,uint128,uint40,uint64)", "uint256", "uint256", "address"],
            prices, products, token, (WINDOW, 5_000, BOND, 10 * DAY, 0), LIMITS.report_age, LIMITS.slice_age, OWNER,
        )  # fmt: skip
        ages = (LIMITS.report_age, LIMITS.epoch_age, LIMITS.slice_age)
        self._create("reference/Margin", ["address"] * 3 + ["uint256"] * 3, prices, products, arrays, *ages)
        self._errors = _errors("reference/Margin") | _errors("reference/RiskArrays") | _errors("reference/Prices")
        self.send("RiskArrays", "wireVenue", OWNER)  # nobody is paid or slashed here
        self.send("RiskArrays", "setPublisher", OWNER, True)
        for name, to in (("mint", OWNER), ("approve", arrays)):
            self._send(token, interface("demo/MintableToken").function(name).selector, ["address", "uint256"], to, BOND)
        self.send("RiskArrays", "bond", BOND)

    def _open_board(self) -> None:
        for known, symbol in zip(self.known.values(), (b"ETH", b"BTC", b"USD"), strict=True):
            self.send("Products", "addUnderlying", symbol, True, astuple(known.scan), astuple(known.margin))
        for kind in self.collaterals:
            self.send("Products", "addCollateral", (f"0x{kind.token:040x}", *astuple(kind)[1:]))
        self.report(dict(enumerate(PRICES)), self.now + 60)
        for u, offsets in enumerate(EXPIRIES):
            for offset in offsets:
                expiry = START + offset
                self.send("Products", "listExpiry", u, expiry)
                strikes = [PRICES[u] * percent // 100 // 10**10 for percent in STRIKES for _ in range(2)]
                calls = [True, False] * len(STRIKES)
                self.known[u].board[expiry] = tuple(
                    Instrument(u, expiry, strike, call, row)
                    for row, (strike, call) in enumerate(zip(strikes, calls, strict=True))
                )
        self.fit((0, 1))
        for u in (0, 1):
            for expiry, options in self.known[u].board.items():
                listed = ([o.strike for o in options], [o.is_call for o in options])
                self.send("Products", "listOptions", u, expiry, *listed)

    def _fixing(self, u: int, at: int) -> tuple[int, int]:
        """What a report must fix: the oldest expiry inside its averaging window, or over and not settled yet."""
        last = self.known[u].report
        over = last.fixing_expiry if last and last.fixed_share == WAD else 0
        later = [expiry for expiry in self.known[u].board if expiry > over]
        if not later or at + AVERAGING < later[0]:
            return 0, 0
        expiry = later[0]
        return expiry, WAD if at >= expiry else (at + AVERAGING - expiry) * WAD // AVERAGING

    @staticmethod
    def _average(last: Report | None, expiry: int, share: int, price: int) -> int:
        if not share:
            return 0
        going_on = last is not None and last.fixing_expiry == expiry
        before, part = (last.fixed_share, last.fixed_share * last.fixed_average) if going_on else (0, 0)
        return (part + (share - before) * price) // share

    # ---- the chain ----

    def send(self, contract: str, name: str, *arguments: Any) -> None:
        """Send one transaction of the owner's and wait for it. Raises Refused when it reverts."""
        function = interface(f"reference/{contract}").function(name)
        self._send(self.addresses[contract], function.selector, function.inputs, *arguments)

    def _send(self, to: str, selector: bytes, types: Sequence[str], *arguments: Any) -> None:
        self._transact({"to": to, "data": "0x" + (selector + encode(types, arguments)).hex()})

    def _create(self, path: str, types: Sequence[str], *arguments: Any) -> str:
        code = json.loads((ABIS / f"{path}.json").read_text())["bytecode"]
        address = created_address(OWNER, self._nonce)
        self._transact({"data": code + encode(types, arguments).hex()})
        self.addresses[path.rpartition("/")[2]] = address
        return address

    def _transact(self, message: dict[str, str]) -> None:
        sent = message | {"from": OWNER, "gas": hex(GAS), "gasPrice": hex(10**12)}
        mined = self.rpc.call("eth_sendTransactionSync", sent)
        self._nonce += 1
        if mined["status"] != "0x1":
            (answer,) = self.rpc.batch([("eth_call", [sent, "latest"])])
            revert = answer.revert if isinstance(answer, RpcRefusal) else b""
            raise Refused(self._errors.get(revert[:4], revert.hex()) if revert else "no reason on the newest state")

    def _warp(self, at: int) -> None:
        """Let the next block have time `at`, and every later one until the next warp be a second later each."""
        self.now = at
        self.rpc.call("evm_setNextBlockTimestamp", hex(at))

    def _id(self, record: Report | Slice) -> bytes:
        return content_id(record, int(self.addresses["Prices"], 16), self.chain_id, _keccak)


def _keccak(message: bytes) -> bytes:
    return bytes(keccak(message))


def _book(book: Book, scenarios: int | None) -> bytes:
    """Encode `(int256 cash, uint256[] legs, uint256[] collateral)`, then the scenarios where there are any."""
    legs, held = [leg.packed for leg in book.legs], [holding.packed for holding in book.collateral]
    body = [book.cash, 96, 128 + 32 * len(legs), len(legs), *legs, len(held), *held]
    head = [32] if scenarios is None else [64, scenarios]
    return b"".join((word % 2**256).to_bytes(32) for word in head + body)


def _errors(path: str) -> dict[bytes, str]:
    """Selectors of a contract's custom errors → their names."""
    entries = json.loads((ABIS / f"{path}.json").read_text())["abi"]
    found: dict[bytes, str] = {}
    for entry in entries:
        if entry["type"] == "error":
            types = ",".join(i["type"] for i in entry["inputs"])
            found[keccak(text=f"{entry['name']}({types})")[:4]] = entry["name"]
    return found
