"""`keeper sign-report`, `sign-slice`, `co-sign`: what one of a relay's signers does, with his own encrypted key."""

from pathlib import Path
from typing import Annotated

import typer

from keeper.abi import checksummed
from keeper.chain import Block
from keeper.config import keystore_password
from keeper.errors import UsageError
from keeper.reference.inbox import Signed, drop_expired, file_name, load, merged, store
from keeper.reference.reports import Observation, Said
from keeper.reference.vouch import (
    Guard,
    next_observation,
    of_signers,
    require_sane,
    require_worked_out,
    signed_by,
    told,
    wad,
)
from keeper.rpc import Rpc
from keeper.signer.keystore import unlock
from keeper.twin.records import RecordError, Slice

MAX_CONFIDENCE = 500
"""BPS of the price; margins rise with the half-width, so a wider one is signed on purpose only."""
Url = Annotated[str, typer.Option("--rpc", envvar="KEEPER_RPC_URL", help="A node of the relay's chain.")]
Chain = Annotated[int, typer.Option("--chain-id", help="The chain it is for; the node must be of it.")]
Relay = Annotated[str, typer.Option("--relay", help="The price relay, for a slice the surface relay.")]
Keystore = Annotated[Path, typer.Option("--keystore", help="Encrypted key; its password as for every command.")]
Address = Annotated[str, typer.Option("--address", help="Whose key it must be, checksummed.")]
Low = Annotated[str, typer.Option("--min-price", help="USD; nothing below is signed, whatever is asked.")]
High = Annotated[str, typer.Option("--max-price", help="USD; nothing above is signed.")]
Out = Annotated[Path, typer.Option("--out", help="The keeper's inbox, or a folder to bring there.", metavar="DIR")]
Confidence = Annotated[
    int,
    typer.Option("--max-confidence", min=0, max=10_000, help="BPS of the price; no wider half-width is signed."),
]
Number = Annotated[int, typer.Option("--underlying", min=0, max=255, help="Its number at the venue.")]
Time = Annotated[int | None, typer.Option("--time", min=1, help="Unix seconds; the newest block's by default.")]


def sign_report(
    rpc: Url, chain_id: Chain, relay: Relay, keystore: Keystore, address: Address, low: Low, high: High, out: Out,
    underlying: Number,
    price: Annotated[str, typer.Option("--price", help="USD, decimal.")],
    confidence: Annotated[str, typer.Option("--confidence", help="Half-width of the price, USD.")],
    widest: Confidence = MAX_CONFIDENCE,
    time: Time = None,
) -> None:  # fmt: skip
    """Sign one underlying's price and write it for the keeper to bring; the settlement average is worked out."""
    desk = _Desk(rpc, chain_id, relay, keystore, address, low, high, out, widest)
    amounts = wad("--price", price), wad("--confidence", confidence)
    at = desk.block.timestamp if time is None else time
    said = next_observation(desk.rpc, desk.guard.relay, desk.block, underlying, at, *amounts)
    desk.sign(desk.blank(said))


def sign_slice(
    rpc: Url, chain_id: Chain, relay: Relay, keystore: Keystore, address: Address, low: Low, high: High, out: Out,
    underlying: Number,
    expiry: Annotated[int, typer.Option("--expiry", help="Unix seconds, as listed.")],
    forward: Annotated[str, typer.Option("--forward", help="USD, decimal.")],
    spot: Annotated[str, typer.Option("--spot", help="USD, decimal.")],
    svi: Annotated[tuple[str, str, str, str, str], typer.Option("--svi", help="a, b, rho, m and s of raw SVI.")],
    time: Time = None,
) -> None:  # fmt: skip
    """Sign one expiry's volatility slice and write it for the keeper to bring."""
    desk = _Desk(rpc, chain_id, relay, keystore, address, low, high, out)
    at = desk.block.timestamp if time is None else time
    fitted = (wad(f"--svi {name}", text) for name, text in zip(("a", "b", "rho", "m", "s"), svi, strict=True))
    try:
        said = Slice(underlying, expiry, at, wad("--forward", forward), wad("--spot", spot), *fitted)
    except RecordError as error:
        raise UsageError(f"expected numbers that a slice can hold: {error}") from error
    desk.sign(desk.blank(said))


def co_sign(
    files: Annotated[list[Path], typer.Argument(help="Files of one record, of one signer or several.")],
    rpc: Url, chain_id: Chain, relay: Relay, keystore: Keystore, address: Address, low: Low, high: High, out: Out,
    widest: Confidence = MAX_CONFIDENCE,
) -> None:  # fmt: skip
    """Sign what others signed, after the same checks, and write one file with all signatures that count.

    Prints every number of the record before it signs.
    """
    desk = _Desk(rpc, chain_id, relay, keystore, address, low, high, out, widest)
    desk.sign(merged([load(path) for path in files]), of_others=True)


class _Desk:
    """What every one of the three commands begins and ends with."""

    def __init__(
        self,
        url: str,
        chain_id: int,
        relay: str,
        keystore: Path,
        address: str,
        low: str,
        high: str,
        out: Path,
        widest: int = MAX_CONFIDENCE,
    ) -> None:
        self.rpc = Rpc(url, timeout_s=30.0)
        self.rpc.require_chain(chain_id)
        self.block: Block = self.rpc.block()
        self.guard = Guard(chain_id, _relay(relay), wad("--min-price", low), wad("--max-price", high), widest)
        if not out.is_dir():
            raise UsageError(f"--out: expected a folder, found none at {out}; make it first")
        self._key, self._out = (keystore, address), out

    def blank(self, said: Said) -> Signed:
        return Signed(said, self.guard.chain_id, self.guard.relay, ())

    def sign(self, signed: Signed, *, of_others: bool = False) -> None:
        require_sane(signed, self.guard, self.rpc, self.block)
        if of_others and isinstance(signed.said, Observation):
            require_worked_out(signed.said, signed.relay, self.rpc, self.block)
        typer.echo(told(signed))
        keystore, address = self._key
        key = unlock(keystore, keystore_password().get_secret_value(), address)
        done = signed_by(of_signers(signed, key.address, self.rpc, self.block), key)
        path = self._out / file_name(done, key.address)
        store(path, done)
        drop_expired(self._out, key.address, self.block.timestamp)
        typer.echo(f"{path}: {done.kind} 0x{done.digest.hex()}, {len(done.by_signer())} signature(s)")


def _relay(address: str) -> str:
    try:
        return checksummed(address)
    except (ValueError, TypeError) as error:
        raise UsageError(f"--relay: expected an address, found {address[:60]!r}") from error
