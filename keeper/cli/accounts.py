"""`keeper accounts` and `keeper explain`: what stands now, and why something was or was not done."""

from collections.abc import Sequence
from dataclasses import astuple
from enum import StrEnum
from typing import Annotated

import typer

from keeper.abi import checksummed
from keeper.app import configured, open_app
from keeper.cli.show import DEFAULT_CONFIG, AsJson, Cell, ConfigPath, emit, table
from keeper.errors import KeeperError
from keeper.journal import Decision, MarginAt
from keeper.loop import Tick, look
from keeper.snapshot import Verdict
from keeper.stages import Stages
from keeper.units import WAD_DECIMALS, to_float

RECENT = 12


class SortBy(StrEnum):
    health = "health"
    equity = "equity"
    shortfall = "shortfall"
    account = "account"


Sort = Annotated[SortBy, typer.Option("--sort", help="Order of the rows; the most endangered or smallest first.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many rows to print.")]
Address = Annotated[str, typer.Argument(help="The account's address, checksummed or not.", metavar="ACCOUNT")]


def accounts(
    config: ConfigPath = DEFAULT_CONFIG, sort: Sort = SortBy.health, limit: Limit = 1_000_000, json: AsJson = False
) -> None:
    """List every account of the venue at the newest block with equity, margins and health. Signs and sends nothing."""
    seen = _look_now(config)
    rows = sorted(seen.verdicts, key=lambda v: _key(v, sort))[:limit]
    if json:
        emit({"block": seen.head.block.number, "accounts": [_row(v) for v in rows]})
        return
    table(
        f"{seen.sight.venue} at block {seen.head.block.number}, USD",
        ("account", "status", "health", "equity", "IM", "MM", "excess", "reason"),
        [(v.account, v.status, v.health, v.equity, v.im, v.mm, v.equity - v.mm, v.reason or None) for v in rows],
    )


def explain(account: Address, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """Say what an account holds and is worth now, and why it was or was not acted on in the past."""
    try:
        owner, slash, sub = account.partition("/")
        address = checksummed(owner) + slash + sub
    except ValueError as e:
        raise typer.BadParameter(f"expected an address of 20 bytes in hex, found {account!r}") from e
    with open_app(configured(config), signing=False) as app:
        seen = look(app.world.heads.newest(), app.world, Stages())
        decisions = app.journal.decisions(address, RECENT)
        history = app.journal.history(address, RECENT)
    verdict = next((v for v in seen.verdicts if v.account == address), None)
    if verdict is None:
        raise KeeperError(
            f"{address}: expected one of the {len(seen.verdicts)} accounts of {seen.sight.venue}, found no event that "
            "introduces it; check the address, venue.clearing_house and venue.start_block"
        )
    parts = [astuple(part) for part in seen.sight.parts(address)]
    now = [h.reason for h in seen.holds if h.subject == address]
    planned = [p for p in seen.plans if p.subject == address]
    verdict_now = "would be liquidated now" if planned else "; ".join(now) or f"{verdict.status}: nothing to do"
    if json:
        emit(
            {
                "block": seen.head.block.number,
                **_row(verdict),
                "decision": verdict_now,
                "positions": [dict(zip(POSITION_COLUMNS, row, strict=True)) for row in parts],
                "history": [_past(m) for m in history],
                "decisions": [_decision(d) for d in decisions],
            }
        )
        return
    _print_explained(seen, verdict, parts, verdict_now, decisions, history)


POSITION_COLUMNS = ("what", "amount", "price", "value", "source")


def _print_explained(
    seen: Tick,
    verdict: Verdict,
    parts: Sequence[tuple[Cell, ...]],
    verdict_now: str,
    decisions: tuple[Decision, ...],
    history: tuple[MarginAt, ...],
) -> None:
    table(
        f"{verdict.account} at block {seen.head.block.number}: {verdict_now}",
        ("status", "health", "equity", "IM", "MM", "decided by"),
        [(verdict.status, verdict.health, verdict.equity, verdict.im, verdict.mm, _arbiter(verdict))],
    )
    table("Holds, USD", POSITION_COLUMNS, parts)
    past = [_past(m) for m in history]
    table("Margin before", ("block", "status", "health", "equity", "mm"), [tuple(p.values())[:5] for p in past])
    columns = ("block", "what", "outcome", "cause", "cost, ether", "gain, USD")
    table("Decisions", columns, [tuple(_decision(d).values())[: len(columns)] for d in decisions])


def _arbiter(verdict: Verdict) -> str:
    return "the venue's integers" if verdict.exact else "the engine"


def _look_now(config: ConfigPath) -> Tick:
    with open_app(configured(config), signing=False) as app:
        return look(app.world.heads.newest(), app.world, Stages())


def _key(v: Verdict, sort: SortBy) -> tuple[int, float | str]:
    """Unknown accounts come first: they are the ones nobody may call healthy. Then the endangered, worst first."""
    if sort is SortBy.account:
        return 2, v.account
    if v.status == "unknown":
        return 0, 0.0
    if sort is SortBy.health and v.status == "endangered":
        return 1, v.health
    return 2, {SortBy.health: v.health, SortBy.equity: v.equity, SortBy.shortfall: v.equity - v.mm}[sort]


def _row(v: Verdict) -> dict[str, Cell]:
    return {
        "account": v.account,
        "status": v.status,
        "health": v.health,
        "equity": v.equity,
        "im": v.im,
        "mm": v.mm,
        "excess": v.equity - v.mm,
        "exact": v.exact,
        "reason": v.reason,
    }


def _past(m: MarginAt) -> dict[str, Cell]:
    row = m.margin
    return {
        "block": m.block_number,
        "status": row.status,
        "health": row.health,
        "equity": row.equity,
        "mm": row.mm,
        "timestamp": m.timestamp,
    }


def _decision(d: Decision) -> dict[str, Cell]:
    if d.intent is None:
        cause = d.hold.reason if d.hold else ""
        nothing: dict[str, Cell] = {"cost_ether": None, "gain_usd": None}
        return {"block": d.block_number, "what": "left alone", "outcome": "-", "cause": cause, **nothing}
    return {
        "block": d.block_number,
        "what": d.intent.plan.kind,
        "outcome": d.intent.status,
        "cause": d.intent.cause,
        "cost_ether": None if d.cost is None else to_float(d.cost, WAD_DECIMALS),
        "gain_usd": d.gain_usd,
        "transactions": ", ".join(_transactions(d)),
    }


def _transactions(d: Decision) -> list[str]:
    older = [f"{a.tx_hash} nonce {a.nonce} {a.status}" for a in d.older]
    signed = [
        f"{a.tx_hash} nonce {trail.slot.nonce} {a.kind} {trail.fate(a)}" for trail in d.trails for a in trail.attempts
    ]
    return older + signed
