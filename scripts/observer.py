"""The demo's independent witness: it asks the protocol's own views about every account at every block.

    python scripts/observer.py --rpc URL --deployment FILE.json --journal FILE.sqlite --out FILE.json
                               [--progress FILE.json] [--until-file FILE] [--from-block N] [--hour-origin SECONDS]

It imports nothing of the keeper or the engine. It follows every block in order, none skipped, until the file
named by --until-file appears (or SIGTERM or SIGINT arrives), then reads the keeper's journal once and compares.
Definitions are in docs/demo.md. Exit code 1 when it could not answer for a block or had nothing to compare.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import observer_rules as rules
import observer_run
import orjson
from eth_utils.address import to_checksum_address
from observer_chain import BlockFacts, Protocol, View
from observer_node import Node, ObserverError
from observer_rules import WAD_DECIMALS, Comparison, Row, Statement, Streaks

INSURANCE_EMPTY = "CH_IIC"  # the protocol's own revert: loss beyond collateral and no insurance fund to carry it
HOUR = 3600


def streaks() -> Streaks:
    return Streaks({INSURANCE_EMPTY: "insurance_empty"})


@dataclass(slots=True)
class Tally:
    """Everything counted so far. `views` keeps what the protocol said, by block hash, for the final comparison."""

    keeper: str
    settlement_decimals: int
    hour_origin: int | None = None  # None: the first block's timestamp
    streaks: Streaks = field(default_factory=streaks)
    views: dict[str, Mapping[str, View]] = field(default_factory=dict)
    last: BlockFacts | None = None
    liquidatable_ever: set[str] = field(default_factory=set)
    liquidated: set[str] = field(default_factory=set)
    newly_liquidatable: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))  # by hour
    reverted: int = 0
    duplicates: int = 0
    parameter_updates: int = 0
    bad_debt: int = 0
    actions: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def take(self, facts: BlockFacts, refusal: Callable[[str], str | None]) -> None:
        if self.last is not None and facts.parent_hash != self.last.hash:
            raise ObserverError(
                f"block {facts.number}: parent {facts.parent_hash} is not {self.last.hash}; reorganised"
            )
        now = {account for account, view in facts.views.items() if view.liquidatable}
        before = {a for a, view in self.last.views.items() if view.liquidatable} if self.last else set()
        self.liquidatable_ever |= now
        self.newly_liquidatable[self._hour(facts.timestamp)] |= now - before
        self.liquidated |= {done.account for done in facts.liquidations if done.liquidator == self.keeper}
        self.streaks.step(facts.number, now, {done.account for done in facts.liquidations}, refusal)
        asked = Counter(sent.liquidates for sent in facts.keeper_transactions if sent.liquidates)
        self.duplicates += sum(times - 1 for times in asked.values())
        self.reverted += sum(not sent.succeeded for sent in facts.keeper_transactions)
        self.parameter_updates += facts.parameter_updates
        self.bad_debt += facts.bad_debt
        self._note(facts)
        self.views[facts.hash] = facts.views
        self.seconds.append(facts.read_seconds)
        self.last = facts

    def _hour(self, timestamp: int) -> int:
        """Return the hour-step of a block: step n is n - 1 < hours since the origin <= n."""
        if self.hour_origin is None:
            self.hour_origin = timestamp
        return -((self.hour_origin - timestamp) // HOUR)

    def _note(self, facts: BlockFacts) -> None:
        for done in facts.liquidations:
            usd = done.position_notional / 10**18
            self.actions.append(f"{facts.number}: {to_checksum_address(done.account)} liquidated, {usd:,.0f} USD")
        if facts.parameter_updates:
            self.actions.append(f"{facts.number}: {facts.parameter_updates} parameter update(s)")

    def counts(self) -> dict[str, Any]:
        return {
            "blocks": len(self.views),
            "accounts": len(self.last.views) if self.last else 0,
            "liquidatable": len(self.liquidatable_ever),
            "liquidated": len(self.liquidated),
            "missed": len({streak.account for streak in self.streaks.missed}),
            "reverted": self.reverted,
            "parameter_updates": self.parameter_updates,
            "duplicates": self.duplicates,
            "bad_debt_usd": self.bad_debt / 10**self.settlement_decimals,
            "most_liquidatable_in_one_hour": max(map(len, self.newly_liquidatable.values()), default=0),
        }

    def unsettled_bad_debt(self) -> int:
        """Return what accounts owe beyond their equity at the last block, settlement token decimals, >= 0."""
        return sum(max(-view.account_value, 0) for view in self.last.views.values()) if self.last else 0


def compare(journal: Path, seen: Mapping[str, Mapping[str, View]], settlement_decimals: int) -> Comparison:
    """Compare every journalled equity, IM and MM with what the protocol said at the same block."""
    scale = 10 ** (WAD_DECIMALS - settlement_decimals)

    def said(row: Row) -> Statement | None:
        view = seen.get(row.block_hash, {}).get(row.account)
        if view is None:
            return None
        return Statement(view.account_value * scale, view.initial_margin, view.margin_requirement)

    return rules.compare(journal, lambda rows: [said(row) for row in rows])


def progress(tally: Tally, facts: BlockFacts) -> dict[str, Any]:
    scale = 10**tally.settlement_decimals
    endangered = [
        {
            "account": to_checksum_address(account),
            "account_value": view.account_value / scale,
            "requirement": view.margin_requirement / 10**18,
        }
        for account, view in facts.views.items()
        if view.liquidatable
    ]
    return {
        "block": facts.number,
        "timestamp": facts.timestamp,
        "index": facts.index_price / 10**18,
        "mark": facts.mark_price / 10**18,
        "endangered": sorted(endangered, key=lambda row: row["account_value"] - row["requirement"]),
        "last_actions": tally.actions[-8:],
        **tally.counts(),
    }


def report(tally: Tally, compared: Comparison) -> dict[str, Any]:
    reasons = Counter(streak.reason for streak in tally.streaks.closed)
    return {
        **tally.counts(),
        "unsettled_bad_debt_usd": tally.unsettled_bad_debt() / 10**tally.settlement_decimals,
        "max_rel_diff": compared.max_rel_diff,
        "comparisons": compared.comparisons,
        "worst_comparison": compared.worst,
        "reasons": {reason: reasons[reason] for reason in ("recovered", "insurance_empty", "ended")},
        "missed_detail": [
            {**asdict(streak), "account": to_checksum_address(streak.account)} for streak in tally.streaks.missed
        ],
        "journal": {
            "ticks": compared.ticks,
            "rows_by_status": dict(compared.status),
            "rows_unseen": compared.unseen,
            "status_disagreements": compared.status_disagreements,
        },
        "block_ms": observer_run.milliseconds(tally.seconds),
    }


@dataclass(frozen=True, slots=True)
class Curie:
    """The watcher of Perp Curie."""

    protocol: Protocol
    tally: Tally

    def take(self, number: int) -> dict[str, Any]:
        facts = self.protocol.read(number)

        def refusal(account: str) -> str | None:
            """Return the refusal only if every endangered market of the account refuses for want of insurance."""
            markets = facts.views[account].liquidatable_in
            answers = [self.protocol.refusal(account, market, facts.number) for market in markets]
            return next((a for a in answers if a is None or INSURANCE_EMPTY not in a), answers[0])

        self.tally.take(facts, refusal)
        return progress(self.tally, facts)

    def finish(self, number: int) -> None:
        self.tally.streaks.finish(number)

    def report(self, journal: Path) -> dict[str, Any]:
        return report(self.tally, compare(journal, self.tally.views, self.tally.settlement_decimals))


def opened(node: Node, options: argparse.Namespace) -> observer_run.Opened:
    deployment = orjson.loads(options.deployment.read_bytes())
    protocol = Protocol(node, deployment)
    first = node.head() if options.from_block is None else options.from_block
    protocol.learn_depositors(int(deployment["start_block"]), first)
    return Curie(protocol, Tally(protocol.keeper, protocol.settlement_decimals, options.hour_origin)), first


def main(arguments: list[str] | None = None) -> int:
    return observer_run.main("Independent witness of a keeper run on Perp Curie.", opened, arguments)


if __name__ == "__main__":
    sys.exit(main())
