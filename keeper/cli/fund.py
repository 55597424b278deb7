"""`keeper fund`: where the insurance fund's money came from and went, and whether it is all there."""

from collections import Counter
from typing import Annotated

import typer

from keeper.app import configured, open_chain
from keeper.cli.show import DEFAULT_CONFIG, AsJson, ConfigPath, emit, table
from keeper.errors import ExitCode, UsageError
from keeper.reference.fund import Books, read_books

Events = Annotated[bool, typer.Option("--events", help="List every event, oldest first.")]


def fund(config: ConfigPath = DEFAULT_CONFIG, events: Events = False, json: AsJson = False) -> None:
    """Sum every event of the fund and of the bad debt since the venue's deployment, and compare with what is there.

    Exit code 1 says that they differ, by how little ever.
    """
    found = configured(config)
    if found.venue.name != "reference":
        raise UsageError(f"--config: expected a reference venue, found {found.venue.name}; others keep no such events")
    rpc = open_chain(found)
    books = read_books(rpc, found.venue.clearing_house, found.venue.start_block, rpc.block())
    faults = books.faults()
    if json:
        emit(_plain(books, faults, events=events))
    else:
        _print(books, faults, events=events)
    if faults:
        raise typer.Exit(int(ExitCode.FAILED))


def _sums(books: Books) -> list[tuple[str, str, int, int]]:
    counts = Counter((entry.account, entry.cause) for entry in books.entries)
    return [(account, cause, count, books.total(account, cause)) for (account, cause), count in sorted(counts.items())]


def _plain(books: Books, faults: list[str], *, events: bool) -> dict[str, object]:
    said: dict[str, object] = {
        "block": books.block,
        "fund": str(books.fund),
        "bad_debt": str(books.bad_debt),
        "sums": [
            {"account": account, "cause": cause, "events": count, "wad": str(wad)}
            for account, cause, count, wad in _sums(books)
        ],
        "faults": faults,
    }
    if events:
        said["events"] = [
            {"block": e.block, "log": e.log_index, "account": e.account, "cause": e.cause, "wad": str(e.delta)}
            for e in books.entries
        ]
    return said


def _print(books: Books, faults: list[str], *, events: bool) -> None:
    if events:
        rows = [(e.block, e.account, e.cause, e.delta / 10**18, e.balance / 10**18) for e in books.entries]
        table("Events", ("block", "account", "cause", "USD", "balance after"), rows)
    sums = [(account, cause, count, wad / 10**18) for account, cause, count, wad in _sums(books)]
    table("Since the deployment", ("account", "cause", "events", "USD"), sums)
    held = [("fund", books.fund / 10**18), ("bad debt", -books.bad_debt / 10**18)]
    table(f"At block {books.block}: {'differs' if faults else 'exactly their sum'}", ("account", "USD"), held)
    if faults:
        table("Faults", ("what differs",), [(fault,) for fault in faults])
