"""Signed bytes read back: what the signer returns after a crash is known by its bytes alone."""

import rlp
from eth_utils.address import to_checksum_address
from rlp.exceptions import RLPException

DYNAMIC_FEE = 2  # EIP-1559 transaction type
TIP, MAX_FEE, GAS, TO, DATA = 2, 3, 4, 5, 7  # places in its list


def fees_in(raw: bytes) -> tuple[int, int, int]:
    """Return gas limit, max fee and tip, wei per gas, of a signed EIP-1559 transaction. Raises ValueError."""
    gas, max_fee, tip = (int.from_bytes(field) for field in _fields(raw, GAS, MAX_FEE, TIP))
    return gas, max_fee, tip


def call_in(raw: bytes) -> tuple[str, bytes]:
    """Return target, checksummed, and calldata of a signed EIP-1559 transaction. Raises ValueError."""
    to, data = _fields(raw, TO, DATA)
    return to_checksum_address(to), data


def _fields(raw: bytes, *places: int) -> list[bytes]:
    try:
        fields = rlp.decode(raw[1:]) if raw[:1] == bytes([DYNAMIC_FEE]) else []
        return [bytes(fields[at]) for at in places]
    except (RLPException, IndexError, TypeError) as e:
        raise ValueError(f"expected a signed EIP-1559 transaction, found {len(raw)} other bytes") from e
