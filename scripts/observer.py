"""The demo's independent witness: it asks the protocol's own views about every account at every block.

    python scripts/observer.py --rpc URL --deployment FILE.json --journal FILE.sqlite --out FILE.json
                               [--progress FILE.json] [--until-file FILE] [--from-block N] [--hour-origin SECONDS]

It imports nothing of the keeper or the engine. It follows every block in order, none skipped, until the file
named by --until-file appears (or SIGTERM or SIGINT arrives), then reads the keeper's journal once and compares.
Definitions are in docs/demo.md. Exit code 1 when it could not answer for a block or had nothing to compare.
"""

import argparse
import math
import signal
import sqlite3
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from eth_utils.address import to_checksum_address
from observer_chain import BlockFacts, Node, ObserverError, Protocol, View

MISSED_AFTER = 4  # consecutive blocks
INSURANCE_EMPTY = "CH_IIC"  # the protocol's own revert: loss beyond collateral and no insurance fund to carry it
POLL_SECONDS = 0.02
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Streak:
    """A run of blocks at which one account was liquidatable, and how it ended."""

    account: str
    first_block: int
    last_block: int
    reason: str  # liquidated, recovered, insurance_empty, ended or missed
    detail: str = ""


@dataclass(slots=True)
class _Open:
    first_block: int
    blocks: int = 0
    missed: bool = False  # already counted; waits for the streak to break


class Streaks:
    """Decides which accounts were missed: liquidatable at four consecutive blocks, no liquidation mined in them."""

    def __init__(self) -> None:
        self.closed: list[Streak] = []
        self._open: dict[str, _Open] = {}

    def step(
        self, block: int, liquidatable: set[str], liquidated: set[str], refusal: Callable[[str], str | None]
    ) -> None:
        """Take one block: who is liquidatable after it, whose liquidation was mined in it.

        A liquidation, even a partial one, restarts the count with the next block. `refusal` is asked only
        when a streak reaches four blocks: why the protocol would refuse the liquidation, None if it would not.
        """
        for account in sorted(liquidated | (self._open.keys() - liquidatable)):
            self._close(account, block, "liquidated" if account in liquidated else "recovered")
        for account in sorted(liquidatable - liquidated):
            streak = self._open.setdefault(account, _Open(first_block=block))
            streak.blocks += 1
            if streak.blocks == MISSED_AFTER:
                self._judge(account, streak, block, refusal(account))

    def finish(self, block: int) -> None:
        """Close what is open: the run ended before these streaks reached four blocks."""
        for account in sorted(self._open):
            self._close(account, block, "ended")

    @property
    def missed(self) -> list[Streak]:
        return [streak for streak in self.closed if streak.reason == "missed"]

    def _judge(self, account: str, streak: _Open, block: int, refusal: str | None) -> None:
        if refusal is not None and INSURANCE_EMPTY in refusal:
            self._close(account, block, "insurance_empty")
            return
        self.closed.append(
            Streak(account, streak.first_block, block, "missed", refusal or "the protocol would have accepted it")
        )
        streak.missed = True

    def _close(self, account: str, block: int, reason: str) -> None:
        streak = self._open.pop(account, None)
        if streak is not None and not streak.missed:
            self.closed.append(Streak(account, streak.first_block, block, reason))


@dataclass(slots=True)
class Tally:
    """Everything counted so far. `views` keeps what the protocol said, by block hash, for the final comparison."""

    keeper: str
    settlement_decimals: int
    hour_origin: int | None = None  # None: the first block's timestamp
    streaks: Streaks = field(default_factory=Streaks)
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


@dataclass(slots=True)
class Comparison:
    """The keeper's journal against the protocol's own numbers at the same block hash."""

    comparisons: int = 0
    max_rel_diff: float | None = None  # |a - b| / max(1 USD, |b|); None: nothing compared
    worst: dict[str, Any] | None = None
    ticks: int = 0
    unseen: int = 0  # rows of blocks or accounts the observer did not read
    status: Counter[str] = field(default_factory=Counter)
    status_disagreements: int = 0  # endangered <=> account value < margin requirement

    def add(self, field_name: str, found: float | None, exact: int, decimals: int, at: dict[str, Any]) -> None:
        expected = exact / 10**decimals
        usable = found is not None and math.isfinite(found)
        difference = (
            abs(found - expected) / max(1.0, abs(expected)) if usable and found is not None else sys.float_info.max
        )
        self.comparisons += 1
        if self.max_rel_diff is None or difference > self.max_rel_diff:
            self.max_rel_diff = difference
            self.worst = {**at, "field": field_name, "keeper": found, "protocol": expected}


