"""The table [sending] of the configuration file: what is worth sending, and what is kept for liquidations."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from keeper.config_fields import NotNegativeFloat, Section


class SendingConfig(Section):
    policy: Literal["protocol", "profit"] = "protocol"
    loss_ether_per_day: NotNegativeFloat | None = None  # protocol: on what earns nothing; default: the signer's day
    least_net_ether: NotNegativeFloat = 0.0  # profit: expected after gas, of each transaction
    reserved: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2  # share of block, transactions and caps, for liquidations

    @model_validator(mode="after")
    def _of_its_policy(self) -> Self:
        if self.policy == "profit" and self.loss_ether_per_day is not None:
            raise ValueError('expected no loss_ether_per_day for policy = "profit", which sends nothing at a loss')
        if self.policy == "protocol" and self.least_net_ether:
            raise ValueError('expected no least_net_ether for policy = "protocol", which also sends what earns nothing')
        return self
