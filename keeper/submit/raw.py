"""Signed bytes read back: what the signer returns after a crash is known by its bytes alone."""

import rlp
from rlp.exceptions import RLPException

DYNAMIC_FEE = 2  # EIP-1559 transaction type
TIP, MAX_FEE, GAS = 2, 3, 4  # places in its list


def fees_in(raw: bytes) -> tuple[int, int, int]:
    """Return gas limit, max fee and tip, wei per gas, of a signed EIP-1559 transaction. Raises ValueError."""
    try:
        fields = rlp.decode(raw[1:]) if raw[:1] == bytes([DYNAMIC_FEE]) else []
        gas, max_fee, tip = (int.from_bytes(fields[at]) for at in (GAS, MAX_FEE, TIP))
    except (RLPException, IndexError, TypeError) as e:
        raise ValueError(f"expected a signed EIP-1559 transaction, found {len(raw)} other bytes") from e
    return gas, max_fee, tip
