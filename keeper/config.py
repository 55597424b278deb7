"""The configuration file: TOML, checked completely before anything starts; see keeper.example.toml.

Everything wrong with a file is reported at once, each line with the key, what was expected and what was found.
Secrets come from the environment only, and no message or repr shows more of a URL than scheme, host and port.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from keeper.config_faults import fault
from keeper.config_fields import (
    PPM,
    Address,
    JournalUrl,
    NotNegative,
    NotNegativeFloat,
    Number,
    ParameterName,
    Positive,
    PositiveFloat,
    RpcUrl,
    Section,
    Step,
    Text,
)
from keeper.config_portfolio import PortfolioConfig, ReportsConfig
from keeper.config_relay import RelayConfig
from keeper.config_sending import SendingConfig
from keeper.config_signer import SignerConfig
from keeper.errors import ConfigError
from keeper.signer.keystore import PASSWORD, PASSWORD_FILE, password_given

RPC_URL = "KEEPER_RPC_URL"
JOURNAL_URL = "KEEPER_JOURNAL_URL"

OVERRIDES = {("chain", "rpc_url"): RPC_URL, ("journal", "url"): JOURNAL_URL}
"""Settings an environment variable replaces, whatever the file says."""


class ChainConfig(Section):
    rpc_url: RpcUrl = Field(repr=False)  # the first of rpc_urls where only those are given
    rpc_urls: Annotated[tuple[RpcUrl, ...], Field(strict=False)] = Field(default=(), repr=False)  # offers go to all
    agreeing: Positive = 2  # endpoints that make a fact (receipt, nonce, header); all where there are fewer
    patience_seconds: PositiveFloat = 2.0  # for all endpoints' answers together
    chain_id: Positive
    poll_seconds: PositiveFloat = 0.05
    timeout_seconds: PositiveFloat = 10.0
    confirmations: NotNegative = 2  # blocks on top of a transaction's before its outcome is final

    @model_validator(mode="before")
    @classmethod
    def _first_url(cls, table: object) -> object:
        if isinstance(table, dict) and "rpc_url" not in table:
            urls = table.get("rpc_urls")
            if isinstance(urls, list) and urls:
                return {**table, "rpc_url": urls[0]}
        return table

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every URL once, the one for hot reads first."""
        return tuple(dict.fromkeys((self.rpc_url, *self.rpc_urls)))


class RpcConfig(Section):
    lens: Literal["auto", "off"] = "auto"  # many reads in one call where the node takes state overrides


class VenueConfig(Section):
    name: Text
    clearing_house: Address
    start_block: NotNegative  # no account of the venue exists before it

    @field_validator("name")
    @classmethod
    def _known(cls, name: str, validation: ValidationInfo) -> str:
        known = _venues(validation) or (name,)
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
    """How one parameter follows a feed's volatility. Whether stressed is above or below calm says what tighter is.

    Numbers are parts per million, and as the venue holds them where the name ends in a number (docs/parameters.md).
    """

    name: ParameterName
    symbol: Text  # the [[oracle]] whose volatility drives it
    calm: Number
    stressed: Number
    volatility_calm: NotNegativeFloat  # annualised: 0.8 is 80 % a year
    volatility_stressed: PositiveFloat
    max_step_tighten: Step
    max_step_loosen: Step
    min_interval_tighten_seconds: NotNegative
    min_interval_loosen_seconds: NotNegative
    deadband: Number = 0  # a smaller move is not worth a transaction

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        most = max(self.calm, self.stressed, self.max_step_tighten, self.max_step_loosen)
        if most > PPM and not self.name.rpartition(":")[2].isdecimal():
            raise ValueError(f"expected numbers of at most {PPM} parts per million, found {most}")
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


