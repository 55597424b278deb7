"""The live view of the demo: block, price, endangered accounts, actions; plain lines where there is no terminal."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

LINES_EVERY = 9  # blocks between two lines without a terminal
SHOWN = 8


class View:
    """Writes to `console`; quiet when there is none."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown = -1

    @contextmanager
    def open(self) -> Iterator["View"]:
        if self._console is None or not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, refresh_per_second=8, transient=True) as self._live:
            yield self

    def say(self, line: str) -> None:
        if self._console is not None:
            self._console.print(f"[bold cyan]·[/] {line}")

    def show(self, seen: Mapping[str, Any]) -> None:
        """Show the witness's progress of one block."""
        if self._console is None or seen["block"] == self._shown:
            return
        if self._live is not None:
            self._live.update(_screen(seen))
        elif seen["block"] % LINES_EVERY == 0:
            self._console.print(_headline(seen), highlight=False)
        self._shown = seen["block"]


def _headline(seen: Mapping[str, Any]) -> str:
    if "prices" in seen:  # of the reference venue
        prices = "  ".join(f"{symbol} {price:,.2f}" for symbol, price in seen["prices"].items())
        done = f"in auction {seen['in_auction']}  publications {seen['publications']}"
    else:
        prices = f"BTC {seen['index']:,.2f}  mark {seen['mark']:,.2f}"
        done = f"parameter updates {seen['parameter_updates']}"
    return (
        f"block {seen['block']}  {prices}  endangered {len(seen['endangered'])}  liquidated {seen['liquidated']}  "
        f"missed {seen['missed']}  reverted {seen['reverted']}  {done}"
    )


def _screen(seen: Mapping[str, Any]) -> Group:
    accounts = Table(title="endangered accounts", title_justify="left", header_style="bold")
    for column in ("account", "equity USD", "MM USD"):
        accounts.add_column(column, justify="left" if column == "account" else "right")
    for row in seen["endangered"][:SHOWN]:
        accounts.add_row(row["account"], f"{row['account_value']:,.2f}", f"{row['requirement']:,.2f}")
    actions = "\n".join(f"  {action}" for action in seen["last_actions"])
    at = datetime.fromtimestamp(seen["timestamp"], UTC).strftime("%Y-%m-%d %H:%M")
    return Group(Text(f"{at}  {_headline(seen)}"), accounts, Text(f"actions\n{actions}"))
