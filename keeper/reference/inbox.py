"""Signed reports and slices as files: what a signer writes, what several make together, and what a keeper finds.

Whoever writes into the inbox may be hostile: a file is read up to a size, never followed, and believed in nothing that
a signature does not cover.
"""

import heapq
import json
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from eth_abi.exceptions import EncodingError
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from keeper.abi import checksummed
from keeper.errors import ExitCode, KeeperError
from keeper.plans import Held
from keeper.reference.reports import Observation, Said, digest, domain_of
from keeper.signer.keystore import HALF_ORDER
from keeper.twin.records import RecordError, Slice

KINDS: Final[Mapping[str, type[Observation] | type[Slice]]] = {"report": Observation, "slice": Slice}
HEAD: Final = ("kind", "chain_id", "relay", "signatures")
MAX_FILES: Final = 256
MAX_LISTED: Final = 10_000
"""Names looked at: the rest of a larger folder is not even listed."""
MAX_NAME: Final = 80
MAX_BYTES: Final = 16_384
MAX_SIGNATURES: Final = 31  # as many signers as a relay has at most
SIGNATURE_BYTES: Final = 65


class Malformed(KeeperError):
    """A file that is no signed report or slice; the message says which part is wrong."""

    exit_code = ExitCode.CONFIG


@dataclass(frozen=True, slots=True)
class Signed:
    """A report or slice, for one relay of one chain, with what was signed of it so far."""

    said: Said
    chain_id: int
    relay: str  # checksummed
    signatures: tuple[str, ...]  # 0x and 130 hexadecimal digits each, in any order

    @property
    def kind(self) -> str:
        return "slice" if isinstance(self.said, Slice) else "report"

    @property
    def about(self) -> tuple[int, int]:
        """Underlying and expiry, 0 for a report: of one thing only the newest counts."""
        return self.said.underlying, self.said.expiry if isinstance(self.said, Slice) else 0

    @property
    def digest(self) -> bytes:
        return digest(self.said, domain_of(self.said, self.relay, self.chain_id))

    def by_signer(self) -> dict[str, bytes]:
        """Return signatures by the address they recover to, ascending. What recovers to none is left out."""
        hashed = self.digest
        found = {signer: bytes.fromhex(s[2:]) for s in self.signatures if (signer := recovered(hashed, s))}
        return dict(sorted(found.items(), key=lambda item: int(item[0], 16)))


@lru_cache(maxsize=4_096)
def recovered(hashed: bytes, signature: str) -> str:
    """Return who signed, checksummed; '' where a relay would recover nobody."""
    raw = bytes.fromhex(signature[2:])
    r, s, v = int.from_bytes(raw[:32]), int.from_bytes(raw[32:64]), raw[64]
    if v not in (27, 28) or s > HALF_ORDER:
        return ""
    try:
        return str(Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(hashed).to_checksum_address())
    except (BadSignature, ValidationError):
        return ""


def to_text(signed: Signed) -> str:
    """Return the file's text; integers are decimal text, because other languages read JSON's numbers as floats."""
    said = {name: str(number) for name, number in asdict(signed.said).items()}
    head = {"kind": signed.kind, "chain_id": str(signed.chain_id), "relay": signed.relay}
    return json.dumps({**head, **said, "signatures": list(signed.signatures)}, indent=2) + "\n"


def parse(text: str) -> Signed:
    """Return what a file says. Raises Malformed."""
    if max(text.count("{"), text.count("[")) > 1:  # before a parser that may recurse without end
        raise Malformed("expected JSON, one object with one list, found more of them")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Malformed(f"expected JSON, found: {str(error)[:80]}") from error
    record = KINDS.get(str(found.get("kind"))) if isinstance(found, dict) else None
    if record is None:
        raise Malformed(f"kind: expected a JSON object of a kind of {', '.join(KINDS)}")
    names = [field.name for field in fields(record)]
    if set(found) != {*HEAD, *names}:
        raise Malformed(f"expected the keys {', '.join((*HEAD, *names))}, found {str(sorted(found))[:200]}")
    numbers = {name: _integer(name, found[name]) for name in ("chain_id", *names)}
    try:
        said = record(**{name: numbers[name] for name in names})
        signed = Signed(said, numbers["chain_id"], _address(found["relay"]), _signatures(found["signatures"]))
        _ = signed.digest
    except (EncodingError, RecordError) as error:
        raise Malformed(f"expected numbers that fit their types, found: {str(error)[:80]}") from error
    return signed


def merged(several: Sequence[Signed]) -> Signed:
    """Return one record with everybody's signatures, each once. Raises Malformed when they signed different things."""
    first, *others = several
    for other in others:
        if other.digest != first.digest:
            raise Malformed(
                f"expected files of one digest, 0x{first.digest.hex()}, found 0x{other.digest.hex()}: they differ in "
                f"{', '.join(_differing(first, other))}; sign the same record"
            )
    return replace(first, signatures=tuple(dict.fromkeys(s for signed in several for s in signed.signatures)))


