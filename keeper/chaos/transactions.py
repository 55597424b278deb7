"""Signed bytes as a node's pool sees them: sender, nonce, fees, cost and the gas they must bring.

Types 0, 1, 2 and 4 are decoded (EIP-155, EIP-2930, EIP-1559, EIP-7702); a blob is refused, as Geth's main pool does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import rlp
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from rlp.exceptions import RLPException

TX_GAS, CREATE_GAS = 21_000, 53_000
ZERO_BYTE_GAS, NONZERO_BYTE_GAS = 4, 16  # EIP-2028
ACCESS_ADDRESS_GAS, ACCESS_SLOT_GAS = 2_400, 1_900  # EIP-2930
INITCODE_WORD_GAS = 2  # EIP-3860
AUTHORISATION_GAS = 25_000  # EIP-7702, per authorisation
FLOOR_TOKEN_GAS, TOKENS_PER_NONZERO = 10, 4  # EIP-7623
SLOT_BYTES = 32 * 1024  # Geth's txSlotSize: larger transactions take several places in the pool
NO_TYPES = frozenset({0x03})


class BadTransaction(ValueError):
    """The bytes are not a signed transaction of a kind the pool takes; the message is what the node says."""


@dataclass(frozen=True, slots=True)
class PoolTx:
    """One signed transaction. Fees in wei per gas; a legacy gas price is both fee cap and tip cap."""

    raw: bytes
    hash: str
    kind: int
    chain_id: int | None  # None: a legacy transaction without replay protection
    sender: str  # checksummed
    nonce: int
    gas: int
    fee_cap: int
    tip_cap: int
    value: int  # wei
    to: str | None  # checksummed; None creates a contract
    data: bytes
    minimum_gas: int  # intrinsic
    floor_gas: int  # calldata floor

    @property
    def cost(self) -> int:
        """Most the sender can pay, wei."""
        return self.gas * self.fee_cap + self.value

    @property
    def slots(self) -> int:
        return -(-len(self.raw) // SLOT_BYTES)

    def effective_tip(self, base_fee: int) -> int:
        """What the block's producer gets per gas, wei; negative where the fee cap is below the base fee."""
        return min(self.tip_cap, self.fee_cap - base_fee)


@lru_cache(maxsize=4096)
def decoded(raw: bytes) -> PoolTx:
    """Return the transaction in `raw`. Raises BadTransaction; recovering the sender takes some milliseconds."""
    if not raw:
        raise BadTransaction("typed transaction too short")
    if raw[0] in NO_TYPES:
        raise BadTransaction(f"transaction type not supported: tx type {raw[0]} not supported by this pool")
    try:
        return _typed(raw) if raw[0] < 0x80 else _legacy(raw)
    except (RLPException, BadSignature, ValidationError, ValueError, TypeError, IndexError) as e:
        raise BadTransaction(f"rlp: expected a signed transaction, found {type(e).__name__}: {str(e)[:80]}") from e


def _legacy(raw: bytes) -> PoolTx:
    nonce, price, gas, to, value, data, v, _, _ = _fields(raw, 9)
    protection = int.from_bytes(v)
    chain_id = None if protection in (27, 28) else (protection - 35) // 2
    fees = (int.from_bytes(price),) * 2
    return _built(raw, 0, chain_id, nonce, gas, fees, to, value, data, (), 0)


def _typed(raw: bytes) -> PoolTx:
    kind = raw[0]
    TypedTransaction.from_bytes(HexBytes(raw))  # refuses what is out of range
    if kind == 1:
        chain, nonce, price, gas, to, value, data, access, *_ = _fields(raw[1:], 11)
        fees = (int.from_bytes(price),) * 2
        authorisations = 0
    else:
        items = _fields(raw[1:], 13 if kind == 4 else 12)
        chain, nonce, tip, cap, gas, to, value, data, access, *rest = items
        fees = (int.from_bytes(cap), int.from_bytes(tip))
        authorisations = len(rest[0]) if kind == 4 else 0
    return _built(raw, kind, int.from_bytes(chain), nonce, gas, fees, to, value, data, access, authorisations)


def _fields(body: bytes, count: int) -> list[Any]:
    found = rlp.decode(body)
    if not isinstance(found, list) or len(found) != count:
        raise ValueError(f"expected {count} fields")
    return found


def _built(
    raw: bytes,
    kind: int,
    chain_id: int | None,
    nonce: bytes,
    gas: bytes,
    fees: tuple[int, int],
    to: bytes,
    value: bytes,
    data: bytes,
    access: Sequence[Any],
    authorisations: int,
) -> PoolTx:
    return PoolTx(
        raw=raw,
        hash="0x" + keccak(raw).hex(),
        kind=kind,
        chain_id=chain_id,
        sender=to_checksum_address(Account.recover_transaction(HexBytes(raw))),
        nonce=int.from_bytes(nonce),
        gas=int.from_bytes(gas),
        fee_cap=fees[0],
        tip_cap=fees[1],
        value=int.from_bytes(value),
        to=to_checksum_address(to) if to else None,
        data=data,
        minimum_gas=_intrinsic_gas(not to, data, access, authorisations),
        floor_gas=_floor_gas(data),
    )


def _intrinsic_gas(creates: bool, data: bytes, access: Sequence[Any], authorisations: int) -> int:
    """As core/state_transition.go IntrinsicGas, all rules up to Prague in force."""
    zeros = data.count(0)
    gas = (CREATE_GAS if creates else TX_GAS) + zeros * ZERO_BYTE_GAS + (len(data) - zeros) * NONZERO_BYTE_GAS
    gas += INITCODE_WORD_GAS * -(-len(data) // 32) if creates else 0
    gas += sum(ACCESS_ADDRESS_GAS + len(slots) * ACCESS_SLOT_GAS for _, slots in access)
    return gas + authorisations * AUTHORISATION_GAS


def _floor_gas(data: bytes) -> int:
    zeros = data.count(0)
    return TX_GAS + FLOOR_TOKEN_GAS * (zeros + TOKENS_PER_NONZERO * (len(data) - zeros))
