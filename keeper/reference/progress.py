"""How far a deployment is, as a file: hashes are written before their transactions are offered, so that a process that
was killed at any moment finds out what became of them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from keeper.errors import ConfigError


@dataclass(slots=True)
class Progress:
    """One deployment under way: `nonces` from `first_nonce` on are its own, in the order of its transactions."""

    path: Path
    chain_id: int
    owner: str
    wish: str  # digest of the board and of everything else asked for
    first_nonce: int
    start_block: int
    opened_at: int  # block time at the beginning: expiries count from it
    sent: dict[int, list[str]] = field(default_factory=dict)  # nonce → hashes offered under it

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return the file's deployment, None where there is no file. Raises ConfigError for any other content."""
        try:
            found: dict[str, Any] = json.loads(path.read_text())
            sent = {int(nonce): list(hashes) for nonce, hashes in found.pop("sent").items()}
            return cls(path=path, sent=sent, **found)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}: expected a deployment under way, found something else ({error}); without it nobody knows "
                "what was sent: look at the owner's transactions before removing it"
            ) from error

    def require(self, chain_id: int, owner: str, wish: str) -> None:
        """Raise ConfigError unless it is the deployment that is asked for."""
        for name, found, expected in (
            ("chain", self.chain_id, chain_id), ("owner", self.owner, owner), ("wish", self.wish, wish)
        ):  # fmt: skip
            if found != expected:
                raise ConfigError(
                    f"{self.path}: expected a deployment of {name} {expected}, found one of {found} under way; finish "
                    "it with the same board and options, or remove the file to begin anew"
                )

    def add(self, nonce: int, tx_hash: str) -> None:
        hashes = self.sent.setdefault(nonce, [])
        if tx_hash not in hashes:
            hashes.append(tx_hash)

    def save(self) -> None:
        """Write the file so that a reader sees all of it or what was there before."""
        said = asdict(self)
        said.pop("path")
        beside = self.path.with_name(f".{self.path.name}.{uuid4().hex}")
        beside.write_text(json.dumps(said, indent=2) + "\n")
        beside.replace(self.path)
