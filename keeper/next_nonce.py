"""What an operator may name as a key's next nonce: nothing beyond what the chain, the signer or the ledger has seen.

The signer believes it, for it knows no network, and every nonce below it is filled by a transaction that costs gas.
"""

from dataclasses import dataclass

from keeper.config import Config
from keeper.errors import ChainError, UsageError
from keeper.journal import Journal
from keeper.rpc import Rpc


@dataclass(frozen=True, slots=True)
class Seen:
    """The lowest nonce of one key that is free, as each of them sees it."""

    latest: int  # the chain's transaction count
    pending: int  # the same with what pools hold
    signer: int  # its watermark + 1
    ledger: int  # above the highest it ever gave, 0 for none

    @property
    def most(self) -> int:
        return max(self.latest, self.pending, self.signer, self.ledger)


def require_seen(next_nonce: int, seen: Seen) -> None:
    """Raise UsageError if `next_nonce` is above all of them; equal to the highest is right."""
    if next_nonce > seen.most:
        raise UsageError(
            f"--next-nonce: expected at most {seen.most}, the highest of the chain's count ({seen.latest}, "
            f"pending {seen.pending}), the signer's watermark + 1 ({seen.signer}) and the ledger's highest + 1 "
            f"({seen.ledger}), found {next_nonce}; each nonce between would be paid for, so correct it"
        )


def seen(config: Config, journal: Journal, address: str, watermark: int) -> Seen:
    """Ask every endpoint and the ledger; what one endpoint alone counts is enough to allow it.

    Raises ChainError where none of them answers.
    """
    given = journal.nonces_given(address)
    counts = _counts(config, address)
    latest, pending = (max(column) for column in zip(*counts, strict=True))
    return Seen(latest, pending, watermark + 1, 0 if given is None else given[1] + 1)


def _counts(config: Config, address: str) -> list[tuple[int, int]]:
    found, failed = [], []
    for url in config.chain.endpoints:
        try:
            rpc = Rpc(url, config.chain.timeout_seconds)
            rpc.require_chain(config.chain.chain_id)
            found.append(rpc.counts(address))
        except ChainError as error:
            failed.append(str(error))
    if not found:
        raise ChainError(f"expected the nonce count of {address} from an endpoint, found none: {'; '.join(failed)}")
    return found
