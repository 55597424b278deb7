"""[signer]: who signs for the keeper, and what a transaction and a day may cost."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from keeper.config_fields import Address, NotNegativeFloat, Positive, PositiveFloat, Section
from keeper.units import to_base

GWEI_DECIMALS = 9
PPM_DECIMALS = 6


class KeyConfig(Section):
    """One more key: a lane of its own beside that of signer.address."""

    address: Address
    keystore: Annotated[Path, Field(strict=False)] | None = None  # for a signer of the keeper's own


class SignerConfig(Section):
    mode: Literal["observe", "shadow", "live"] = "observe"
    socket: Annotated[Path, Field(strict=False)] | None = None  # of a signer that runs by itself; else the keeper's own
    keystore: Annotated[Path, Field(strict=False)] | None = None  # for its own; relative to the configuration file
    address: Address | None = None
    key: Annotated[tuple[KeyConfig, ...], Field(strict=False)] = ()  # further keys, one password for all keystores
    max_gas: Positive = 5_000_000
    gas_margin: NotNegativeFloat = 0.25  # as a share of the gas a call used when simulated, up to max_gas
    max_fee_gwei: PositiveFloat = 100.0
    tip_gwei: NotNegativeFloat = 2.0  # of a first offer
    tip_ceiling_gwei: PositiveFloat = 50.0  # of a replacement
    patience_blocks: Positive = 2  # that the lowest nonce may wait for each of its attempts
    max_transactions_per_block: Positive = 10
    max_ether_per_transaction: PositiveFloat = 0.5  # worst case, gas limit times max fee, as all below
    max_ether_open: PositiveFloat = 5.0  # of all open nonces together
    max_ether_per_block: PositiveFloat | None = None  # of what is first signed in one; default: as many as are allowed
    max_ether_per_hour: PositiveFloat = 10.0
    max_ether_per_day: PositiveFloat = 50.0
    alert_below_ether: NotNegativeFloat = 0.1  # left if every open nonce landed at its worst
    gas_token_usd: PositiveFloat | None = None  # of one ether: weighs fees against what plans stand to lose

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return all keys' addresses, the home key's first."""
        return (*([self.address] if self.address else []), *(key.address for key in self.key))

    @property
    def keystores(self) -> dict[str, Path]:
        """Return address → keystore where one is named."""
        named = ((self.address, self.keystore), *((key.address, key.keystore) for key in self.key))
        return {address: path for address, path in named if address is not None and path is not None}

    @property
    def max_fee(self) -> int:
        """Wei per gas, rounded down."""
        return to_base(self.max_fee_gwei, GWEI_DECIMALS, up=False)

    @property
    def gas_margin_ppm(self) -> int:
        """Parts per million, rounded up."""
        return to_base(self.gas_margin, PPM_DECIMALS, up=True)

    @property
    def tip(self) -> int:
        """Wei per gas, rounded down."""
        return to_base(self.tip_gwei, GWEI_DECIMALS, up=False)

    @property
    def ether_per_block(self) -> float:
        if self.max_ether_per_block is None:
            return self.max_transactions_per_block * self.max_ether_per_transaction
        return self.max_ether_per_block

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "live" and self.keystore is None and self.socket is None:
            raise ValueError('expected a keystore or a signer\'s socket for mode = "live", found neither')
        if self.mode != "observe" and self.address is None:
            raise ValueError(f'expected an address for mode = "{self.mode}", found none')
        if len(set(self.addresses)) < len(self.addresses) or (self.key and self.address is None):
            raise ValueError("expected an address and further keys of other addresses, found one twice or none")
        if self.mode == "live" and self.socket is None and len(self.keystores) < len(self.addresses):
            raise ValueError("expected a keystore for each signer.key without a signer's socket, found less")
        if self.tip_gwei > self.max_fee_gwei:
            raise ValueError(f"expected tip_gwei <= max_fee_gwei, found {self.tip_gwei:g}, {self.max_fee_gwei:g}")
        if self.tip_gwei > self.tip_ceiling_gwei:
            found = f"found {self.tip_gwei:g}, {self.tip_ceiling_gwei:g}"
            raise ValueError(f"expected tip_gwei <= tip_ceiling_gwei, {found}")
        caps = self.max_ether_per_transaction, self.max_ether_per_hour, self.max_ether_per_day
        if sorted(caps) != list(caps):
            found = ", ".join(f"{cap:g}" for cap in caps)
            raise ValueError(f"expected max_ether_per_transaction <= per_hour <= per_day, found {found}")
        return self
