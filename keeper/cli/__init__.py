"""The command line: `keeper run`, `once`, `accounts`, `explain`, `check-config`, `margin` and the rest."""

import json
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from keeper import __version__
from keeper.errors import ExitCode, KeeperError

COMMANDS: Final = {
    "run": "keeper.cli.run:run",
    "once": "keeper.cli.run:once",
    "accounts": "keeper.cli.accounts:accounts",
    "explain": "keeper.cli.accounts:explain",
    "check-config": "keeper.cli.check:check_config",
    "margin": "keeper.cli.margin:margin_of_book",
    "greeks": "keeper.cli.greeks:greeks_of_book",
    "demo": "keeper.cli.demo:demo",
    "chaos": "keeper.cli.chaos:chaos",
    "signer": "keeper.cli.signer:app",
    "deploy": "keeper.cli.deploy:deploy",
    "fund": "keeper.cli.fund:fund",
    "sign-report": "keeper.cli.sign:sign_report",
    "sign-slice": "keeper.cli.sign:sign_slice",
    "co-sign": "keeper.cli.sign:co_sign",
}
"""Each command and where it is. A module is imported when its command is asked for: start-up is felt, and the process
that holds the keys loads nothing that it does not need."""


class OnDemand(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 the signature is typer's
        if cmd_name not in COMMANDS:
            return self.commands.get(cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
        alone.command(cmd_name)(found)
        return typer.main.get_command(alone)


app = typer.Typer(
    name="keeper",
    cls=OnDemand,
    help="Margin keeper and oracle bot: reads every account of a venue each block, margins the book, and liquidates, "
    "reports and adjusts parameters within the bounds you configure.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 configuration, 4 chain, 5 key, 6 journal, 7 unknown accounts. "
    "Start with: keeper demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def keeper() -> None:
    """Make `version` a command among others, not the program itself."""


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
