"""What a signer's command does before it signs: looks at the chain, refuses what cannot be meant, signs, writes."""

from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Final

from eth_abi.exceptions import EncodingError
from eth_account.signers.local import LocalAccount

from keeper.abi import interface, uint_at
from keeper.chain import Block
from keeper.errors import UsageError
from keeper.reference.inbox import Signed
from keeper.reference.reports import PRICE_RELAY, SURFACE_RELAY, Observation, fitted, observation, signature
from keeper.reverts import revert
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.twin.records import BPS, Report, Slice

WAD_DIGITS: Final = 18
WHOLE: Final = frozenset({"underlying", "expiry", "timestamp", "fixing_expiry"})
"""Fields of records that are no wad."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a signer never signs outside of, whatever he is told; prices in USD wad, all bounds included."""

    chain_id: int
    relay: str  # checksummed
    low: int
    high: int
    confidence: int  # at most, BPS of the price


def wad(option: str, text: str) -> int:
    """Return a decimal number with 18 digits behind the point. Raises UsageError for what would have to be rounded."""
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise UsageError(f"{option}: expected a decimal number such as 3000.25, found {text[:40]!r}") from error
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not -WAD_DIGITS <= exponent <= WAD_DIGITS or len(digits) > 2 * WAD_DIGITS:
        raise UsageError(f"{option}: expected at most {WAD_DIGITS} digits behind the point, found {text[:60]!r}")
    whole = int("".join(map(str, digits))) * int(10 ** (exponent + WAD_DIGITS))
    return -whole if sign else whole


def next_observation(
    rpc: Rpc, relay: str, block: Block, underlying: int, timestamp: int, price: int, confidence: int
) -> Observation:
    """Return the report that follows the newest, with the share of a settlement average that is due by then.

    Raises UsageError when the relay cannot be asked.
    """
    read = interface(PRICE_RELAY).function
    calls = [read("newest").call(relay, underlying), read("fixingAt").call(relay, underlying, timestamp)]
    newest, fixing = rpc.eth_calls(calls, block)
    none_yet = isinstance(newest, RpcRefusal) and interface(PRICE_RELAY).error_named(newest.revert[:4]) == "NoReport"
    try:
        expiry, _ = read("fixingAt").values(*answered([fixing]))
        last = Report(underlying, 0, 0, 0, 1, 0, 0, 0, 0, 0)
        if not none_yet:
            last = Report(*read("newest").values(*answered([newest]))[0])
    except ValueError as error:
        raise UsageError(f"--relay: expected a price relay at {relay} with underlying {underlying}: {error}") from error
    return observation(last, expiry, timestamp, price, confidence)


def require_sane(signed: Signed, guard: Guard, rpc: Rpc, block: Block) -> None:
    """Raise UsageError for what a signer should not sign: another chain or relay, outside his bounds, in the future, or
    another digest than the relay's own."""
    rpc.require_chain(guard.chain_id)
    if (signed.chain_id, signed.relay) != (guard.chain_id, guard.relay):
        raise UsageError(
            f"expected a record for chain {guard.chain_id} and relay {guard.relay}, found one for {signed.chain_id} "
            f"and {signed.relay}; sign at the deployment it is for"
        )
    for name, price in _prices(signed):
        if not guard.low <= price <= guard.high:
            raise UsageError(
                f"{name}: expected {_usd(guard.low)} to {_usd(guard.high)}, found {_usd(price)}; is it the right "
                "underlying? Else move --min-price and --max-price on purpose"
            )
    if isinstance(signed.said, Observation):
        _require_confident(signed.said, guard.confidence)
    if signed.said.timestamp > block.timestamp:
        raise UsageError(
            f"--time: expected at most the chain's {block.timestamp}, found {signed.said.timestamp}; relays take "
            "nothing from the future"
        )
    _require_digest(signed, rpc, block)


