"""JSON-RPC objects as records: headers, events, receipts."""

from collections.abc import Mapping
from typing import Any

from eth_utils.address import to_checksum_address

from keeper.chain import Block, Log, Receipt


def block_of(found: Mapping[str, Any]) -> Block:
    """Return a header as a node tells of it. Raises KeyError, TypeError or ValueError where it is malformed."""
    return Block(
        number=int(found["number"], 16),
        hash=found["hash"],
        parent_hash=found["parentHash"],
        timestamp=int(found["timestamp"], 16),
        base_fee=int(found.get("baseFeePerGas", "0x0"), 16),
    )


def log_of(entry: Mapping[str, Any]) -> Log:
    """Return an event as a node tells of it. Raises KeyError, TypeError or ValueError where it is malformed."""
    return Log(
        address=to_checksum_address(entry["address"]),
        topics=tuple(entry["topics"]),
        data=bytes.fromhex(entry["data"][2:]),
        block_number=int(entry["blockNumber"], 16),
        block_hash=entry["blockHash"],
        log_index=int(entry["logIndex"], 16),
    )


def receipt_of(entry: Mapping[str, Any]) -> Receipt:
    """Return a receipt as a node tells of it. Raises KeyError, TypeError or ValueError where it is malformed."""
    return Receipt(
        tx_hash=entry["transactionHash"],
        block_number=int(entry["blockNumber"], 16),
        block_hash=entry["blockHash"],
        succeeded=int(entry["status"], 16) == 1,
        gas_used=int(entry["gasUsed"], 16),
        effective_gas_price=int(entry["effectiveGasPrice"], 16),
        logs=tuple(log_of(log) for log in entry["logs"]),
    )
