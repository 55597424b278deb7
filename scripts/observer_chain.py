"""What the protocol itself says at one block: raw JSON-RPC batches against Curie's own views, events and receipts.

Part of the observer, which shares no code with the keeper: nothing here imports `keeper` or `engine`.
Addresses are lower case throughout. Integers keep the decimals the contract gave them.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from observer_node import Node, address, call_data, result, selector, topic, word

HUNDRED_PERCENT = 10**6  # Curie's ratios carry six decimals


@dataclass(frozen=True, slots=True)
class View:
    """One account as the protocol's views give it at one block."""

    account_value: int  # settlement token decimals, signed
    margin_requirement: int  # 18 decimals: what liquidation compares the account value with
    initial_margin: int  # 18 decimals: total debt value x IM ratio, rounded down
    has_order: bool
    liquidatable_in: tuple[str, ...]  # base tokens whose getLiquidatablePositionSize is not zero

    @property
    def liquidatable(self) -> bool:
        """Whether `liquidate` may succeed; open orders must be cancelled first (CH_CLWTISO)."""
        return bool(self.liquidatable_in) and not self.has_order


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction the keeper's address sent, as mined."""

    hash: str
    succeeded: bool
    liquidates: tuple[str, str] | None  # (account, base token) when the calldata asks for a liquidation


@dataclass(frozen=True, slots=True)
class Liquidation:
    account: str
    base_token: str
    position_notional: int  # 18 decimals, >= 0
    liquidator: str


@dataclass(frozen=True, slots=True)
class BlockFacts:
    number: int
    hash: str
    parent_hash: str
    timestamp: int
    index_price: int  # first market, 18 decimals
    mark_price: int
    views: Mapping[str, View]
    liquidations: tuple[Liquidation, ...]
    bad_debt: int  # settlement token decimals, settled in this block
    parameter_updates: int  # by the keeper
    keeper_transactions: tuple[Transaction, ...]
    read_seconds: float


LIQUIDATE = "liquidate(address,address)"
LIQUIDATIONS = (selector(LIQUIDATE), selector("liquidate(address,address,int256)"))
DEPOSITED = topic("Deposited(address,address,uint256)")
POSITION_LIQUIDATED = topic("PositionLiquidated(address,address,uint256,uint256,uint256,address)")
BAD_DEBT_SETTLED = topic("BadDebtSettled(address,uint256)")
PARAMETERS_CHANGED = (
    topic("CollateralRatioChanged(address,uint24)"),
    topic("MmRatioBufferChanged(uint24)"),
    topic("MaxFundingRateChanged(uint24)"),
)
ACCOUNT_VIEWS = (
    ("vault", "getAccountValue(address)"),
    ("account_balance", "getMarginRequirementForLiquidation(address)"),
    ("account_balance", "getTotalDebtValue(address)"),
    ("account_balance", "hasOrder(address)"),
)


