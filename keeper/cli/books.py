"""What the commands on book files share: reading one, and turning what the engine refuses into a message."""

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from keeper.bookfile import BookFile, read_book
from keeper.errors import ConfigError, KeeperError

BookPath = Annotated[str, typer.Argument(help="The book, JSON or CSV; - reads standard input.", metavar="BOOK")]


def load(path: str) -> BookFile:
    """Return the book at `path`, or on standard input for "-". Raises ConfigError."""
    source = "standard input" if path == "-" else path
    try:
        text = (_standard_input() if path == "-" else Path(path).read_bytes()).decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{source}: expected a book, found {error.strerror}; docs/examples has some") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: expected text in UTF-8, found: {error}") from error
    return read_book(text, source)


def _standard_input() -> bytes:
    """Return the bytes themselves: the locale, which decides on a text, may let through what is no UTF-8."""
    if sys.stdin is None:
        raise ConfigError("standard input: expected a book, found it closed")
    return sys.stdin.buffer.read()


@contextmanager
def refusals(path: str) -> Iterator[None]:
    """Turn what the engine refuses about a book into a ConfigError that names the file.

    What overflows makes its account unknown, which is said; numpy's warning of it would only name a line of the engine.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except (ValueError, IndexError) as error:
        raise ConfigError(f"{path}: {error}") from error


def row_of(accounts: tuple[str, ...], account: str) -> int:
    """Return the row of an account. Raises KeeperError with the nearest name where there is none."""
    if account not in accounts:
        close = difflib.get_close_matches(account, accounts, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise KeeperError(f"--account: expected one of the book's {len(accounts)} accounts, found {account}{hint}")
    return accounts.index(account)


def named(names: tuple[str, ...], row: int) -> str | None:
    """Return the name in a row; None for a negative row, which stands for none."""
    return names[row] if row >= 0 else None
