"""`keeper run` and `keeper once`: the loop, and one turn of it."""

import logging
import signal
import threading
from collections import Counter
from typing import Annotated

import typer

from keeper.app import App, configured, open_app, refresh_volatility
from keeper.cli.show import DEFAULT_CONFIG, AsJson, ConfigPath, emit, table
from keeper.errors import ExitCode, KeeperError
from keeper.jobs import Jobs
from keeper.loop import Tick
from keeper.loop import run as run_loop
from keeper.loop import tick as run_tick

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what every step does.")]


def run(config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False, verbose: Verbose = False) -> None:
    """Follow the chain and act on every new block until stopped with Ctrl-C or SIGTERM.

    [dim]What it may sign is decided by signer.mode: observe (default) and shadow sign nothing. A stopped or killed
    keeper is simply started again: it settles what is open before it does anything new.[/]
    """
    _log_to_stderr(verbose)
    with open_app(configured(config)) as app, _jobs(app):
        stop_on_signals(app.stop)
        run_loop(app.world, lambda seen: _report(seen, app, json), lambda error: _report_error(error, json))


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGINT or SIGTERM.

    From a thread of its own: the handler runs in the main thread, which may hold the event's lock in that moment.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=stop.set, name="stop", daemon=True).start())


def once(config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False, verbose: Verbose = False) -> None:
    """Carry the newest block through the whole line once: read, margin, decide, journal, and, in mode live, send.

    Exit code 7 says that the tick ran but some account is unknown.
    """
    _log_to_stderr(verbose)
    with open_app(configured(config)) as app:
        refresh_volatility(app)
        seen = run_tick(app.world.heads.newest(), app.world)
        status = app.world.executor.status()
    if json:
        emit({**summary(seen), "sending": status})
    else:
        _print_tick(seen)
    if any(v.status == "unknown" for v in seen.verdicts):
        raise typer.Exit(int(ExitCode.UNHEALTHY))


def summary(seen: Tick) -> dict[str, object]:
    """Return one tick as plain values; the line `keeper run --json` prints."""
    counts = Counter(v.status for v in seen.verdicts)
    return {
        "block": seen.head.block.number,
        "block_hash": seen.head.block.hash,
        "timestamp": seen.head.block.timestamp,
        "skipped_heads": seen.head.skipped,
        "reorged": seen.head.reorged,
        "stands": seen.stands,
        "accounts": len(seen.verdicts),
        "healthy": counts["healthy"],
        "endangered": counts["endangered"],
        "unknown": counts["unknown"],
        "plans": [{"kind": p.kind, "subject": p.subject} for p in seen.plans],
        "quotes": {q.symbol: q.fault or "good" for q in seen.quotes},
        "crosscheck": dict(seen.sight.crosscheck()),
        "latency_ms": {stage: round(spent, 2) for stage, spent in seen.latency_ms.items()},
    }


def _jobs(app: App) -> Jobs:
    return Jobs(app.journal, app.config, lambda: refresh_volatility(app), sending=app.world.executor.status)


def _report(seen: Tick, app: App, json: bool) -> None:
    if json:
        emit({**summary(seen), "sending": app.world.executor.status()})
        return
    counts = Counter(v.status for v in seen.verdicts)
    if not seen.stands:
        typer.echo(f"block {seen.head.block.number}  replaced while it was read: tick discarded")
        return
    typer.echo(
        f"block {seen.head.block.number}  {len(seen.verdicts)} accounts  {counts['endangered']} endangered  "
        f"{counts['unknown']} unknown  {len(seen.plans)} plans  {seen.latency_ms.get('total', 0.0):.0f} ms"
    )


def _report_error(error: KeeperError, json: bool) -> None:
    if json:
        emit({"error": str(error)})


def _print_tick(seen: Tick) -> None:
    counts = Counter(v.status for v in seen.verdicts)
    table(
        f"Block {seen.head.block.number}",
        ("accounts", "healthy", "endangered", "unknown", "plans"),
        [(len(seen.verdicts), counts["healthy"], counts["endangered"], counts["unknown"], len(seen.plans))],
    )
    if seen.plans:
        rows = [(p.kind.replace("_", " "), p.subject, p.why) for p in seen.plans]
        table("Plans", ("kind", "subject", "why"), rows)
    if seen.holds:
        table("Left alone", ("subject", "reason"), [(h.subject, h.reason) for h in seen.holds])


def _log_to_stderr(verbose: bool) -> None:
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for chatty in ("urllib3", "alembic", "apscheduler"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
