"""What the chain says about itself: a block header's facts, a call to a contract."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Block:
    """The block every read of a tick names."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    base_fee: int  # wei per gas


@dataclass(frozen=True, slots=True)
class Call:
    """A message to a contract: checksummed target address and calldata, no value."""

    to: str
    data: bytes
    gas: int | None = None  # most it may use, where its adapter knows; None: as much as the signer allows
    function: str = field(default="", repr=False, compare=False)  # `liquidate(address trader,address baseToken)`

    @property
    def selector(self) -> str:
        return "0x" + self.data[:4].hex()


@dataclass(frozen=True, slots=True)
class Log:
    """An event as the node returned it, with the block hash that makes it falsifiable."""

    address: str
    topics: tuple[str, ...]
    data: bytes
    block_number: int
    block_hash: str
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    tx_hash: str
    block_number: int
    block_hash: str
    succeeded: bool
    gas_used: int
    effective_gas_price: int  # wei per gas
    logs: tuple[Log, ...]