def load(path: Path) -> Signed:
    """Return the file's record. Raises Malformed with its name; never waits for a writer or follows a link."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:  # fdopen raises for a folder and leaves the handle open, one more in every tick
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Malformed(f"{_said_name(path)}: expected a plain file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                content = file.read(MAX_BYTES + 1)
        finally:
            os.close(handle)
    except OSError as error:
        raise Malformed(f"{_said_name(path)}: expected a readable plain file, found {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise Malformed(f"{_said_name(path)}: expected at most {MAX_BYTES} bytes")
    try:
        return parse(content.decode())
    except (UnicodeDecodeError, Malformed) as error:
        raise Malformed(f"{_said_name(path)}: {error}") from error


def store(path: Path, signed: Signed) -> None:
    """Write the file so that a reader sees all of it or what was there before."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    beside.write_text(to_text(signed))
    beside.replace(path)


def file_name(signed: Signed, signer: str) -> str:
    """Return the name under which a signer's newest record of its kind stands: the next one replaces it."""
    underlying, expiry = signed.about
    return "-".join([signed.kind, str(underlying), *([str(expiry)] if expiry else []), signer]) + ".json"


def drop_expired(folder: Path, signer: str, now: int) -> None:
    """Remove the slices this signer wrote of expiries up to the chain's second `now`: no relay takes them any more."""
    for path in folder.glob(f"slice-*-{signer}.json"):
        expiry = path.name.split("-")[2]
        if expiry.isascii() and expiry.isdigit() and int(expiry) <= now:
            with suppress(OSError):  # what stays is read after what is written later
                path.unlink()


def read_inbox(folder: Path) -> tuple[list[Signed], list[Held]]:
    """Return what the folder's *.json files say, last written first, and why some were left out.

    Nothing in it makes this raise. Of more files than are read the last written count: who signs writes again, and what
    is left of expiries gone by does not.
    """
    try:
        with os.scandir(folder) as entries:
            listed = [(-_written(entry), entry.name) for entry in islice(entries, MAX_LISTED + 1)]
    except OSError as error:
        return [], [Held("reports", f"inbox not read: {error.strerror}")]
    names = [(age, name) for age, name in listed if name.endswith(".json") and not name.startswith(".")]
    found, holds = [], []
    for _, name in heapq.nsmallest(MAX_FILES, names):
        try:
            found.append(load(folder / name))
        except Malformed as error:
            holds.append(Held("reports", str(error)))
    if len(names) > MAX_FILES or len(listed) > MAX_LISTED:
        many = f"{len(names)}{' or more' if len(listed) > MAX_LISTED else ''}"
        holds.append(Held("reports", f"inbox: expected at most {MAX_FILES} files, found {many}; clean it up"))
    return found, holds


def _written(entry: os.DirEntry[str]) -> int:
    """Return when a file was last written, nanoseconds; 0 of one that is gone meanwhile."""
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0


def _said_name(path: Path) -> str:
    """Return a file's name as plain text: a stranger chose it, and terminal and journal are to survive it."""
    plain = ascii(path.name)[1:-1]
    return plain if len(plain) <= MAX_NAME else plain[:MAX_NAME] + "…"


def _integer(name: str, found: Any) -> int:
    """Return a decimal text's integer, at most 80 characters. Raises Malformed."""
    plain = isinstance(found, str) and len(found) <= 80 and found.isascii() and found.removeprefix("-").isdigit()
    if not plain:
        raise Malformed(f"{name}: expected an integer as decimal text, found {str(found)[:80]!r}")
    return int(found)


def _address(found: Any) -> str:
    try:
        return checksummed(found)
    except (ValueError, TypeError) as error:
        raise Malformed(f"relay: expected an address, found {str(found)[:80]!r}") from error


def _signatures(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > MAX_SIGNATURES:
        raise Malformed(f"signatures: expected a list of at most {MAX_SIGNATURES}")
    for one in found:
        try:
            right = isinstance(one, str) and one.startswith("0x") and len(bytes.fromhex(one[2:])) == SIGNATURE_BYTES
        except ValueError:
            right = False
        if not right:
            raise Malformed(f"signatures: expected 0x and {2 * SIGNATURE_BYTES} hexadecimal digits each")
    return tuple(dict.fromkeys(one.lower() for one in found))


def _differing(first: Signed, other: Signed) -> list[str]:
    if first.kind != other.kind:
        return ["kind"]
    names = [f.name for f in fields(first.said) if getattr(first.said, f.name) != getattr(other.said, f.name)]
    return names + [name for name in ("chain_id", "relay") if getattr(first, name) != getattr(other, name)]