def compare(journal: Path, seen: Mapping[str, Mapping[str, View]], settlement_decimals: int) -> Comparison:
    """Compare every journalled equity, IM and MM with what the protocol said at the same block."""
    result = Comparison()
    if not journal.exists():
        return result
    with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True)) as database:
        (result.ticks,) = database.execute("SELECT count(*) FROM ticks").fetchone()
        rows = database.execute(
            "SELECT t.block_number, t.block_hash, m.account, m.equity, m.im, m.mm, m.status"
            " FROM margins m JOIN ticks t ON t.id = m.tick_id"
        )
        for number, block_hash, account, equity, im, mm, status in rows:
            result.status[status] += 1
            view = seen.get(block_hash.lower(), {}).get(account.lower())
            if view is None:
                result.unseen += 1
            elif status != "unknown":
                at = {"block": number, "account": account}
                result.add("equity", equity, view.account_value, settlement_decimals, at)
                result.add("mm", mm, view.margin_requirement, 18, at)
                result.add("im", im, view.initial_margin, 18, at)
                below = view.account_value * 10 ** (18 - settlement_decimals) < view.margin_requirement
                agrees = (status == "endangered") == below
                result.status_disagreements += not agrees
    return result


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace `path` atomically: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    temporary.replace(path)


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
    milliseconds = sorted(1000 * s for s in tally.seconds) * (2 if len(tally.seconds) == 1 else 1)
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive") if milliseconds else []
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
        "block_ms": {"p50": cuts[49], "p95": cuts[94]} if cuts else None,
    }


def follow(
    protocol: Protocol, node: Node, tally: Tally, first: int, stop: Callable[[], bool], out: Path | None
) -> None:
    """Read every block from `first` to the head at the moment `stop` says so."""
    number, last = first, None
    while last is None or number <= last:
        if last is None and stop():
            last = node.head()
            continue
        # only what is no longer the head: Anvil may serve its head from the state of the block it is mining
        if last is None and number >= node.head():
            time.sleep(POLL_SECONDS)
            continue
        facts = protocol.read(number)

        def refusal(account: str, facts: BlockFacts = facts) -> str | None:
            """Return the refusal only if every endangered market of the account refuses for want of insurance."""
            answers = [protocol.refusal(account, m, facts.number) for m in facts.views[account].liquidatable_in]
            return next((a for a in answers if a is None or INSURANCE_EMPTY not in a), answers[0])

        tally.take(facts, refusal)
        if out is not None:
            write_json(out, progress(tally, facts))
        number += 1
    tally.streaks.finish(last)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Independent witness of a keeper run on Perp Curie.")
    parser.add_argument("--rpc", required=True)
    parser.add_argument("--deployment", required=True, type=Path)
    parser.add_argument("--journal", required=True, type=Path, help="the keeper's SQLite journal, opened read-only")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--progress", type=Path, help="rewritten after every block")
    parser.add_argument("--until-file", type=Path, help="stop at the head of the moment this file appears")
    parser.add_argument("--from-block", type=int, help="first block to read; the head by default")
    parser.add_argument(
        "--hour-origin", type=int, help="hour-steps begin after this block time; the first block's by default"
    )
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    deployment = orjson.loads(options.deployment.read_bytes())
    try:
        node = Node(options.rpc)
        protocol = Protocol(node, deployment)
        first = node.head() if options.from_block is None else options.from_block
        protocol.learn_depositors(int(deployment["start_block"]), first)
        tally = Tally(protocol.keeper, protocol.settlement_decimals, options.hour_origin)
        until: Path | None = options.until_file
        follow(
            protocol,
            node,
            tally,
            first,
            lambda: bool(stopping) or (until is not None and until.exists()),
            options.progress,
        )
    except ObserverError as error:
        print(f"observer: {error}", file=sys.stderr)
        return 1
    compared = compare(options.journal, tally.views, tally.settlement_decimals)
    write_json(options.out, report(tally, compared))
    if compared.comparisons == 0:
        print(f"observer: {options.journal}: nothing to compare; did the keeper tick?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
