"""The configuration file: TOML, checked completely before anything starts; see keeper.example.toml.

Everything wrong with a file is reported at once, each line with the key, what was expected and what was found.
Secrets come from the environment only, and no message or repr shows more of a URL than scheme, host and port.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from keeper.abi import address_at
from keeper.errors import ConfigError, redacted
from keeper.units import to_base

RPC_URL = "KEEPER_RPC_URL"
JOURNAL_URL = "KEEPER_JOURNAL_URL"
PASSWORD = "KEEPER_KEYSTORE_PASSWORD"
PASSWORD_FILE = "KEEPER_KEYSTORE_PASSWORD_FILE"

OVERRIDES = {("chain", "rpc_url"): RPC_URL, ("journal", "url"): JOURNAL_URL}
"""Settings an environment variable replaces, whatever the file says."""

OWN_PRICES = ("reference",)
"""Venues that carry their own price reports and so need no [[oracle]]."""

PPM = 1_000_000
GWEI_DECIMALS = 9


def checksummed(address: str) -> str:
    """Return the address checksummed (EIP-55). Raises ValueError if malformed or checksummed wrongly."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", address):
        raise ValueError("expected an address, 0x and 40 hexadecimal digits")
    right = address_at(bytes(12) + bytes.fromhex(address[2:]))
    if address not in (right, address.lower()):
        raise ValueError(f"expected the checksum of {right}; a digit is wrong, copy the address again")
    return right


_KEY_LIKE = re.compile(r"[0-9a-fA-F]{64}")


def _rpc_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete or parts.scheme not in ("http", "https"):
        raise ValueError("expected a URL such as https://host:port/path (http or https)")
    return url


def _journal_url(url: str) -> str:
    if not re.match(r"(sqlite|postgresql)(\+\w+)?://", url):
        raise ValueError("expected a SQLAlchemy URL such as sqlite:///keeper.db or postgresql+psycopg://host/keeper")
    return url


def _parameter_name(name: str) -> str:
    kind, colon, token = name.partition(":")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise ValueError("expected a parameter such as mm_ratio_buffer or collateral_ratio:0x… (a token's address)")
    return f"{kind}:{checksummed(token)}" if colon else name


def _account_name(name: str) -> str:
    """Return an account's name, its owner checksummed. Raises ValueError."""
    owner, slash, sub = name.partition("/")
    if slash and not re.fullmatch(r"[1-9][0-9]{0,28}", sub):
        raise ValueError("expected an owner's address, and for a sub-account a slash and its number behind it")
    return checksummed(owner) + slash + sub


