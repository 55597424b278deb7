"""The journal's tables. A change here needs a new file in migrations/versions; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from keeper.journal.types import ID, Int256, UInt256

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

meta = Table(
    "meta",
    METADATA,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("venue", String(100), nullable=False),
    Column("created", String(32), nullable=False),  # UTC, ISO 8601
    Column("ledger_id", String(32), nullable=False),  # what the signer knows this ledger by
)

scanned_heads = Table(
    "scanned_heads",  # the newest row is the event cursor, the older ones find a reorg's fork
    METADATA,
    Column("block_number", BigInteger, primary_key=True, autoincrement=False),
    Column("block_hash", String(66), nullable=False),
)

accounts = Table(
    "accounts",
    METADATA,
    Column("address", String(80), primary_key=True),
    Column("first_block", BigInteger, nullable=False, index=True),
)

ticks = Table(
    "ticks",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("block_number", BigInteger, nullable=False, index=True),
    Column("block_hash", String(66), nullable=False, unique=True),
    Column("parent_hash", String(66), nullable=False),
    Column("timestamp", BigInteger, nullable=False, index=True),  # the block's, seconds
    Column("base_fee", UInt256, nullable=False),  # wei per gas
    Column("accounts", Integer, nullable=False),
    Column("healthy", Integer, nullable=False),
    Column("endangered", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("skipped_heads", Integer, nullable=False),
    Column("latency_ms", Text, nullable=False),  # JSON: stage -> milliseconds
    Column("trimmed", Boolean, nullable=False),  # pruned down to what explains its intents
    Column("crosscheck", Text),  # JSON: how far two computations of the margins were apart; NULL: there was one
)

quotes = Table(
    "quotes",
    METADATA,
    Column("tick_id", ID, ForeignKey("ticks.id"), primary_key=True, autoincrement=False),
    Column("feed", String(100), primary_key=True),
    Column("symbol", String(100), primary_key=True),
    Column("answer", Int256),  # NULL: not read
    Column("decimals", Integer, nullable=False),
    Column("updated_at", BigInteger),  # the source's own time, seconds
    Column("age_s", BigInteger),  # block timestamp - updated_at
    Column("status", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "feed"),
)

rounds = Table(
    "rounds",  # every oracle update once, however many ticks quoted it; outlives the quotes
    METADATA,
    Column("feed", String(100), primary_key=True),
    Column("updated_at", BigInteger, primary_key=True, autoincrement=False),
    Column("answer", Int256, nullable=False),
    Column("decimals", Integer, nullable=False),
    Column("status", String(32), nullable=False),  # when first quoted
)

margins = Table(
    "margins",
    METADATA,
    Column("tick_id", ID, ForeignKey("ticks.id"), primary_key=True, autoincrement=False),
    Column("account", String(80), primary_key=True),
    Column("equity", Float(53)),  # USD, signed; NULL: unknown
    Column("im", Float(53)),  # USD
    Column("mm", Float(53)),  # USD
    Column("health", Float(53)),  # NULL: ±inf by the sign of equity, or unknown
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("exact", Boolean, nullable=False),  # decided by the venue's own integers
    CheckConstraint("status IN ('healthy', 'endangered', 'unknown')", name="status"),
    Index(None, "account", "tick_id"),
    sqlite_with_rowid=False,  # one B-tree less on the way to a liquidation
)

holds = Table(
    "holds",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("tick_id", ID, ForeignKey("ticks.id"), nullable=False, index=True),
    Column("subject", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "subject", "tick_id"),
)

INTENT_IS_LIVE = text("status IN ('intended', 'live')")

intents = Table(
    "intents",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("tick_id", ID, ForeignKey("ticks.id"), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("effect", String(255), nullable=False),
    Column("subject", String(100), nullable=False),  # the account or the parameter
    Column("plan", Text, nullable=False),  # JSON
    Column("status", String(16), nullable=False),
    Column("cause", Text, nullable=False),
    Column("closed_block", BigInteger),
    Column("expires_at", BigInteger, nullable=False),  # last block it may land in
    CheckConstraint(
        "status IN ('intended', 'live', 'achieved', 'failed', 'refused', 'expired', 'shadow', 'lost', 'cancelled')",
        name="status",
    ),
    Index(None, "subject"),
    Index(None, "effect"),
    Index(
        "one_live_intent_per_effect",
        "effect",
        unique=True,
        sqlite_where=INTENT_IS_LIVE,
        postgresql_where=INTENT_IS_LIVE,
    ),
)

attempts = Table(
    "attempts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("intent_id", ID, ForeignKey("intents.id"), nullable=False, index=True),
    Column("sender", String(42), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("tx_hash", String(66), nullable=False),  # one transaction may carry out several intents
    Column("raw", LargeBinary, nullable=False),  # the signed bytes
    Column("gas_limit", BigInteger, nullable=False),
    Column("max_fee", UInt256, nullable=False),  # wei per gas
    Column("tip", UInt256, nullable=False),  # wei per gas
    Column("status", String(16), nullable=False, index=True),
    Column("cause", Text, nullable=False),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("gas_used", BigInteger),
    Column("gas_price", UInt256),  # wei per gas, as charged
    CheckConstraint("status IN ('signed', 'broadcast', 'mined', 'reverted', 'lost')", name="status"),
    UniqueConstraint("intent_id", "tx_hash"),
)

volatility = Table(
    "volatility",
    METADATA,
    Column("feed", String(100), primary_key=True),
    Column("computed_at", BigInteger, primary_key=True, autoincrement=False),  # block timestamp, seconds
    Column("annualised", Float(53), nullable=False),  # decimal: 0.8 is 80 % a year
    Column("observations", Integer, nullable=False),
)
