"""`keeper margin`: what every account of a book in a file is worth and must have, by any margin model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated

import numpy as np
import typer

from engine.aggregate import NettingBenefit, netting_benefit
from engine.book import Book
from engine.distance import Distances, distances
from engine.margin import MODELS
from engine.margin.base import MarginReport, margin
from engine.revalue import risk_arrays
from engine.scan import profile
from engine.types import UNKNOWN, Floats
from keeper.bookfile import BookFile, model_of
from keeper.cli.books import BookPath, load, named, refusals, row_of
from keeper.cli.show import AsJson, Cell, emit, table
from keeper.errors import ExitCode
from keeper.snapshot import NAMES

Model = Annotated[str, typer.Option("--model", "-m", help=f"The margin rule: {', '.join(MODELS)}.")]
OneAccount = Annotated[str | None, typer.Option("--account", "-a", help="Only this account.", metavar="ID")]
WithDistance = Annotated[bool, typer.Option("--distance", help="How far spot, vol and time are from liquidation.")]
WithHouse = Annotated[bool, typer.Option("--house", help="What all accounts would need as one.")]

MARGIN_COLUMNS = ("account", "status", "health", "equity", "im", "mm", "mm_excess")


def margin_of_book(
    book: BookPath,
    model: Model = "span",
    account: OneAccount = None,
    distance: WithDistance = False,
    house: WithHouse = False,
    json: AsJson = False,
) -> None:
    """Margin the book in a file: equity, IM, MM, health and what decides them, for every account.

    Connects to nothing. The file and the models are described in docs/margin-engine.md. For example:

    keeper margin docs/examples/book.json --model pmrm --distance

    Exit code 7 says that some account is unknown.
    """
    file = load(book)
    rule = model_of(MODELS, model, file, book)
    rows = range(len(file.book.accounts)) if account is None else [row_of(file.book.accounts, account)]
    with refusals(book):
        shown = file.book.take(np.array(rows, np.int64))
        found = Found(
            model=model,
            file=file,
            book=shown,
            report=margin(rule, shown, file.market),
            far=distances(rule, shown, file.market) if distance else None,
            netting=netting_benefit(rule, file.book, file.market) if house else None,
            scenarios=_scenario_pnl(shown, file),
        )
    if json:
        emit(_answer(found))
    else:
        _print(found)
    if (found.report.status == UNKNOWN).any():
        raise typer.Exit(int(ExitCode.UNHEALTHY))


@dataclass(frozen=True, slots=True)
class Found:
    """All that is printed."""

    model: str
    file: BookFile
    book: Book  # the accounts shown
    report: MarginReport
    far: Distances | None
    netting: NettingBenefit | None  # of all accounts
    scenarios: Mapping[str, Floats]  # P&L by name of the file's own scenarios, (A,) USD


def _scenario_pnl(book: Book, file: BookFile) -> Mapping[str, Floats]:
    if file.scenarios is None:
        return {}
    arrays = risk_arrays(book.instruments, file.market, file.scenarios)
    pnl = profile(book.start, book.instrument, book.quantity, arrays.pnl)
    return dict(zip(file.scenarios.names, pnl.T, strict=True))


def _margins(found: Found) -> list[dict[str, Cell]]:
    report = found.report
    with np.errstate(invalid="ignore"):  # of an unknown account it may be ∞ − ∞
        im_excess, mm_excess = report.im_excess, report.mm_excess
    return [
        {
            "account": name,
            "status": NAMES[int(report.status[row])],
            "health": float(report.health[row]),
            "equity": float(report.equity[row]),
            "im": float(report.im[row]),
            "mm": float(report.mm[row]),
            "im_excess": float(im_excess[row]),
            "mm_excess": float(mm_excess[row]),
            "worst": named(report.scenarios, int(report.worst[row])),
            "mark_to_market": float(report.mark_to_market[row]),
            "band": float(report.band[row]),
            "undecided": bool(report.undecided[row]),
        }
        for row, name in enumerate(found.book.accounts)
    ]


def _far(far: Distances | None) -> Mapping[str, Floats]:
    return {} if far is None else {field.name: getattr(far, field.name) for field in fields(far)}


def _answer(found: Found) -> dict[str, object]:
    parts = {
        "contingencies": found.report.contingencies,
        "distance": _far(found.far),
        "scenarios": found.scenarios,
    }
    accounts = [
        {**margins, **{what: _row(columns, row) for what, columns in parts.items() if columns}}
        for row, margins in enumerate(_margins(found))
    ]
    answer: dict[str, object] = {"model": found.model, "time": found.file.time, "accounts": accounts}
    if found.netting is not None:
        answer["house"] = {
            **asdict(found.netting),
            "im_benefit": found.netting.im,
            "mm_benefit": found.netting.mm,
        }
    return answer


def _row(columns: Mapping[str, Floats], row: int) -> dict[str, float]:
    return {name: float(column[row]) for name, column in columns.items()}


def _print(found: Found) -> None:
    margins = _margins(found)
    rows = [tuple(row[column] for column in MARGIN_COLUMNS) for row in margins]
    table(f"{found.model}, USD", ("account", "status", "health", "equity", "IM", "MM", "excess"), rows)
    if found.report.scenarios:
        worst = [(row["account"], row["worst"]) for row in margins]
        table("Decided by", ("account", "worst scenario"), worst)
    parts: list[tuple[Cell, ...]] = [
        (account, name, float(column[row]))
        for row, account in enumerate(found.book.accounts)
        for name, column in found.report.contingencies.items()
        if column[row] != 0.0
    ]
    if parts:
        table("Parts of the margins, USD", ("account", "part", "USD"), parts)
    distance = {name.replace("_", " "): column for name, column in _far(found.far).items()}
    for title, columns in (
        ("P&L in the file's scenarios, USD", found.scenarios),
        ("Liquidation distance: relative moves of spot and vol, days", distance),
    ):
        if columns:
            lines: list[tuple[Cell, ...]] = [
                (name, *_row(columns, row).values()) for row, name in enumerate(found.book.accounts)
            ]
            table(title, ("account", *columns), lines)
    if found.netting is not None:
        n = found.netting
        house: list[tuple[Cell, ...]] = [("IM", n.im_apart, n.im_house, n.im), ("MM", n.mm_apart, n.mm_house, n.mm)]
        table("All accounts as one, USD", ("margin", "sum of the accounts", "as one", "netting benefit"), house)
