"""The command line: `keeper run | once | accounts | explain | check-config | margin | greeks | demo`."""

import sys

import orjson
import typer

from keeper import __version__
from keeper.cli.accounts import accounts, explain
from keeper.cli.check import check_config
from keeper.cli.demo import demo
from keeper.cli.greeks import greeks_of_book
from keeper.cli.margin import margin_of_book
from keeper.cli.run import once, run
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


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; an error of ours becomes one message and its exit code, never a traceback."""
    try:
        app()
    except KeeperError as e:
        if "--json" in sys.argv:
            sys.stdout.write(orjson.dumps({"error": str(e), "exit_code": int(e.exit_code)}).decode() + "\n")
        sys.stderr.write(f"error: {e}\n")
        sys.exit(int(e.exit_code))
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.FAILED))
