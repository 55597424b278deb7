"""The only place that holds a key. It signs what its policy allows and refuses the rest with a reason.

Modes are enforced here: in `observe` and `shadow` there is no key in memory at all, so nothing can be signed.
"""

from dataclasses import dataclass
from typing import Literal

from eth_account.signers.local import LocalAccount
from eth_typing import HexStr

from keeper.errors import SigningRefused
from keeper.signer.keystore import unlock
from keeper.submit.base import Signed, Unsigned

__all__ = ["Allowed", "Mode", "Signer", "SignerPolicy", "unlock"]

Mode = Literal["observe", "shadow", "live"]
WORD = 32


@dataclass(frozen=True, slots=True)
class Allowed:
    """One call the signer may sign. `words` bounds static arguments: (index, lowest, highest), both included."""

    to: str
    selector: str
    words: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SignerPolicy:
    mode: Mode
    chain_id: int
    allowed: tuple[Allowed, ...]
    max_gas: int
    max_fee: int  # wei per gas
    max_tip: int  # wei per gas


class Signer:
    def __init__(self, policy: SignerPolicy, address: str, account: LocalAccount | None) -> None:
        self._policy = policy
        self._account = account if policy.mode == "live" else None
        self.address = address

    def __repr__(self) -> str:
        return f"Signer({self.address}, mode={self._policy.mode})"

    @property
    def mode(self) -> Mode:
        return self._policy.mode

    def sign(self, tx: Unsigned) -> Signed:
        """Return the signed bytes and their hash. Raises SigningRefused with the rule that forbids it."""
        refusal = self._refusal(tx)
        if refusal or self._account is None:
            raise SigningRefused(f"signer: {refusal or 'no key loaded'}")
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": tx.chain_id,
                "nonce": tx.nonce,
                "to": HexStr(tx.call.to),
                "data": tx.call.data,
                "value": 0,
                "gas": tx.gas,
                "maxFeePerGas": tx.max_fee,
                "maxPriorityFeePerGas": tx.tip,
            }
        )
        return Signed("0x" + bytes(signed.hash).hex(), bytes(signed.raw_transaction))

    def _refusal(self, tx: Unsigned) -> str:
        policy = self._policy
        if policy.mode != "live":
            return f'mode is {policy.mode}; set signer.mode = "live" to send'
        if tx.chain_id != policy.chain_id:
            return f"chain id: expected {policy.chain_id}, found {tx.chain_id}"
        if tx.gas > policy.max_gas:
            return f"gas limit {tx.gas} above signer.max_gas {policy.max_gas}"
        if tx.max_fee > policy.max_fee or tx.tip > policy.max_tip or tx.tip > tx.max_fee:
            return f"fees {tx.max_fee}/{tx.tip} wei above the caps {policy.max_fee}/{policy.max_tip}"
        rules = [r for r in policy.allowed if r.to == tx.call.to and r.selector == tx.call.selector]
        if not rules:
            return f"{tx.call.selector} on {tx.call.to} is not on the allow-list"
        if not any(_within(rule, tx.call.data[4:]) for rule in rules):
            return f"{tx.call.selector} on {tx.call.to}: an argument is outside its allowed range"
        return ""


def _within(rule: Allowed, arguments: bytes) -> bool:
    for index, lowest, highest in rule.words:
        word = arguments[index * WORD : (index + 1) * WORD]
        if len(word) != WORD or not lowest <= int.from_bytes(word) <= highest:
            return False
    return True
