"""The lane's place at the signer: a connection made when the lease is asked for, and again after it was lost."""

from collections.abc import Callable, Sequence

from keeper.errors import SignerUnreachable
from keeper.lanes.ports import Signer
from keeper.signer.records import Grant, LedgerState, Refusal, SignedBytes, SignRequest


class Seat:
    """A Signer whose connection may be lost. Asking for the lease makes a new one; nothing else does."""

    def __init__(self, address: str, connect: Callable[[], Signer]) -> None:
        """`connect` raises SignerUnreachable."""
        self.address = address
        self._connect = connect
        self._signer: Signer | None = None

    def hello(self, state: LedgerState) -> Grant:
        """Connect and take the lease. Raises SignerUnreachable, or SigningRefused with what to do."""
        self._signer = self._connect()
        return self._signer.hello(state)

    def renew(self) -> Grant:
        return self._seated().renew()

    def sign(self, requests: Sequence[SignRequest]) -> tuple[SignedBytes | Refusal, ...]:
        return self._seated().sign(requests)

    def signed(self, from_nonce: int) -> tuple[SignedBytes, ...]:
        return self._seated().signed(from_nonce)

    def final(self, nonce: int) -> int:
        return self._seated().final(nonce)

    def _seated(self) -> Signer:
        if self._signer is None:
            raise SignerUnreachable(f"signer of {self.address}: expected a lease, found none; ask for it first")
        return self._signer
