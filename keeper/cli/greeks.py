"""`keeper greeks`: what a book in a file gains and loses by small moves."""

from enum import StrEnum
from typing import Annotated

import typer

from engine.aggregate import ALL, NAMES, greeks_by
from engine.book import Instruments
from keeper.cli.books import BookPath, load, refusals
from keeper.cli.show import AsJson, Cell, emit, table


class By(StrEnum):
    account = "account"
    underlying = "underlying"
    expiry = "expiry"


Grouping = Annotated[By | None, typer.Option("--by", help="Sum by this; without it every account, underlying, expiry.")]


def greeks_of_book(book: BookPath, by: Grouping = None, json: AsJson = False) -> None:
    """List the Greeks of a book: delta and gamma by spot, vega by vol, theta by day, vanna and volga.

    Delta in units of the underlying, gamma per USD of spot, the rest in USD: vega per 1.00 of vol, theta per day. Vols
    stay with their strikes. For example:

    keeper greeks docs/examples/book.json --by expiry
    """
    file = load(book)
    with refusals(book):
        report = greeks_by(file.book, file.market)
    if by is not None:
        report = report.summed(by.value)
    rows: list[dict[str, Cell]] = [
        {
            "account": _name(file.book.accounts, int(report.account[g])),
            "underlying": file.book.instruments.underlyings[report.underlying[g]],
            "expiry": _expiry(file.book.instruments, int(report.expiry[g])),
            **{name: float(getattr(report, name)[g]) for name in NAMES},
        }
        for g in range(report.delta.size)
    ]
    if json:
        emit({"time": file.time, "by": None if by is None else by.value, "greeks": rows})
    else:
        shown = [tuple({**row, "gamma": f"{row['gamma']:.3g}"}.values()) for row in rows]  # of 1e-5: decimals hide it
        table("Greeks", ("account", "underlying", "expiry", *NAMES), shown)


def _name(names: tuple[str, ...], row: int) -> str:
    return "all" if row == ALL else names[row]


def _expiry(instruments: Instruments, row: int) -> str:
    return "spot/perp" if row == -1 else _name(instruments.expiries, row)
