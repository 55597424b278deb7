"""The signer's tables. Signatures and decisions are only ever added; a lane's row is its newest state."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION = 1
"""Written into the file (PRAGMA user_version); another one is refused."""

METADATA = MetaData()

clock = Table(
    "clock",  # one row: the highest time ever seen, milliseconds since 1970
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
)

lanes = Table(
    "lanes",
    METADATA,
    Column("chain_id", BigInteger, nullable=False),
    Column("address", String(42), nullable=False),
    Column("ledger_id", String(200)),  # NULL: none enrolled yet
    Column("forgiven_to", BigInteger, nullable=False),
    Column("watermark", BigInteger, nullable=False),
    Column("final", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("holder", String(200)),  # NULL: the lease is free
    Column("expires_ms", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    PrimaryKeyConstraint("chain_id", "address"),
)

signatures = Table(
    "signatures",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("address", String(42), nullable=False),
    Column("request_id", String(200), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("intent", String(500), nullable=False),
    Column("effects", Text, nullable=False),  # JSON array
    Column("payload", String(64), nullable=False),
    Column("tx_hash", String(66), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("worst_cost", String(78), nullable=False),  # wei as decimal text: no SQL integer holds 256 bits
    Column("time_ms", BigInteger, nullable=False),
    UniqueConstraint("chain_id", "address", "request_id"),
    Index("by_nonce", "chain_id", "address", "nonce"),
    Index("by_time", "chain_id", "address", "time_ms"),
    sqlite_autoincrement=True,  # a sequence number is never given twice
)

decisions = Table(
    "decisions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("address", String(42), nullable=False),
    Column("subject", String(200), nullable=False),  # request id, or the ledger, or the command
    Column("allowed", Boolean, nullable=False),
    Column("rule", String(40), nullable=False),
    Column("reason", Text, nullable=False),
)
