"""The command that deploys: one signed batch from an encrypted keystore, the manifest as its only output."""

import argparse
import sys
from pathlib import Path

from keeper.config import keystore_password
from keeper.errors import KeeperError
from keeper.reference.board import DEMO
from keeper.reference.deploy import deploy
from keeper.reference.reports import Reporters
from keeper.reference.sending import SignedBatch
from keeper.rpc import Rpc
from keeper.signer.keystore import unlock

GWEI = 10**9


def main(arguments: list[str] | None = None) -> int:
    """Deploy the demonstration board; the key in the keystore becomes the owner of everything.

    The password comes from KEEPER_KEYSTORE_PASSWORD or KEEPER_KEYSTORE_PASSWORD_FILE. Returns the exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rpc", required=True, help="http(s) URL of a node of the chain to deploy to")
    parser.add_argument("--keystore", required=True, type=Path, help="encrypted key (Web3 Secret Storage) of the owner")
    parser.add_argument("--address", required=True, help="whose key it must be, checksummed")
    parser.add_argument("--out", type=Path, help="where the manifest goes; standard output by default")
    parser.add_argument("--max-fee-gwei", type=int, default=100)
    parser.add_argument("--tip-gwei", type=int, default=1)
    found = parser.parse_args(arguments)
    try:
        key = unlock(found.keystore, keystore_password().get_secret_value(), found.address)
        rpc = Rpc(found.rpc, timeout_s=30.0)
        batch = SignedBatch(rpc, key, max_fee=found.max_fee_gwei * GWEI, tip=found.tip_gwei * GWEI)
        manifest = deploy(rpc, batch, key.address, DEMO, Reporters.of((key,), 1, 1))
    except KeeperError as error:
        sys.stderr.write(f"error: {error}\n")
        return int(error.exit_code)
    if found.out is None:
        sys.stdout.write(manifest.to_json())
    else:
        found.out.write_text(manifest.to_json())
    return 0