def _require_confident(seen: Observation, at_most: int) -> None:
    if seen.confidence * BPS > at_most * seen.price:
        raise UsageError(
            f"--confidence: expected at most {at_most} BPS of the price, found {_usd(seen.confidence)} of "
            f"{_usd(seen.price)}; margins rise with it. If it is meant, move --max-confidence"
        )


def require_worked_out(seen: Observation, relay: str, rpc: Rpc, block: Block) -> None:
    """Raise UsageError unless a report's settlement average and funding rate are what we would sign: an average may be
    false and yet inside every bound on prices."""
    own = next_observation(rpc, relay, block, seen.underlying, seen.timestamp, seen.price, seen.confidence)
    names = [f.name for f in fields(seen) if getattr(seen, f.name) != getattr(own, f.name)]
    if names:
        found = "; ".join(f"{name}: expected {getattr(own, name)}, found {getattr(seen, name)}" for name in names)
        raise UsageError(f"{found}; it rests on another report than the relay's newest, or is false: sign a new one")


def _require_digest(signed: Signed, rpc: Rpc, block: Block) -> None:
    path = SURFACE_RELAY if isinstance(signed.said, Slice) else PRICE_RELAY
    try:
        call = interface(path).function("digest").packed(signed.relay, fitted(signed.said))
    except EncodingError as error:
        raise UsageError(f"expected numbers that fit a {signed.kind}, found: {str(error)[:120]}") from error
    (answer,) = rpc.eth_calls([call], block)
    if answer != signed.digest:
        found = (str(revert(answer.revert)) or answer.message) if isinstance(answer, RpcRefusal) else "another digest"
        raise UsageError(
            f"--relay: expected a relay at {signed.relay} that hashes a {signed.kind} alike, found {found}"
        )


def of_signers(signed: Signed, own: str, rpc: Rpc, block: Block) -> Signed:
    """Return the record with one good signature of each other signer whom the relay names; junk would fill the file.

    Raises UsageError unless the relay names `own` too.
    """
    path = SURFACE_RELAY if isinstance(signed.said, Slice) else PRICE_RELAY
    good = signed.by_signer()
    others = [signer for signer in good if signer != own]
    asked = [interface(path).function("isSigner").call(signed.relay, signer) for signer in (own, *others)]
    try:
        known, *named = [uint_at(word) for word in answered(rpc.eth_calls(asked, block))]
    except ValueError as error:
        raise UsageError(f"--relay: expected a relay at {signed.relay} that names its signers: {error}") from error
    if not known:
        raise UsageError(f"--address: expected one of the relay's signers, found {own}; its owner names them")
    kept = (good[signer] for signer, is_one in zip(others, named, strict=True) if is_one)
    return replace(signed, signatures=tuple("0x" + one.hex() for one in kept))


def told(signed: Signed) -> str:
    """Return what is signed, in words: every number of it, to its last digit."""
    numbers = ", ".join(
        f"{name} {number if name in WHOLE else _decimal(number)}" for name, number in asdict(signed.said).items()
    )
    return f"{signed.kind}: {numbers}"


def signed_by(signed: Signed, key: LocalAccount) -> Signed:
    """Return the record with this key's signature added, once."""
    own = "0x" + signature(signed.digest, key).hex()
    return replace(signed, signatures=tuple(dict.fromkeys((*signed.signatures, own))))


def _prices(signed: Signed) -> list[tuple[str, int]]:
    if isinstance(signed.said, Slice):
        return [("--spot", signed.said.spot), ("--forward", signed.said.forward)]
    fixed = [("fixed average", signed.said.fixed_average)] if signed.said.fixed_share else []
    return [("--price", signed.said.price), *fixed]


def _decimal(amount: int) -> str:
    """Return a wad as a decimal number, exactly."""
    whole, rest = divmod(abs(amount), 10**WAD_DIGITS)
    return f"{'-' if amount < 0 else ''}{whole:,}.{rest:0{WAD_DIGITS}d}".rstrip("0").rstrip(".")


def _usd(price: int) -> str:
    return f"{price / 10**WAD_DIGITS:,.4f} USD"