Address = Annotated[str, AfterValidator(checksummed)]
AccountName = Annotated[str, AfterValidator(_account_name)]
Positive = Annotated[int, Field(gt=0, lt=2**63)]
NotNegative = Annotated[int, Field(ge=0, lt=2**63)]
PositiveFloat = Annotated[float, Field(gt=0.0, le=1e18)]
NotNegativeFloat = Annotated[float, Field(ge=0.0, le=1e18)]
Ppm = Annotated[int, Field(ge=0, le=PPM)]
PpmStep = Annotated[int, Field(gt=0, le=PPM)]
Text = Annotated[str, Field(min_length=1, max_length=100)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, types are not guessed, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class ChainConfig(Section):
    rpc_url: Annotated[str, AfterValidator(_rpc_url)] = Field(repr=False)
    chain_id: Positive
    poll_seconds: PositiveFloat = 0.05
    timeout_seconds: PositiveFloat = 10.0
    confirmations: NotNegative = 2  # blocks on top of a transaction's before its outcome is final


class VenueConfig(Section):
    name: Text
    clearing_house: Address
    start_block: NotNegative  # no account of the venue exists before it

    @field_validator("name")
    @classmethod
    def _known(cls, name: str, validation: ValidationInfo) -> str:
        context: Mapping[str, Collection[str]] = validation.context or {}
        known = context.get("venues", (name,))
        if name not in known:
            raise ValueError(f"expected one of {', '.join(sorted(known))}")
        return name


class OracleConfig(Section):
    symbol: Text
    source: Literal["chainlink"] = "chainlink"
    address: Address
    heartbeat_seconds: Positive  # an older answer is stale
    decimals: Annotated[int, Field(ge=0, le=77)]
    min_answer: PositiveFloat | None = None  # USD; at or below is absurd
    max_answer: PositiveFloat | None = None  # USD; at or above is absurd

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min_answer is not None and self.max_answer is not None and self.min_answer >= self.max_answer:
            raise ValueError(f"expected min_answer < max_answer, found {self.min_answer:g} and {self.max_answer:g}")
        return self


class PolicyConfig(Section):
    liquidate: bool = True
    set_parameters: bool = True
    min_shortfall_usd: NotNegativeFloat = 0.0
    max_liquidations_per_tick: NotNegative = 50
    plan_lifetime_blocks: Positive = 3


class ParameterConfig(Section):
    """How one parameter follows a feed's volatility. Whether stressed is above or below calm says what tighter is."""

    name: Annotated[Text, AfterValidator(_parameter_name)]
    symbol: Text  # the [[oracle]] whose volatility drives it
    calm: Ppm
    stressed: Ppm
    volatility_calm: NotNegativeFloat  # annualised: 0.8 is 80 % a year
    volatility_stressed: PositiveFloat
    max_step_tighten: PpmStep
    max_step_loosen: PpmStep
    min_interval_tighten_seconds: NotNegative
    min_interval_loosen_seconds: NotNegative
    deadband: Ppm = 0  # a smaller move is not worth a transaction

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        if self.volatility_calm >= self.volatility_stressed:
            raise ValueError(
                "expected volatility_calm < volatility_stressed, "
                f"found {self.volatility_calm:g} and {self.volatility_stressed:g}"
            )
        if self.calm == self.stressed:
            raise ValueError(f"expected calm and stressed to differ, found {self.calm} for both")
        if self.deadband > abs(self.stressed - self.calm):
            raise ValueError(
                f"expected deadband of at most |stressed - calm| = {abs(self.stressed - self.calm)}, "
                f"found {self.deadband}: nothing would ever move"
            )
        return self


class PortfolioConfig(Section):
    """What a keeper of a portfolio venue may do beside starting auctions, which is policy.liquidate."""

    take: bool = False
    takers: Annotated[
        tuple[AccountName, ...], Field(strict=False)
    ] = ()  # accounts that buy, each one auction at a time
    min_profit_usd: NotNegativeFloat = 0.0  # a take that promises less is left to others
    deadline_seconds: Positive = 120  # of block time after the decision; a later call reverts
    publish: bool = False
    publish_after_move: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5  # share of the move limit
    publish_after_seconds: Positive = 300  # age of the report that the arrays rest on

    @model_validator(mode="after")
    def _has_takers(self) -> Self:
        if self.take and not self.takers:
            raise ValueError("expected at least one of takers for take = true, found none")
        return self


class SignerConfig(Section):
    mode: Literal["observe", "shadow", "live"] = "observe"
    keystore: Annotated[Path, Field(strict=False)] | None = None  # relative to the configuration file
    address: Address | None = None
    max_gas: Positive = 5_000_000
    max_fee_gwei: PositiveFloat = 100.0
    tip_gwei: NotNegativeFloat = 2.0
    max_transactions_per_block: Positive = 10

    @property
    def max_fee(self) -> int:
        """Wei per gas, rounded down."""
        return to_base(self.max_fee_gwei, GWEI_DECIMALS, up=False)

    @property
    def tip(self) -> int:
        """Wei per gas, rounded down."""
        return to_base(self.tip_gwei, GWEI_DECIMALS, up=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "live" and self.keystore is None:
            raise ValueError('expected a keystore for mode = "live", found none')
        if self.mode != "observe" and self.address is None:
            raise ValueError(f'expected an address for mode = "{self.mode}", found none')
        if self.tip_gwei > self.max_fee_gwei:
            raise ValueError(f"expected tip_gwei <= max_fee_gwei, found {self.tip_gwei:g}, {self.max_fee_gwei:g}")
        return self


class JournalConfig(Section):
    url: Annotated[str, AfterValidator(_journal_url)] = Field(default="sqlite:///keeper.db", repr=False)
    keep_ticks: Positive = 10_000


class JobsConfig(Section):
    heartbeat_seconds: PositiveFloat = 10.0
    heartbeat_file: Annotated[Path, Field(strict=False)] = Path("keeper-heartbeat.json")
    volatility_seconds: PositiveFloat = 60.0
    volatility_window_hours: PositiveFloat = 24.0
    volatility_half_life_hours: PositiveFloat = 6.0
    prune_seconds: PositiveFloat = 600.0


class Config(Section):
    """A whole file."""

    chain: ChainConfig
    venue: VenueConfig
    oracle: Annotated[tuple[OracleConfig, ...], Field(strict=False)] = ()
    policy: PolicyConfig = PolicyConfig()
    parameter: Annotated[tuple[ParameterConfig, ...], Field(strict=False)] = ()
    portfolio: PortfolioConfig = PortfolioConfig()
    signer: SignerConfig = SignerConfig()
    journal: JournalConfig = JournalConfig()
    jobs: JobsConfig = JobsConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.oracle and self.venue.name not in OWN_PRICES:
            raise ValueError("oracle: expected at least one [[oracle]], found none")
        _require_distinct("oracle.address", [oracle.address for oracle in self.oracle])
        _require_distinct("parameter.name", [parameter.name for parameter in self.parameter])
        symbols = {oracle.symbol for oracle in self.oracle}
        for index, parameter in enumerate(self.parameter):
            if parameter.symbol not in symbols:
                raise ValueError(
                    f"parameter[{index}].symbol: expected the symbol of an [[oracle]] ({', '.join(sorted(symbols))}), "
                    f"found {parameter.symbol!r}"
                )
        return self


def load(path: Path, *, venues: Collection[str] | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Return the checked configuration at `path`, with what the environment overrides.

    `venues` are the names [venue] may carry. Raises ConfigError with every fault of the file.
    """
    environ = os.environ if environ is None else environ
    tables, overridden = _overlaid(_parsed(path), environ)
    context = {} if venues is None else {"venues": venues}
    try:
        config = Config.model_validate(tables, context=context)
    except ValidationError as error:
        faults = [_fault(detail, overridden) for detail in error.errors(include_url=False)]
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise ConfigError(f"{path}: {len(faults)} setting(s) to correct:{lines}") from None
    return _rooted(config, path.parent)


def keystore_password(environ: Mapping[str, str] | None = None) -> SecretStr:
    """Return the keystore's password from KEEPER_KEYSTORE_PASSWORD or the file KEEPER_KEYSTORE_PASSWORD_FILE names.

    A line break at the file's end is not part of it. Raises ConfigError if there is none.
    """
    environ = os.environ if environ is None else environ
    if PASSWORD in environ:
        return SecretStr(environ[PASSWORD])
    name = environ.get(PASSWORD_FILE)
    if not name:
        raise ConfigError(
            f"keystore password: expected it in {PASSWORD} or in the file named by {PASSWORD_FILE}, found neither"
        )
    try:
        return SecretStr(Path(name).read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{PASSWORD_FILE}: expected a readable text file at {name}, found {type(error).__name__}; check the path"
        ) from None


def _parsed(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a configuration file, found {error.strerror}; copy keeper.example.toml"
        ) from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, integers beyond 4300 digits
        raise ConfigError(f"{path}: expected TOML in UTF-8, found: {error}") from error


def _overlaid(
    tables: dict[str, object], environ: Mapping[str, str]
) -> tuple[dict[str, object], dict[tuple[str, ...], str]]:
    """Return the tables with the environment's settings in place, and which settings those were."""
    overridden: dict[tuple[str, ...], str] = {}
    for (section, key), variable in OVERRIDES.items():
        table = tables.get(section, {})
        if environ.get(variable) and isinstance(table, dict):
            tables = {**tables, section: {**table, key: environ[variable]}}
            overridden[section, key] = variable
    return tables, overridden


def _rooted(config: Config, folder: Path) -> Config:
    """Return the configuration with the keystore's path taken from the file's folder, not the working directory."""
    if config.signer.keystore is None:
        return config
    signer = config.signer.model_copy(update={"keystore": folder / config.signer.keystore})
    return config.model_copy(update={"signer": signer})


def _require_distinct(key: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{key}: expected each once, found {', '.join(twice)} more than once")


_SECTIONS: dict[str, type[Section]] = {
    "chain": ChainConfig,
    "venue": VenueConfig,
    "oracle": OracleConfig,
    "policy": PolicyConfig,
    "parameter": ParameterConfig,
    "portfolio": PortfolioConfig,
    "signer": SignerConfig,
    "journal": JournalConfig,
    "jobs": JobsConfig,
}


def _fault(detail: ErrorDetails, overridden: Mapping[tuple[str, ...], str]) -> str:
    """Return one line: key, what was expected, what was found."""
    place = detail["loc"]
    variable = overridden.get(tuple(str(part) for part in place))
    where = _dotted(place) + (f" (from {variable})" if variable else "")
    match detail["type"]:
        case "extra_forbidden":
            return f"{where}: expected no such key{_nearest(place)}"
        case "missing":
            return f"{where}: expected a setting, found none"
        case "value_error":
            return _own_fault(where, detail)
        case "model_type" | "dict_type":
            return f"{where}: expected a table, found {_shown(place, detail['input'])}"
        case "tuple_type":
            return f"{where}: expected tables [[{where}]], found {_shown(place, detail['input'])}"
    expected = re.sub(r"^(Input|String|Tuple) should (be )?", "", detail["msg"])
    return f"{where}: expected {expected}, found {_shown(place, detail['input'])}"


def _own_fault(where: str, detail: ErrorDetails) -> str:
    """Return a fault worded by a validator above; those of whole tables say themselves what they found."""
    said = str(detail["ctx"]["error"])
    found = "" if isinstance(detail["input"], dict) else f"; found {_shown(detail['loc'], detail['input'])}"
    return f"{where}: {said}{found}" if where else f"{said}{found}"


def _dotted(place: Sequence[str | int]) -> str:
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return keys.removeprefix(".")


def _nearest(place: Sequence[str | int]) -> str:
    section = _SECTIONS.get(str(place[0])) if len(place) > 1 else None
    known = list(section.model_fields) if section else list(_SECTIONS)
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _shown(place: Sequence[str | int], found: object) -> str:
    """Return what may be shown of a setting: no URL's secrets, nothing endless."""
    if isinstance(found, str) and ("://" in found or str(place[-1]).endswith("url")):
        return redacted(found)
    if isinstance(found, str) and _KEY_LIKE.search(found):
        return "something as long as a private key, not shown"
    if isinstance(found, int) and found.bit_length() > 256:
        return "an integer beyond 256 bits"
    if isinstance(found, dict | list):
        return "a table" if isinstance(found, dict) else "an array"
    shown = repr(found)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
