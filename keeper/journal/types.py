"""Column types: integers of the EVM as decimal text, because no SQL integer holds 256 bits.

SQLite's INTEGER overflows beyond 64 bits and its NUMERIC(78, 0) silently loses digits. The text is not
padded, so these columns must never be ordered or compared by size in SQL.
"""

from sqlalchemy import BigInteger, Dialect, Integer, String
from sqlalchemy.types import TypeDecorator

UINT256_MAX = 2**256 - 1
INT256_MIN = -(2**255)
INT256_MAX = 2**255 - 1

ID = BigInteger().with_variant(Integer(), "sqlite")
"""Row number: SQLite only numbers rows by itself in a column called INTEGER."""


class _DecimalText(TypeDecorator[int]):
    """An integer in [`lowest`, `highest`] stored as decimal text; anything else raises ValueError."""

    impl = String(78)  # 2**256 - 1 has 78 digits, -2**255 has 77 and a sign
    cache_ok = True
    lowest: int
    highest: int

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected an integer, found {value!r}; convert it in keeper/units.py")
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"expected an integer from {self.lowest} to {self.highest}, found {value}")
        return str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else int(value)


class UInt256(_DecimalText):
    """Unsigned: wei, token amounts."""

    cache_ok = True  # SQLAlchemy looks at the class itself, never at its bases
    lowest = 0
    highest = UINT256_MAX


class Int256(_DecimalText):
    """Signed: oracle answers."""

    cache_ok = True
    lowest = INT256_MIN
    highest = INT256_MAX
