"""The tables [portfolio] and [reports] of the configuration file: what a keeper of a portfolio venue may do."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from keeper.config_fields import AccountName, Address, NotNegativeFloat, Positive, Section


class ReportsConfig(Section):
    """What a keeper brings to the relays of a portfolio venue."""

    inbox: Annotated[Path, Field(strict=False)] | None = (
        None  # folder of signed reports and slices; none: bring nothing
    )


class PortfolioConfig(Section):
    """What a keeper of a portfolio venue may do beside starting auctions, which is policy.liquidate."""

    take: bool = False
    takers: Annotated[
        tuple[AccountName, ...], Field(strict=False)
    ] = ()  # accounts that buy, each one auction at a time
    executor: Address | None = None  # a KeeperExecutor that makes takes; the signer's keys operate it
    min_profit_usd: NotNegativeFloat = 0.0  # a take that promises less is left to others
    end: bool = True  # auctions of accounts that have recovered
    end_excess: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01  # of equity over MM before that, as a share of MM
    deadline_seconds: Positive = 120  # of block time after the decision; a later call reverts
    publish: bool = False
    publish_underlyings: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, max_length=4)
    ] = ()  # by number; none named: all (a publisher may serve four)
    publish_after_move: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5  # share of the move limit
    publish_after_shift: Annotated[float, Field(gt=0.0, le=1.0)] = 0.0025  # of a mark by its slice, share of the price
    publish_after_seconds: Positive = 300  # age of the report that the arrays rest on

    @model_validator(mode="after")
    def _has_takers(self) -> Self:
        if self.take and not self.takers:
            raise ValueError("expected at least one of takers for take = true, found none")
        return self
