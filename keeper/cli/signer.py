"""`keeper signer …`: run the process that holds the keys, and give it orders."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from keeper.app import configured, open_journal
from keeper.cli.show import DEFAULT_CONFIG, AsJson, emit, table
from keeper.errors import UsageError
from keeper.next_nonce import require_seen, seen
from keeper.signer.client import Line
from keeper.signer.config import load
from keeper.signer.records import NONE_FINAL

DEFAULT = Path("signer.toml")

File = Annotated[Path, typer.Option("--config", "-c", help="The signer's file.", metavar="FILE")]
Address = Annotated[str, typer.Option("--address", help="The key's address, checksummed.")]
Ledger = Annotated[str, typer.Option("--ledger", help="Id of the one ledger that allocates this key's nonces.")]
NextNonce = Annotated[
    int,
    typer.Option(
        "--next-nonce",
        min=0,
        help="The lowest nonce never given to anybody: the highest of the chain's pending transaction count and what "
        "the ledger reserved, both of which are asked. Nothing below is signed as new.",
    ),
]
KeeperFile = Annotated[
    Path, typer.Option("--keeper", help="The keeper's file: which chain and which ledger to ask.", metavar="FILE")
]

app = typer.Typer(
    name="signer", help="The process that alone holds the keys; see docs/signer.md.", no_args_is_help=True
)


@app.command("run")
def run(config: File = DEFAULT) -> None:
    """Hold the keys and sign what the policy allows, until SIGTERM. SIGUSR1 drains, SIGUSR2 kills.

    [dim]The password comes from KEEPER_KEYSTORE_PASSWORD, from the file KEEPER_KEYSTORE_PASSWORD_FILE names, or from
    the terminal; never from the command line.[/]
    """
    # replaced, not called: the signer's memory holds no network code, and `ps` shows what it is
    os.execv(sys.executable, [sys.executable, "-P", "-m", "keeper.signer", str(config)])


@app.command("status")
def status(config: File = DEFAULT, json: AsJson = False) -> None:
    """Show every key's state, ledger, lease, watermark and spend."""
    _show(_order(config, "status"), json)


@app.command("kill")
def kill(config: File = DEFAULT, json: AsJson = False) -> None:
    """Refuse every signature from now on, over restarts, until `resume`."""
    _show(_order(config, "kill"), json)


@app.command("drain")
def drain(config: File = DEFAULT, json: AsJson = False) -> None:
    """Refuse everything but cancels of nonces already signed, until `resume`."""
    _show(_order(config, "drain"), json)


@app.command("resume")
def resume(config: File = DEFAULT, json: AsJson = False) -> None:
    """Sign again after kill or drain; the kill file must be gone."""
    _show(_order(config, "resume"), json)


@app.command("reload")
def reload(config: File = DEFAULT, json: AsJson = False) -> None:
    """Read fees, caps and allowed calls from the file again. Nothing else ever makes the signer read it."""
    _show(_order(config, "reload"), json)


@app.command("enrol")
def enrol(
    address: Address, ledger: Ledger, next_nonce: NextNonce, config: File = DEFAULT, keeper: KeeperFile = DEFAULT_CONFIG
) -> None:
    """Name the ledger of a key that has none yet, where it has live attempts or should not be the first to come."""
    _require_seen(config, keeper, address, ledger, next_nonce)
    found = _order(config, "enrol", address=address, ledger=ledger, next_nonce=next_nonce)
    typer.echo(f"{address}: ledger {ledger} enrolled, next nonce {found['watermark'] + 1}")


@app.command("reconcile")
def reconcile(
    address: Address, ledger: Ledger, next_nonce: NextNonce, config: File = DEFAULT, keeper: KeeperFile = DEFAULT_CONFIG
) -> None:
    """Accept, after looking, that ledger and signer know different bytes below a nonce; the keeper must be stopped."""
    _require_seen(config, keeper, address, ledger, next_nonce)
    found = _order(config, "reconcile", address=address, ledger=ledger, next_nonce=next_nonce)
    typer.echo(f"{address}: ledger {ledger} reconciled, next nonce {found['watermark'] + 1}")


def _require_seen(config: Path, keeper: Path, address: str, ledger: str, next_nonce: int) -> None:
    """Raise UsageError for another ledger than the keeper's, or a nonce that chain, signer and ledger know nothing of.

    A key that the signer does not have is left to it to refuse.
    """
    asked, signing = configured(keeper), load(config).signer
    if asked.chain.chain_id != signing.chain_id:
        found = f"found {asked.chain.chain_id} in {keeper}"
        raise UsageError(
            f"--keeper: expected chain {signing.chain_id}, the signer's, {found}; name the keeper of this key"
        )
    lanes = _order(config, "status")["lanes"]
    watermark = next((lane["watermark"] for lane in lanes if lane["address"] == address), NONE_FINAL)
    with open_journal(asked) as journal:
        if journal.ledger_id != ledger:
            own = f"expected {journal.ledger_id}, the ledger of {keeper}"
            raise UsageError(f"--ledger: {own}, found {ledger}; correct one of the two")
        require_seen(next_nonce, seen(asked, journal, address, watermark))


def _order(config: Path, op: str, **fields: Any) -> dict[str, Any]:
    with Line(load(config).signer.admin_socket) as line:
        return line.demand(op, **fields)


def _show(found: dict[str, Any], json: bool) -> None:
    if json:
        emit({"lanes": found["lanes"]})
        return
    columns = ("address", "mode", "state", "ledger", "holder", "watermark", "final", "spent, hour", "spent, day")
    table("Signer", columns, [_row(lane) for lane in found["lanes"]])


def _row(lane: dict[str, Any]) -> tuple[str, ...]:
    nonces = ("none" if lane[name] == NONE_FINAL else str(lane[name]) for name in ("watermark", "final"))
    spent = (_of_cap(lane, window) for window in ("hour", "day"))
    return (lane["address"], lane["mode"], lane["state"], lane["ledger"] or "-", lane["holder"] or "-", *nonces, *spent)


def _of_cap(lane: dict[str, Any], window: str) -> str:
    spent, cap = (int(lane[f"{what}_{window}_wei"]) / 10**18 for what in ("spent", "cap"))
    return f"{spent:.4f} of {cap:g} ETH"
