"""Records of the reference venue as the contracts hold them: integers of the contracts' widths, checked at birth.

Field names are Types.sol's in snake case, in its order; units and signs are told there. Content ids hash
`abi.encode(store, chain id, fields …)`: every field is one 32-byte word. The hash function is passed in (Ethereum's
keccak-256 is not in the standard library).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Final

BPS: Final = 10**4
UNIT: Final = 10**12
"""One unit of an array word in wad: 10⁻⁶ USD."""
MAX_SIZE: Final = 10**26
MAX_LEGS: Final = 128
MAX_EXPIRIES: Final = 12
MAX_COLLATERALS: Final = 8
NO_SCENARIO: Final = 255
STRIKE_UNIT: Final = 10**10
"""Strikes in instrument ids count 10⁻⁸ USD."""

Keccak = Callable[[bytes], bytes]


class RecordError(ValueError):
    """A field that the contracts could not hold, or that no honest record has."""


def _within(record: object, name: str, low: int, high: int) -> None:
    found = getattr(record, name)
    if type(found) is not int or not low <= found <= high:
        raise RecordError(f"{type(record).__name__}.{name}: expected an int in {low}..{high}, found {found!r}")


def _unsigned(record: object, **bits: int) -> None:
    for name, width in bits.items():
        _within(record, name, 0, (1 << width) - 1)


def _signed(record: object, **bits: int) -> None:
    for name, width in bits.items():
        _within(record, name, -(1 << width - 1), (1 << width - 1) - 1)


@dataclass(frozen=True, slots=True)
class Report:
    """One underlying's price at one moment."""

    underlying: int
    timestamp: int
    fixing_expiry: int  # the expiry inside its averaging window, or 0
    sequence: int
    price: int  # USD, wad, > 0
    confidence: int  # half-width, USD, wad
    funding_rate: int  # share of the price a second, wad, > 0: longs pay
    funding_index: int  # USD per unit, wad, signed
    fixed_share: int  # w, wad, 0..10¹⁸
    fixed_average: int  # A, USD, wad

    def __post_init__(self) -> None:
        _unsigned(self, underlying=8, timestamp=40, fixing_expiry=40, sequence=32, confidence=128, fixed_average=128)
        _signed(self, funding_rate=64, funding_index=128)
        _within(self, "price", 1, (1 << 128) - 1)
        _within(self, "fixed_share", 0, 10**18)


