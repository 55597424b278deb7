"""A signer of a test that lets more through than the real one."""

from collections.abc import Sequence

from eth_account import Account

from keeper.signer.keystore import Key
from keeper.signer.records import NONE_FINAL, Grant, LedgerState, Refusal, SignedBytes, SignRequest
from tests.signer_desk import ADDRESS, SECRET


class Loose:
    """A signer without a watermark, as one that was told to forgive: it signs above a nonce that it refused."""

    address = ADDRESS

    def __init__(self, refuses: int) -> None:
        self._key, self._refuses = Key(Account.from_key(SECRET)), {refuses}
        self._signed: list[SignedBytes] = []

    def hello(self, state: LedgerState) -> Grant:
        self._grant = Grant(1, 10**6, state.next_nonce - 1, NONE_FINAL)
        return self._grant

    def renew(self) -> Grant:
        return self._grant

    def sign(self, requests: Sequence[SignRequest]) -> tuple[SignedBytes | Refusal, ...]:
        return tuple(self._one(request) for request in requests)

    def _one(self, asked: SignRequest) -> SignedBytes | Refusal:
        if asked.nonce in self._refuses:
            self._refuses.clear()
            return Refusal("selector", "expected another call")
        tx_hash, raw = self._key.sign(asked)
        one = SignedBytes(
            1, asked.request_id, asked.nonce, asked.kind, asked.intent, asked.effects, "", tx_hash, raw, 0, 0
        )
        self._signed.append(one)
        return one

    def signed(self, from_nonce: int) -> tuple[SignedBytes, ...]:
        return tuple(one for one in self._signed if one.nonce >= from_nonce)

    def final(self, nonce: int) -> int:
        return nonce
