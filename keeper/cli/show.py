"""Tables for people, JSON for programs: every command prints one or the other from the same rows."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ConfigPath = Annotated[
    Path, typer.Option("--config", "-c", help="TOML configuration; keeper.example.toml explains every key.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
DEFAULT_CONFIG = Path("keeper.toml")
STYLES = {"healthy": "green", "endangered": "bold red", "unknown": "bold yellow"}

Cell = str | int | float | bool | None


def emit(answer: object) -> None:
    """Print one JSON document on one line. Infinity and NaN become null."""
    typer.echo(orjson.dumps(_plain(answer)).decode())


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows as a table, numbers right-aligned."""
    shown = Table(title=escape(title), title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(cell(c) for c in row))
    Console().print(shown)


def cell(c: Cell) -> str:
    if c is None:
        return "-"
    if isinstance(c, bool):
        return "yes" if c else "no"
    if isinstance(c, float):
        if not math.isfinite(c):
            return "?" if math.isnan(c) else "∞" if c > 0.0 else "−∞"
        return f"{c:,.4f}" if abs(c) < 10 else f"{c:,.2f}"
    return f"[{STYLES[c]}]{c}[/]" if c in STYLES else escape(str(c))


def _plain(answer: object) -> object:
    if isinstance(answer, float) and not math.isfinite(answer):
        return None
    if isinstance(answer, Mapping):
        return {key: _plain(inner) for key, inner in answer.items()}
    if isinstance(answer, list | tuple):
        return [_plain(inner) for inner in answer]
    return answer
