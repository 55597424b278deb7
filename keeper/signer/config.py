"""The signer's own file, signer.toml: where it listens, what it keeps, and what it may sign; see docs/signer.md.

Every fault is reported at once. Paths are relative to the file. Amounts stand in gwei and ether, rounded down to wei.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from keeper.config_faults import fault
from keeper.config_fields import Address, NotNegativeFloat, Positive, PositiveFloat, Section, Text
from keeper.errors import ConfigError
from keeper.signer.bounds import bound
from keeper.signer.policy import MAX_LEVELS, CallRule, Policy
from keeper.signer.signature import parse
from keeper.units import to_base

GWEI_DECIMALS = 9
ETHER_DECIMALS = 18

FilePath = Annotated[Path, Field(strict=False)]
Limit = Annotated[int, Field(ge=-(2**255), lt=2**256)]


Pair = Annotated[tuple[Limit, Limit], Field(strict=False)]
Row = Annotated[tuple[Pair, ...], Field(strict=False)]


class ProcessConfig(Section):
    mode: Literal["observe", "shadow", "live"] = "observe"
    chain_id: Positive
    socket: FilePath = Path("run/signer.sock")  # in a folder of mode 0700
    admin_socket: FilePath = Path("run/signer-admin.sock")
    store: FilePath = Path("signer.db")
    kill_file: FilePath = Path("KILL")  # while it exists nothing is signed; its folder must exist
    lease_seconds: PositiveFloat = 15.0


class KeyConfig(Section):
    address: Address
    keystore: FilePath


class FeesConfig(Section):
    max_gas: Positive = 5_000_000
    max_fee_gwei: PositiveFloat = 100.0
    max_tip_gwei: NotNegativeFloat = 10.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_tip_gwei > self.max_fee_gwei:
            found = f"found {self.max_tip_gwei:g} and {self.max_fee_gwei:g}"
            raise ValueError(f"expected max_tip_gwei <= max_fee_gwei, {found}")
        return self


class CapsConfig(Section):
    """Ether of worst case (gas limit × max fee) per key."""

    per_transaction: PositiveFloat
    per_hour: PositiveFloat
    per_day: PositiveFloat

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.per_transaction <= self.per_hour <= self.per_day:
            found = f"found {self.per_transaction:g}, {self.per_hour:g}, {self.per_day:g}"
            raise ValueError(f"expected per_transaction <= per_hour <= per_day, {found}")
        return self


class ArgumentConfig(Section):
    path: Text
    one_of: Annotated[tuple[bool | int | str, ...], Field(strict=False, min_length=1)] | None = None
    low: Limit | None = None
    high: Limit | None = None
    max_items: Annotated[int, Field(ge=0)] | None = None
    rows: Annotated[tuple[Row, ...], Field(strict=False, min_length=1)] | None = None  # a pair low, high a field


class CallConfig(Section):
    to: Address
    function: Annotated[str, Field(min_length=3, max_length=2_000)]  # with names, as in Solidity
    argument: Annotated[tuple[ArgumentConfig, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.rule()
        return self

    def rule(self) -> CallRule:
        """Return the rule. Raises ValueError where signature, paths and bounds do not fit each other."""
        function = parse(self.function)
        if function.levels > MAX_LEVELS:
            raise ValueError(f"expected arrays nested at most {MAX_LEVELS} deep, found {function.levels}")
        bounds = (bound(function, **argument.model_dump()) for argument in self.argument)
        return CallRule(self.to, function, tuple(bounds))


class SignerFile(Section):
    """A whole file."""

    signer: ProcessConfig
    key: Annotated[tuple[KeyConfig, ...], Field(strict=False, min_length=1)]
    fees: FeesConfig = FeesConfig()
    caps: CapsConfig
    call: Annotated[tuple[CallConfig, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        addresses = [key.address for key in self.key]
        if len(set(addresses)) < len(addresses):
            raise ValueError("key.address: expected each once, found one more than once")
        if self.signer.socket == self.signer.admin_socket:
            raise ValueError("signer.admin_socket: expected another path than signer.socket, found the same")
        return self

    def policy(self) -> Policy:
        return Policy(
            mode=self.signer.mode,
            chain_id=self.signer.chain_id,
            calls=tuple(call.rule() for call in self.call),
            max_gas=self.fees.max_gas,
            max_fee=to_base(self.fees.max_fee_gwei, GWEI_DECIMALS, up=False),
            max_tip=to_base(self.fees.max_tip_gwei, GWEI_DECIMALS, up=False),
            per_transaction=to_base(self.caps.per_transaction, ETHER_DECIMALS, up=False),
            per_hour=to_base(self.caps.per_hour, ETHER_DECIMALS, up=False),
            per_day=to_base(self.caps.per_day, ETHER_DECIMALS, up=False),
        )


def load(path: Path) -> SignerFile:
    """Return the checked file with its paths made absolute. Raises ConfigError with every fault of it."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        text = f"{path}: expected a configuration file, found {error.strerror}; copy docs/examples/signer.toml"
        raise ConfigError(text) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: expected TOML in UTF-8, found: {error}") from error
    try:
        found = SignerFile.model_validate(tables)
    except ValidationError as error:
        faults = [fault(detail, {}, _SECTIONS) for detail in error.errors(include_url=False)]
        lines = "".join(f"\n  {line}" for line in faults)
        raise ConfigError(f"{path}: {len(faults)} setting(s) to correct:{lines}") from None
    return _rooted(found, path.parent.absolute())


def _rooted(found: SignerFile, folder: Path) -> SignerFile:
    names = ("socket", "admin_socket", "store", "kill_file")
    signer = found.signer.model_copy(update={name: folder / getattr(found.signer, name) for name in names})
    keys = tuple(key.model_copy(update={"keystore": folder / key.keystore}) for key in found.key)
    return found.model_copy(update={"signer": signer, "key": keys})


_SECTIONS: dict[str, type[Section]] = {
    "signer": ProcessConfig,
    "key": KeyConfig,
    "fees": FeesConfig,
    "caps": CapsConfig,
    "call": CallConfig,
}
