"""`keeper demo`: the main job on embedded defaults, watched by an independent witness."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from keeper.cli.show import AsJson, emit, table
from keeper.demo.run import PLAYS, Options, run_demo, shortcomings
from keeper.demo.view import View
from keeper.errors import ExitCode

DEFAULTS = Options()


class ModeName(StrEnum):
    live = "live"
    shadow = "shadow"
    observe = "observe"


class VenueName(StrEnum):
    reference = "reference"
    curie = "curie"


Which = Annotated[VenueName, typer.Option("--venue", help="The reference venue, or Perp Curie's published bytecode.")]
Mode = Annotated[ModeName, typer.Option("--mode", help="The signer's mode; observe shows what happens without us.")]
Seconds = Annotated[float | None, typer.Option("--block-seconds", min=0.05, help="Wall time between blocks.")]
Hours = Annotated[int | None, typer.Option("--hours", min=1, help="Replay only the first hours of the path.")]
KillAt = Annotated[int | None, typer.Option("--kill-at-hour", help="SIGKILL the keeper in this hour, start it again.")]
Folder = Annotated[Path, typer.Option("--folder", help="Where logs, journal and summary.json go.")]


def demo(
    venue: Which = VenueName.reference,
    mode: Mode = ModeName.live,
    block_seconds: Seconds = None,
    hours: Hours = None,
    kill_at_hour: KillAt = None,
    folder: Folder = DEFAULTS.folder,
    json: AsJson = False,
) -> None:
    """Replay the fall of 12 and 13 March 2020 on a local chain and let the keeper work through it.

    Starts Anvil, deploys the reference venue with more than 300 accounts (or Perp Curie with 64 traders), then runs the
    keeper as its own process while an independent observer counts what it missed. Exit code 1 when a full live run
    misses an account, reverts, does too little or disagrees with the venue.
    """
    play = PLAYS[venue.value]
    options = Options(play, folder.resolve(), mode.value, block_seconds, hours=hours, kill_at_hour=kill_at_hour)
    with View(None if json else Console()).open() as view:
        summary = run_demo(options, view)
    if json:
        emit(summary)
    else:
        _print_summary(summary, folder)
    faults = shortcomings(play, summary) if mode is ModeName.live and hours is None else []
    for fault in faults:
        typer.echo(f"demo: {fault}", err=True)
    if faults:
        raise typer.Exit(int(ExitCode.FAILED))


def _print_summary(summary: dict[str, Any], folder: Path) -> None:
    rows = [(name, found) for name, found in summary.items() if isinstance(found, int | float)]
    shown = [(name, f"{found:.3g}" if name == "max_rel_diff" else found) for name, found in rows]
    table("What happened", ("count", "found"), shown)
    stages = [(stage, *quantiles.values()) for stage, quantiles in summary["latency_ms"].items()]
    table("Latency by stage, ms", ("stage", "p50", "p95", "p99"), stages)
    typer.echo(f"summary: {folder}/summary.json   logs: {folder}/*.log")
