"""The command line: `keeper run`, `once`, `accounts`, `explain`, `check-config`, `margin` and the rest."""

import json
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from keeper import __version__
from keeper.cli.accounts import accounts, explain
from keeper.cli.chaos import chaos
from keeper.cli.check import check_config
from keeper.cli.demo import demo
from keeper.cli.greeks import greeks_of_book
from keeper.cli.margin import margin_of_book
from keeper.cli.run import once, run
from keeper.cli.signer import app as signer_app
from keeper.errors import ExitCode, KeeperError

app = typer.Typer(
    name="keeper",
    help="Margin keeper and oracle bot: reads every account of a venue each block, margins the book, and liquidates, "
    "reports and adjusts parameters within the bounds you configure.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 configuration, 4 chain, 5 key, 6 journal, 7 unknown accounts. "
    "Start with: keeper demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run)
app.command("once")(once)
app.command("accounts")(accounts)
app.command("explain")(explain)
app.command("check-config")(check_config)
app.command("margin")(margin_of_book)
app.command("greeks")(greeks_of_book)
app.command("demo")(demo)
app.command("chaos")(chaos)
app.add_typer(signer_app)


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; an error of ours becomes one message and its exit code, never a traceback."""
    try:
        app()
    except KeeperError as e:
        _stop(str(e), e.exit_code)
    except OSError as e:  # standard output itself may be full, or closed
        _stop(str(e), ExitCode.FAILED)
    except SystemExit as e:
        if e.code == ExitCode.USAGE:
            _as_json("the command line itself was wrong; standard error says how", ExitCode.USAGE)
        raise
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.FAILED))


def _stop(error: str, exit_code: ExitCode) -> NoReturn:
    """Say what went wrong and end the program. What a message quotes may hold characters that a terminal obeys."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in error)
    sys.stderr.write(f"error: {shown}\n")
    _as_json(error, exit_code)
    sys.exit(int(exit_code))


def _as_json(error: str, exit_code: ExitCode) -> None:
    """Under --json the error is the one document on standard output."""
    if "--json" in sys.argv:
        with suppress(OSError):
            sys.stdout.write(json.dumps({"error": error, "exit_code": int(exit_code)}) + "\n")
            sys.stdout.flush()