class Protocol:
    """Perp Curie's deployment as an outsider sees it."""

    def __init__(self, node: Node, deployment: Mapping[str, Any]) -> None:
        self._node = node
        self._at = {name: str(address).lower() for name, address in deployment["contracts"].items()}
        self._markets = [str(market["base_token"]).lower() for market in deployment["markets"]]
        self.keeper = str(deployment["keeper"]).lower()
        self.accounts: list[str] = []
        self._add(str(account).lower() for account in deployment["accounts"])
        self.settlement_decimals = self._constant("vault", "decimals()")
        self._im_ratio = self._constant("clearing_house_config", "getImRatio()")  # Curie has no setter for it

    def _constant(self, contract: str, signature: str) -> int:
        call = {"to": self._at[contract], "data": call_data(signature)}
        return word(self._node.batch([("eth_call", [call, "latest"])])[0], f"{contract}.{signature}")

    def _add(self, accounts: Iterable[str]) -> None:
        known = set(self.accounts)
        self.accounts += [account for account in dict.fromkeys(accounts) if account not in known]

    def learn_depositors(self, first: int, last: int) -> None:
        """Add every account that deposited in the blocks `first` to `last`."""
        logs = self._node.one(
            "eth_getLogs",
            {"address": self._at["vault"], "topics": [DEPOSITED], "fromBlock": hex(first), "toBlock": hex(last)},
        )
        self._add(address(log["topics"][2]) for log in logs)

    def read(self, number: int) -> BlockFacts:
        """Return everything the protocol says at block `number`; the block must exist."""
        started = time.perf_counter()
        tag = hex(number)
        header, receipts = (
            result(reply, f"block {number}")
            for reply in self._node.batch([("eth_getBlockByNumber", [tag, True]), ("eth_getBlockReceipts", [tag])])
        )
        logs = [log for receipt in receipts for log in receipt["logs"]]
        self._add(address(log["topics"][2]) for log in self._events(logs, "vault", DEPOSITED))
        index_price, mark_price, views = self._views(tag)
        return BlockFacts(
            number=number,
            hash=header["hash"],
            parent_hash=header["parentHash"],
            timestamp=int(header["timestamp"], 16),
            index_price=index_price,
            mark_price=mark_price,
            views=views,
            liquidations=tuple(self._liquidations(logs)),
            bad_debt=sum(int(log["data"], 16) for log in self._events(logs, "vault", BAD_DEBT_SETTLED)),
            parameter_updates=self._parameter_updates(receipts),
            keeper_transactions=tuple(self._keeper_transactions(header["transactions"], receipts)),
            read_seconds=time.perf_counter() - started,
        )

    def refusal(self, account: str, base_token: str, number: int) -> str | None:
        """Return why `liquidate` from the keeper would revert on top of block `number`; None if it would not."""
        call = {
            "from": self.keeper,
            "to": self._at["clearing_house"],
            "data": call_data(LIQUIDATE, account, base_token),
        }
        reply = self._node.batch([("eth_call", [call, hex(number)])])[0]
        return str(reply["error"].get("message", reply["error"])) if "error" in reply else None

    def _views(self, tag: str) -> tuple[int, int, dict[str, View]]:
        prices = [
            (self._markets[0], call_data("getIndexPrice(uint256)", 0)),
            (self._at["account_balance"], call_data("getMarkPrice(address)", self._markets[0])),
        ]
        asked = [
            (self._at[contract], call_data(signature, account))
            for account in self.accounts
            for contract, signature in ACCOUNT_VIEWS
        ]
        index_price, mark_price, *words = self._words(prices + asked, tag)
        rows = [words[i : i + len(ACCOUNT_VIEWS)] for i in range(0, len(words), len(ACCOUNT_VIEWS))]
        sizes = iter(self._words(self._size_calls([row[0] for row in rows]), tag))
        views = {
            account: View(
                account_value=value,
                margin_requirement=requirement,
                initial_margin=debt * self._im_ratio // HUNDRED_PERCENT,
                has_order=bool(has_order),
                liquidatable_in=tuple(market for market in self._markets if next(sizes) != 0),
            )
            for account, (value, requirement, debt, has_order) in zip(self.accounts, rows, strict=True)
        }
        return index_price, mark_price, views

    def _size_calls(self, account_values: Sequence[int]) -> list[tuple[str, str]]:
        scale = 10 ** (18 - self.settlement_decimals)
        signature = "getLiquidatablePositionSize(address,address,int256)"
        return [
            (self._at["account_balance"], call_data(signature, account, market, value * scale))
            for account, value in zip(self.accounts, account_values, strict=True)
            for market in self._markets
        ]

    def _words(self, calls: Sequence[tuple[str, str]], tag: str) -> list[int]:
        replies = self._node.batch([("eth_call", [{"to": to, "data": data}, tag]) for to, data in calls])
        return [word(r, f"{to} {data[:74]} at {tag}") for r, (to, data) in zip(replies, calls, strict=True)]

    def _events(self, logs: Iterable[Mapping[str, Any]], contract: str, topic: str) -> list[Mapping[str, Any]]:
        at = self._at[contract]
        return [log for log in logs if log["address"].lower() == at and log["topics"][:1] == [topic]]

    def _liquidations(self, logs: Iterable[Mapping[str, Any]]) -> Iterable[Liquidation]:
        for log in self._events(logs, "clearing_house", POSITION_LIQUIDATED):
            notional, _size, _fee, liquidator = (log["data"][2 + 64 * i : 66 + 64 * i] for i in range(4))
            account, base_token = address(log["topics"][1]), address(log["topics"][2])
            yield Liquidation(account, base_token, int(notional, 16), address(liquidator))

    def _parameter_updates(self, receipts: Iterable[Mapping[str, Any]]) -> int:
        setters = (self._at["collateral_manager"], self._at["clearing_house_config"])
        return sum(
            log["address"].lower() in setters and log["topics"][0] in PARAMETERS_CHANGED
            for receipt in receipts
            if receipt["from"].lower() == self.keeper
            for log in receipt["logs"]
        )

    def _keeper_transactions(
        self, transactions: Iterable[Mapping[str, Any]], receipts: Iterable[Mapping[str, Any]]
    ) -> Iterable[Transaction]:
        succeeded = {receipt["transactionHash"]: int(receipt["status"], 16) == 1 for receipt in receipts}
        for transaction in transactions:
            if transaction["from"].lower() != self.keeper:
                continue
            data = transaction["input"]
            liquidates = (address(data[10:74]), address(data[74:138])) if data[:10] in LIQUIDATIONS else None
            yield Transaction(transaction["hash"], succeeded[transaction["hash"]], liquidates)
