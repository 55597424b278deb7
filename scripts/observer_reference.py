"""The reference demo's independent witness: it asks the venue's own views about every account at every block.

    python scripts/observer_reference.py --rpc URL --deployment FILE.json --journal FILE.sqlite --out FILE.json
                                         [--progress FILE.json] [--until-file FILE] [--from-block N]

It imports nothing of the keeper or the engine. Definitions are in docs/demo.md. Exit code 1 when it could not answer
for a block or had nothing to compare.
"""

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import observer_run
import orjson
from observer_events import Facts, facts_of
from observer_node import Node, ObserverError, result
from observer_rules import Comparison, Row, Statement, Streaks, compare
from observer_venue import Venue, View

HOUR = 3600
WAD = 10**18
MANY_LEGS = 8
CLOSE = 1e-9
"""Beyond it, relative, the worst rows are looked for once more: the journal may have one that was not in turn yet."""


@dataclass(slots=True)
class Tally:
    """Everything counted so far; `views` and `numbers` are what is compared at the end, by block hash."""

    keeper: str
    takers: frozenset[str]
    hour_origin: int | None = None
    streaks: Streaks = field(default_factory=lambda: Streaks({}))
    views: dict[str, Mapping[str, View]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    last: Facts | None = None
    now: set[str] = field(default_factory=set)  # liquidatable after the last block
    liquidatable: set[str] = field(default_factory=set)
    started: dict[str, Any] = field(default_factory=dict)  # account -> its view before
    liquidated: set[str] = field(default_factory=set)
    newly: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))  # by hour
    counts: Counter[str] = field(default_factory=Counter)
    bad_debt: int = 0
    fund: list[int] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def take(self, facts: Facts, views: Mapping[str, View], liquidatable: set[str], fund: int) -> None:
        """Count one block: what happened in it, and who is liquidatable after it."""
        if self.last is not None and facts.parent_hash != self.last.hash:
            raise ObserverError(f"block {facts.number}: its parent is not {self.last.hash}; reorganised")
        before = self.views[self.last.hash] if self.last is not None else {}
        self.started |= {name: before.get(name, views[name]) for name in facts.started}
        self.liquidated |= {name for name, taker in facts.taken if taker in self.takers}
        self.liquidatable |= liquidatable
        self.newly[self._hour(facts.timestamp)] |= liquidatable - self.now
        self.streaks.step(facts.number, liquidatable, set(facts.started), lambda _account: None)
        sent = Counter(subject for one in facts.sent for subject in one.subjects)
        self.counts["duplicates"] += sum(times - 1 for times in sent.values())
        self.counts["reverted"] += sum(not one.succeeded for one in facts.sent)
        self.counts["transactions"] += len(facts.sent)
        for name in ("publications", "settlements", "refused_starts", "ended", "reports", "parameter_updates"):
            self.counts[name] += getattr(facts, name)
        self.bad_debt += facts.bad_debt
        self.fund.append(fund)
        self._note(facts)
        self.views[facts.hash], self.numbers[facts.hash] = views, facts.number
        self.last, self.now = facts, liquidatable

    def _hour(self, timestamp: int) -> int:
        """Return the hour-step of a block: step n is n - 1 < hours since the origin <= n."""
        self.hour_origin = timestamp if self.hour_origin is None else self.hour_origin
        return -((self.hour_origin - timestamp) // HOUR)

    def _note(self, facts: Facts) -> None:
        self.actions += [f"{facts.number}: auction of {name} started" for name in facts.started]
        self.actions += [f"{facts.number}: bought of {name}" for name, taker in facts.taken if taker in self.takers]
        if facts.parameter_updates:
            self.actions.append(f"{facts.number}: {facts.parameter_updates} parameters written")
        if facts.publications:
            self.actions.append(f"{facts.number}: arrays of {facts.publications} expiries published")
        del self.actions[:-50]

    def report(self) -> dict[str, Any]:
        """Return the counts."""
        started = list(self.started.values())
        return {
            "blocks": len(self.views),
            "accounts": len(self.views[self.last.hash]) if self.last else 0,
            "liquidatable": len(self.liquidatable),
            "started": len(started),
            "started_with_many_legs": sum(view.held.legs >= MANY_LEGS for view in started),
            "underlyings_started": len({u for view in started for u in view.held.traded}),
            "liquidated": len(self.liquidated),
            "missed": len({streak.account for streak in self.streaks.missed}),
            "most_liquidatable_in_one_hour": max(map(len, self.newly.values()), default=0),
            "bad_debt_usd": self.bad_debt / WAD,
            "fund_usd": [held / WAD for held in (self.fund[0], self.fund[-1])] if self.fund else [],
            **{name: self.counts[name] for name in COUNTED},
        }


COUNTED = (
    "reverted", "duplicates", "transactions", "publications", "settlements", "refused_starts", "ended", "reports",
    "parameter_updates",
)  # fmt: skip


class Reference:
    """The watcher of the reference venue."""

    def __init__(self, node: Node, scene: Mapping[str, Any], hour_origin: int | None) -> None:
        self._node = node
        manifest = scene["manifest"]
        self._at = {name: str(address).lower() for name, address in manifest["contracts"].items()}
        self._at |= {
            made["name"]: made["address"].lower() for made in manifest["deployed"] if made["name"] == "steward"
        }
        self._symbols = [listed["symbol"] for listed in manifest["underlyings"]]
        keeper = str(scene["keeper"]).lower()
        self._venue = Venue(node, self._at, len(manifest["collaterals"]), keeper)
        known = [name for name, _ in scene["traders"]] + scene["makers"] + scene["takers"]
        self._accounts = {name.lower(): number_of(name) for name in known}
        self._worst: dict[str, int] = {}  # rows that the journal was last found right by
        self._searches = 0
        self._tally = Tally(keeper, frozenset(name.lower() for name in scene["takers"]), hour_origin)

    def take(self, number: int) -> dict[str, Any]:
        begun = time.perf_counter()
        tag = hex(number)
        header, receipts = (
            result(reply, f"block {number}")
            for reply in self._node.batch([("eth_getBlockByNumber", [tag, True]), ("eth_getBlockReceipts", [tag])])
        )
        facts = facts_of(header, receipts, self._at, self._tally.keeper)
        self._accounts |= facts.introduced
        views = self._venue.views(number, self._accounts)
        liquidatable = self._venue.startable(views, self._accounts, tag)
        (fund,) = self._venue.words("venue", "fund()", tag)
        self._tally.take(facts, views, liquidatable, fund)
        self._tally.seconds.append(time.perf_counter() - begun)
        return self._progress(facts, views)

    def _progress(self, facts: Facts, views: Mapping[str, View]) -> dict[str, Any]:
        tag = hex(facts.number)
        prices = [self._venue.words("prices", "quote(uint8)", tag, u)[0] / WAD for u in range(len(self._symbols))]
        short = [(name, view.said) for name, view in views.items() if view.below and view.said is not None]
        endangered = [
            {"account": name, "account_value": said.equity / WAD, "requirement": said.mm / WAD} for name, said in short
        ]
        return {
            "block": facts.number,
            "timestamp": facts.timestamp,
            "prices": dict(zip(self._symbols, prices, strict=True)),
            "endangered": sorted(endangered, key=lambda row: row["account_value"] - row["requirement"]),
            "in_auction": sum(view.auction != 0 for view in views.values()),
            "last_actions": self._tally.actions[-8:],
            **self._tally.report(),
        }

    def finish(self, number: int) -> None:
        self._tally.streaks.finish(number)

    def report(self, journal: Path) -> dict[str, Any]:
        compared = compare(journal, self._said)
        reasons = Counter(streak.reason for streak in self._tally.streaks.closed)
        return {
            **self._tally.report(),
            "unsettled_bad_debt_usd": self._owed() / WAD,
            **_shown(compared),
            "searches": self._searches,
            "reasons": {reason: reasons[reason] for reason in ("recovered", "ended")},
            "missed_detail": [asdict(streak) for streak in self._tally.streaks.missed],
            "block_ms": observer_run.milliseconds(self._tally.seconds),
        }

    def _said(self, rows: Sequence[Row]) -> list[Statement | None]:
        """Return what the venue said; by other rows, where the journal's number is none by those known at the block."""
        known = self._tally.views.get(rows[0].block_hash, {})
        views = {row.account: known[row.account] for row in rows if row.account in known}
        if views:
            tag = hex(self._tally.numbers[rows[0].block_hash])
            again = {
                row.account: views[row.account]
                for row in rows
                if row.account in views and _differs(row, views[row.account])
            }
            tried = self._venue.by_rows(again, self._worst, tag)
            unlike = {row.account for row in rows if row.account in again and _differs(row, tried.get(row.account))}
            found = tried | self._venue.searched({name: again[name] for name in unlike}, tag)
            self._worst |= {name: view.rows for name, view in found.items()}
            self._searches += len(unlike)
            views |= found
        return [views[row.account].said if row.account in views else None for row in rows]

    def _owed(self) -> int:
        """Return what accounts owe beyond their equity at the last block, USD wad, >= 0."""
        last = self._tally.last
        views = self._tally.views[last.hash].values() if last else ()
        return sum(max(-view.said.equity, 0) for view in views if view.said is not None)


def _differs(row: Row, view: View | None) -> bool:
    """Whether these rows do not explain the journal's number; no view at all does not either."""
    if view is None:
        return True
    if view.said is None or row.mm is None:
        return False
    return abs(row.mm - view.said.mm / WAD) > CLOSE * max(1.0, row.mm)


def _shown(compared: Comparison) -> dict[str, Any]:
    return {
        "max_rel_diff": compared.max_rel_diff,
        "comparisons": compared.comparisons,
        "worst_comparison": compared.worst,
        "journal": {
            "ticks": compared.ticks,
            "rows_by_status": dict(compared.status),
            "rows_unseen": compared.unseen,
            "status_disagreements": compared.status_disagreements,
        },
    }


def number_of(name: str) -> int:
    """Return an account's id: its owner's address, then 96 bits of sub-account."""
    owner, _, sub = name.partition("/")
    return int(owner, 16) << 96 | int(sub or "0")


def opened(node: Node, options: argparse.Namespace) -> observer_run.Opened:
    scene = orjson.loads(options.deployment.read_bytes())
    first = node.head() if options.from_block is None else options.from_block
    return Reference(node, scene, options.hour_origin), first


def main(arguments: Sequence[str] | None = None) -> int:
    title = "Independent witness of a keeper run on the reference venue."
    return observer_run.main(title, opened, None if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(main())