@dataclass(frozen=True, slots=True)
class Slice:
    """Raw SVI of one expiry's implied variance per year, with the forward and spot it was fitted at."""

    underlying: int
    expiry: int
    timestamp: int
    forward: int  # USD, wad, > 0
    spot: int  # USD, wad, > 0
    a: int
    b: int
    rho: int
    m: int
    s: int

    def __post_init__(self) -> None:
        _unsigned(self, underlying=8, expiry=40, timestamp=40)
        _signed(self, a=128, b=128, rho=128, m=128, s=128)
        _within(self, "forward", 1, (1 << 128) - 1)
        _within(self, "spot", 1, (1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class ScanParameters:
    """What shapes the arrays of one underlying."""

    scan: int  # wad, 12..10¹⁸ − 1
    vol_up: int
    vol_down: int
    short_power: int
    long_power: int
    extreme: int  # wad, < 10¹⁸: rows 14 and 15
    deep_up: int  # row 16
    deep_down: int  # wad, < 10¹⁸: row 17
    extreme_cover: int  # BPS
    deep_up_cover: int
    deep_down_cover: int

    def __post_init__(self) -> None:
        _unsigned(self, vol_up=64, vol_down=64, short_power=64, long_power=64, deep_up=64)
        _unsigned(self, extreme_cover=16, deep_up_cover=16, deep_down_cover=16)
        _within(self, "scan", 12, 10**18 - 1)
        _within(self, "extreme", 0, 10**18 - 1)
        _within(self, "deep_down", 0, 10**18 - 1)

    @property
    def move(self) -> int:
        """The move limit: a quarter of a grid step, wad."""
        return self.scan // 12


@dataclass(frozen=True, slots=True)
class MarginParameters:
    """What turns arrays into margin, per underlying; shares in BPS."""

    im_scalar: int
    mm_scalar: int
    short_im_rate: int
    short_mm_rate: int
    concentration_rate: int
    confidence_factor: int
    concentration_from: int  # contracts, wad

    def __post_init__(self) -> None:
        _unsigned(self, im_scalar=16, mm_scalar=16, short_im_rate=16, short_mm_rate=16, concentration_rate=16)
        _unsigned(self, confidence_factor=16, concentration_from=128)


@dataclass(frozen=True, slots=True)
class CollateralType:
    """One accepted token beside the settlement token."""

    token: int  # address
    decimals: int  # at most 18
    underlying: int
    haircut: int  # BPS, as last written: IM's
    cap: int  # token base units
    haircut_mm: int  # BPS, MM's at the block

    def __post_init__(self) -> None:
        _unsigned(self, token=160, underlying=8, haircut=16, cap=128, haircut_mm=16)
        _within(self, "decimals", 0, 18)

    def to_wad(self, amount: int) -> int:
        """Return an amount of token base units with 18 decimals, exactly."""
        return int(amount * 10 ** (18 - self.decimals))


@dataclass(frozen=True, slots=True)
class Instrument:
    """An option, or a perpetual where expiry, strike, kind and index are all zero."""

    underlying: int
    expiry: int = 0
    strike: int = 0  # 10⁻⁸ USD
    is_call: bool = False
    index: int = 0  # row in its expiry's blob

    def __post_init__(self) -> None:
        _unsigned(self, underlying=8, expiry=40, strike=64, index=15)
        if self.expiry == 0 and (self.strike or self.is_call or self.index):
            raise RecordError(f"Instrument: a perpetual has no strike, kind or index, found {self}")

    @property
    def id(self) -> int:
        """The 128-bit id: underlying 8 | expiry 40 | strike 64 | kind 1 | index 15."""
        high = self.underlying << 120 | self.expiry << 80 | self.strike << 16
        return high | self.is_call << 15 | self.index

    @classmethod
    def of(cls, packed: int) -> "Instrument":
        """Return the instrument of a 128-bit id. Raises RecordError for anything else."""
        if not 0 <= packed < 1 << 128:
            raise RecordError(f"Instrument: expected an id of 128 bits, found {packed}")
        strike, call = packed >> 16 & (1 << 64) - 1, bool(packed >> 15 & 1)
        return cls(packed >> 120, packed >> 80 & (1 << 40) - 1, strike, call, packed & 0x7FFF)

    @property
    def is_option(self) -> bool:
        return self.expiry != 0

    @property
    def strike_wad(self) -> int:
        return self.strike * STRIKE_UNIT


@dataclass(frozen=True, slots=True)
class Leg:
    """A position: contracts in wad, > 0 long."""

    instrument: Instrument
    size: int

    def __post_init__(self) -> None:
        _within(self, "size", -MAX_SIZE, MAX_SIZE)

    @property
    def packed(self) -> int:
        """The storage word: id (high 128 bits) | size (int128)."""
        return self.instrument.id << 128 | self.size & (1 << 128) - 1

    @classmethod
    def of(cls, packed: int) -> "Leg":
        low = packed & (1 << 128) - 1
        return cls(Instrument.of(packed >> 128), low - (low >> 127 << 128))


@dataclass(frozen=True, slots=True)
class Holding:
    """An amount of one collateral, token base units."""

    index: int
    amount: int

    def __post_init__(self) -> None:
        _unsigned(self, index=128, amount=128)

    @property
    def packed(self) -> int:
        return self.index << 128 | self.amount

    @classmethod
    def of(cls, packed: int) -> "Holding":
        return cls(packed >> 128, packed & (1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Book:
    """An account as the margin rules see it: funding accrued, expired positions settled."""

    cash: int  # USD, wad, signed
    legs: tuple[Leg, ...] = ()
    collateral: tuple[Holding, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A margin statement, USD wad: equity rounded down, requirements up. Equity equal to a requirement satisfies it."""

    equity: int
    im: int
    mm: int

    @property
    def excess(self) -> int:
        """Equity over MM, signed."""
        return self.equity - self.mm


def content_id(record: Report | Slice, store: int, chain_id: int, keccak: Keccak) -> bytes:
    """Return the id of a report or slice in the price store at address `store`: 32 bytes."""
    return keccak(_words(store, chain_id, *_values(record)))


def listing_id(instruments: Iterable[Instrument], scan: Iterable[int], keccak: Keccak) -> bytes:
    """Return what `publish` names besides report and slice: the rows an expiry's arrays are for, and the version of the
    scan, as `ScanRamp.words`."""
    rolled = bytes(32)
    for instrument in instruments:
        rolled = keccak(rolled + _words(instrument.id))
    return keccak(rolled + keccak(_words(*scan)))


def _values(record: Report | Slice) -> list[int]:
    return [getattr(record, field.name) for field in fields(record)]


def _words(*numbers: int) -> bytes:
    return b"".join((number & (1 << 256) - 1).to_bytes(32) for number in numbers)