class JournalConfig(Section):
    url: JournalUrl = Field(default="sqlite:///keeper.db", repr=False)
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
    rpc: RpcConfig = RpcConfig()
    venue: VenueConfig
    oracle: Annotated[tuple[OracleConfig, ...], Field(strict=False)] = ()
    policy: PolicyConfig = PolicyConfig()
    parameter: Annotated[tuple[ParameterConfig, ...], Field(strict=False)] = ()
    portfolio: PortfolioConfig = PortfolioConfig()
    reports: ReportsConfig = ReportsConfig()
    signer: SignerConfig = SignerConfig()
    sending: SendingConfig = SendingConfig()
    relay: RelayConfig = RelayConfig()
    journal: JournalConfig = JournalConfig()
    jobs: JobsConfig = JobsConfig()

    @model_validator(mode="after")
    def _consistent(self, validation: ValidationInfo) -> Self:
        if not self.oracle and _venues(validation).get(self.venue.name) == "perpetual":  # others report prices
            raise ValueError("oracle: expected at least one [[oracle]], found none")
        if self.sending.policy == "profit" and self.signer.gas_token_usd is None:
            raise ValueError('signer.gas_token_usd: expected for sending.policy = "profit", found none')
        _require_distinct("oracle.address", [oracle.address for oracle in self.oracle])
        _require_distinct("parameter.name", [parameter.name for parameter in self.parameter])
        if self.relay.kinds and self.relay.deadline_blocks >= self.policy.plan_lifetime_blocks:
            raise ValueError(
                f"relay.deadline_blocks: expected less than policy.plan_lifetime_blocks "
                f"({self.policy.plan_lifetime_blocks}), found {self.relay.deadline_blocks}: nothing would become public"
            )
        symbols = {oracle.symbol for oracle in self.oracle}
        for index, parameter in enumerate(self.parameter):
            if parameter.symbol not in symbols:
                raise ValueError(
                    f"parameter[{index}].symbol: expected the symbol of an [[oracle]] ({', '.join(sorted(symbols))}), "
                    f"found {parameter.symbol!r}"
                )
        return self


def _venues(validation: ValidationInfo) -> Mapping[str, str]:
    context: Mapping[str, Mapping[str, str]] = validation.context or {}
    return context.get("venues", {})


def load(path: Path, *, venues: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Return the checked configuration at `path`, with what the environment overrides.

    `venues` are the names [venue] may carry, each with its kind; None: any, of any kind.
    Raises ConfigError with every fault of the file.
    """
    environ = os.environ if environ is None else environ
    tables, overridden = _overlaid(_parsed(path), environ)
    context = {} if venues is None else {"venues": venues}
    try:
        config = Config.model_validate(tables, context=context)
    except ValidationError as error:
        faults = [fault(detail, overridden, _SECTIONS) for detail in error.errors(include_url=False)]
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise ConfigError(f"{path}: {len(faults)} setting(s) to correct:{lines}") from None
    return _rooted(config, path.parent)


def keystore_password(environ: Mapping[str, str] | None = None) -> SecretStr:
    """Return the keystore's password from KEEPER_KEYSTORE_PASSWORD or the file KEEPER_KEYSTORE_PASSWORD_FILE names.

    A line break at the file's end is not part of it. Raises ConfigError if there is none.
    """
    password = password_given(environ)
    if password is None:
        raise ConfigError(
            f"keystore password: expected it in {PASSWORD} or in the file named by {PASSWORD_FILE}, found neither"
        )
    return password


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
    """Return the configuration with its relative paths taken from the file's folder, not the working directory."""
    found = {name: getattr(config.signer, name) for name in ("keystore", "socket")}
    rooted = {name: folder / path for name, path in found.items() if path is not None}
    keys = tuple(
        key.model_copy(update={"keystore": key.keystore and folder / key.keystore}) for key in config.signer.key
    )
    signer = config.signer.model_copy(update={**rooted, "key": keys})
    auth_key = config.relay.auth_key
    relay = config.relay.model_copy(update={"auth_key": auth_key and folder / auth_key})
    inbox = config.reports.inbox
    reports = config.reports.model_copy(update={"inbox": inbox and folder / inbox})
    return config.model_copy(update={"signer": signer, "relay": relay, "reports": reports})


def _require_distinct(key: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{key}: expected each once, found {', '.join(twice)} more than once")


_SECTIONS: dict[str, type[Section]] = {
    "chain": ChainConfig,
    "rpc": RpcConfig,
    "venue": VenueConfig,
    "oracle": OracleConfig,
    "policy": PolicyConfig,
    "parameter": ParameterConfig,
    "portfolio": PortfolioConfig,
    "reports": ReportsConfig,
    "signer": SignerConfig,
    "sending": SendingConfig,
    "relay": RelayConfig,
    "journal": JournalConfig,
    "jobs": JobsConfig,
}
