"""The schema of a book file, what a name such as BTC-27MAR26-100000-C says, and how a fault is worded."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import ErrorDetails

from keeper.errors import ConfigError

EXPIRY_HOUR = 8  # UTC: when a date in a name such as BTC-27MAR26 expires, as on Deribit and Derive
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NAME = re.compile(
    r"(?P<underlying>[A-Za-z0-9_.]+)-(?:PERPETUAL|PERP|"
    rf"(?P<date>(?P<day>\d{{1,2}})(?P<month>{'|'.join(MONTHS)})(?P<year>\d{{2}}))"
    r"(?:-(?P<strike>\d+(?:[d.]\d+)?)-(?P<side>[CP]))?)"
)


class Named(NamedTuple):
    """What a name says; None where it says nothing."""

    kind: str
    underlying: str
    expiry: str | None
    at: float | None  # seconds since 1970; None also for a date that does not exist
    strike: float | None
    type: str | None


def named(name: str) -> Named | None:
    """Return what a name means: UNDERLYING-PERPETUAL, UNDERLYING-27MAR26, UNDERLYING-27MAR26-100000-C or -P.

    Days may have one digit; a strike may have a decimal point, or d for it. None for any other name.
    """
    said = _NAME.fullmatch(name)
    if said is None:
        return None
    underlying, date, strike = said["underlying"], said["date"], said["strike"]
    if date is None:
        return Named("perpetual", underlying, None, None, None, None)
    try:
        month = MONTHS.index(said["month"]) + 1
        at = datetime(2000 + int(said["year"]), month, int(said["day"]), EXPIRY_HOUR, tzinfo=UTC).timestamp()
    except ValueError:
        at = None
    expiry = f"{underlying}-{date}"
    if strike is None:
        return Named("future", underlying, expiry, at, None, None)
    side = "call" if said["side"] == "C" else "put"
    return Named("option", underlying, expiry, at, float(strike.replace("d", ".")), side)


def _number(found: object) -> object:
    """Accept a number or a decimal string, rounded to a float once; leave all else to be refused."""
    if isinstance(found, str):
        try:
            return float(Decimal(found.strip()))
        except InvalidOperation:
            raise ValueError("expected a number") from None
    if isinstance(found, int) and not isinstance(found, bool):
        try:
            return float(found)
        except OverflowError:
            raise ValueError("expected a number that a float64 holds") from None
    return found


def _moves(found: object) -> object:
    """Accept a number or an object of numbers, one by underlying."""
    return {name: _number(move) for name, move in found.items()} if isinstance(found, dict) else _number(found)


def _printable(name: str) -> str:
    """Refuse control characters: names are printed, and a terminal would obey them."""
    if not name.isprintable():
        raise ValueError("expected printable characters")
    return name


def _time(found: object) -> object:
    """Return seconds since 1970 of a number or of an ISO 8601 time that says its offset."""
    if isinstance(found, str) and not re.fullmatch(r"\s*[\d.]+\s*", found):
        try:
            moment = datetime.fromisoformat(found.strip())
        except ValueError:
            raise ValueError("expected a time such as 2026-01-09T08:00:00Z, or seconds since 1970") from None
        if moment.tzinfo is None:
            raise ValueError("expected a time with its offset, such as 2026-01-09T08:00:00Z")
        return moment.timestamp()
    return _number(found)


Number = Annotated[float, BeforeValidator(_number)]
NotNegative = Annotated[float, BeforeValidator(_number), Field(ge=0.0)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0.0)]
Confidence = Annotated[float, BeforeValidator(_number), Field(ge=0.0, le=1.0)]
Time = Annotated[float, BeforeValidator(_time), Field(ge=0.0, lt=253402300800.0)]  # seconds since 1970, to 9999
Moves = Annotated[object, BeforeValidator(_moves)]  # engine.scenarios.user_defined refuses what is no number
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


class Section(BaseModel):
    """An object of the file: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class UnderlyingSection(Section):
    spot: Positive  # USD
    spot_confidence: Confidence = 1.0


class ExpirySection(Section):
    underlying: Name | None = None  # from the name where that is like BTC-27MAR26
    at: Time | None = None  # likewise, 08:00 UTC
    forward: NotNegative  # USD, the part that still moves
    forward_fixed: NotNegative = 0.0  # USD, the part settlement averaging has fixed
    forward_confidence: Confidence = 1.0
    rate: Number = 0.0  # continuously compounded
    rate_confidence: Confidence = 1.0


class InstrumentSection(Section):
    kind: Literal["option", "perpetual", "future", "token"] | None = None  # from the name where that says it
    underlying: Name | None = None
    expiry: Name | None = None
    strike: NotNegative | None = None  # USD
    type: Literal["call", "put"] | None = None
    vol: Positive | None = None  # of an option, annualised; an unknown vol must not pass as 0
    price: Positive | None = None  # of a perpetual (its mark) or a token, USD
    confidence: Confidence = 1.0


class PositionSection(Section):
    instrument: Name
    quantity: Number  # long > 0
    entry: Number | None = None  # USD, of a perpetual or future
    accrued: Number = 0.0  # USD


class AccountSection(Section):
    cash: Number = 0.0  # USD
    positions: Annotated[tuple[PositionSection, ...], Field(strict=False)] = ()


class ScenarioSection(Section):
    name: Name
    spot: Moves = 0.0  # relative
    vol: Moves = 0.0  # relative
    vol_points: Moves = 0.0  # annualised
    weight: NotNegative = 1.0
    days: NotNegative = 0.0


class BookSection(Section):
    """A whole file."""

    time: Time
    stable_price: Positive = 1.0
    underlyings: dict[Name, UnderlyingSection]
    expiries: dict[Name, ExpirySection] = {}
    instruments: dict[Name, InstrumentSection]
    accounts: dict[Name, AccountSection]
    parameters: dict[Name, dict[str, object]] = {}
    scenarios: Annotated[tuple[ScenarioSection, ...], Field(strict=False)] = ()


def faulty(source: str, faults: Sequence[str]) -> ConfigError:
    """Return the error that lists every fault of a file."""
    return ConfigError(f"{source}: {len(faults)} to correct:" + "".join(f"\n  {fault}" for fault in faults))


def worded(detail: ErrorDetails, place: tuple[str | int, ...] = ()) -> str:
    """Return one line for a fault pydantic found: where, what was expected, what was found."""
    where = dotted((*place, *detail["loc"])) or "the file"
    match detail["type"]:
        case "extra_forbidden":
            return f"{where}: expected no such key"
        case "missing" | "missing_argument":
            return f"{where}: expected a value, found none"
        case "value_error" | "assertion_error":
            found = "" if isinstance(detail["input"], dict) else f", found {_shown(detail['input'])}"
            return f"{where}: {detail['ctx']['error']}{found}"
        case "model_type" | "dict_type" | "mapping_type" | "dataclass_type" | "model_attributes_type":
            return f"{where}: expected an object, found {_shown(detail['input'])}"
        case "tuple_type" | "list_type":
            return f"{where}: expected a list, found {_shown(detail['input'])}"
    expected = re.sub(r"^(Input|String|Value|Tuple|List) should (be |have )?", "", detail["msg"])
    return f"{where}: expected {expected}, found {_shown(detail['input'])}"


def dotted(place: Sequence[str | int]) -> str:
    """Return a place as accounts.alice.positions[0].quantity."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _shown(found: object) -> str:
    if isinstance(found, dict | list):
        return "an object" if isinstance(found, dict) else "a list"
    shown = repr(found)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
