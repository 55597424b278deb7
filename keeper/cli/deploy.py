"""`keeper deploy`: the reference venue and its companions, step by step, so that a killed run goes on where it was."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from keeper.abi import checksummed
from keeper.cli.show import AsJson, emit, table
from keeper.config import keystore_password
from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import Batch, Mined
from keeper.errors import ConfigError, ExitCode, UsageError
from keeper.reference.board import DEMO, Board, Steward
from keeper.reference.boardfile import load_board
from keeper.reference.boardtokens import require_tokens
from keeper.reference.deploy import deploy as deploy_board
from keeper.reference.facts import differences
from keeper.reference.manifest import Manifest
from keeper.reference.progress import Progress
from keeper.reference.reports import Reporters
from keeper.reference.sending import SignedBatch
from keeper.rpc import Rpc
from keeper.signer.keystore import unlock

GWEI = 10**9
NOBODY = "0x" + "0" * 40

Url = Annotated[str, typer.Option("--rpc", envvar="KEEPER_RPC_URL", help="A node of the chain to deploy to.")]
Keystore = Annotated[
    Path | None, typer.Option("--keystore", help="Encrypted key of the deployer, used for nothing else.")
]
Address = Annotated[str, typer.Option("--address", help="Whose key it must be, checksummed.")]
BoardFile = Annotated[Path | None, typer.Option("--board", help="TOML; the demonstration board by default.")]
Owner = Annotated[str, typer.Option("--owner", help="Offered everything at the end; by default the deployer keeps it.")]
Out = Annotated[Path, typer.Option("--out", help="Where the manifest goes; how far it is stands beside it meanwhile.")]
Check = Annotated[Path | None, typer.Option("--check", help="Compare this manifest with the chain; sends nothing.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Deploy on a fork that is thrown away; print plan and cost.")]


def deploy(
    rpc: Url, keystore: Keystore = None, address: Address = "", board: BoardFile = None, owner: Owner = "",
    out: Out = Path("manifest.json"), check: Check = None, dry_run: DryRun = False,
    max_fee_gwei: Annotated[int, typer.Option(min=1)] = 100, tip_gwei: Annotated[int, typer.Option(min=0)] = 1,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Deploy the reference venue, its relays, feeds and companions, and write a manifest that says where all is.

    [dim]Run again after whatever stopped it: what was sent is found by its hash, never sent twice. The password as for
    every command.[/]
    """
    if check is not None:
        _check(rpc, check, json)
        return
    deployer = _address("--address", address)
    chosen = DEMO if board is None else load_board(board)
    chosen = replace(chosen, steward=chosen.steward or Steward())
    new_owner = _address("--owner", owner) if owner else None
    require_tokens(Rpc(rpc, timeout_s=30.0), chosen)
    if dry_run:
        _rehearse(rpc, chosen, deployer, new_owner, (max_fee_gwei, tip_gwei), json)
        return
    if keystore is None:
        raise UsageError("--keystore: expected the deployer's encrypted key, found none; or use --dry-run")
    key = unlock(keystore, keystore_password().get_secret_value(), deployer)
    node = Rpc(rpc, timeout_s=30.0)
    progress = _progress(node, out, chosen, deployer, new_owner)
    batch = SignedBatch(node, key, progress, max_fee=max_fee_gwei * GWEI, tip=min(tip_gwei, max_fee_gwei) * GWEI)
    signers = chosen.signers or Reporters.of((key,), 1, 1)
    manifest = deploy_board(
        node, batch, deployer, chosen, signers,
        opened_at=progress.opened_at, start_block=progress.start_block, new_owner=new_owner,
    )  # fmt: skip
    beside = out.with_name(f".{out.name}.whole")  # a process killed while it writes leaves no half of a manifest
    beside.write_text(manifest.to_json())
    beside.replace(out)
    progress.path.unlink()
    _show(batch.mined, json, {"manifest": str(out), "venue": manifest.contracts.venue})


def _progress(rpc: Rpc, out: Path, board: Board, deployer: str, new_owner: str | None) -> Progress:
    """Return how far the deployment into `out` is, from its beginning where there is none. Raises ConfigError."""
    if out.exists():
        raise ConfigError(
            f"--out: expected no file at {out}, found one; name another, or compare it with --check {out}"
        )
    chain_id, head = rpc.chain_id(), rpc.block()
    wish = hashlib.sha256(repr((board, new_owner)).encode()).hexdigest()
    path = out.with_name(out.name + ".unfinished")
    found = Progress.load(path)
    if found is not None:
        found.require(chain_id, deployer, wish)
        return found
    _, pending = rpc.counts(deployer)
    found = Progress(path, chain_id, deployer, wish, pending, head.number + 1, head.timestamp)
    found.save()
    return found


def _rehearse(url: str, board: Board, deployer: str, new_owner: str | None, gwei: tuple[int, int], json: bool) -> None:
    """Carry all of it out on a fork: the same sender and nonces, so the same addresses.

    Whose key signs the first reports and slices changes neither, and the deployer's is not asked for here.
    """
    node = Rpc(url, timeout_s=30.0)
    held, (max_fee, tip) = node.balance(deployer, node.block()), gwei
    with start_anvil(chain_id=node.chain_id(), fork_url=url) as fork:
        rpc = Rpc(fork.url, timeout_s=60.0)
        batch = Batch(rpc)
        signers = board.signers or Reporters.named("rehearsal", 1, 1, 1)
        manifest = deploy_board(rpc, batch, deployer, board, signers, new_owner=new_owner)
    gas = sum(one.gas_used for one in batch.mined)
    price = min(node.block().base_fee + tip * GWEI, max_fee * GWEI)
    said = {
        "contracts": {one.name: one.address for one in manifest.deployed},
        "gas": gas,
        "ether_now": gas * price / 10**18,
        "ether_at_most": gas * max_fee * GWEI / 10**18,
        "ether_held": held / 10**18,
    }
    _show(batch.mined, json, said)


def _check(url: str, path: Path, json: bool) -> None:
    try:
        manifest = Manifest.from_json(path.read_text())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--check: expected a manifest at {path}, found {error}; is it of this version?") from error
    rpc = Rpc(url, timeout_s=30.0)
    rpc.require_chain(manifest.chain_id)
    block = rpc.block()
    found = differences(rpc, manifest, block)
    if json:
        emit({"ok": not found, "block": block.number, "facts": len(manifest.facts), "differences": found})
    else:
        rows = [(line,) for line in found] or [(f"{len(manifest.deployed)} contracts, {len(manifest.facts)} facts",)]
        table(f"{path}: {'differs' if found else 'as it says'} at block {block.number}", ("found",), rows)
    if found:
        raise typer.Exit(int(ExitCode.FAILED))


def _show(mined: list[Mined], json: bool, said: dict[str, object]) -> None:
    if json:
        emit({**said, "transactions": [{"what": one.what, "gas": one.gas_used} for one in mined]})
        return
    table("Transactions", ("what", "gas"), [(one.what, one.gas_used) for one in mined])
    table("Together", ("what", "found"), [(what, str(found)) for what, found in said.items()])


def _address(option: str, text: str) -> str:
    try:
        found = checksummed(text)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{option}: expected an address, found {text[:60]!r}") from error
    if found == NOBODY:
        raise UsageError(f"{option}: expected somebody's address, found the zero address")
    return found
