"""[relay]: which plans are given to private relays first, and for how long."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from keeper.config_fields import Positive, RpcUrl, Section

Kind = Literal["liquidate", "start_auction", "end_auction", "take_auction", "set_parameters", "write_parameters"]
"""Plans that may be private. Arrays never are: what waits for them would have to wait for the relay."""


class RelayConfig(Section):
    urls: Annotated[tuple[RpcUrl, ...], Field(strict=False)] = Field(default=(), repr=False)  # each is given everything
    route: Literal["bundle", "private_transaction"] = "bundle"  # how they are asked
    kinds: Annotated[tuple[Kind, ...], Field(strict=False)] = ()  # plans that go there first; all others are public
    deadline_blocks: Positive = 2  # that they have alone; then every endpoint gets the same bytes
    auth_key: Annotated[Path, Field(strict=False)] | None = None  # signs requests, made when missing; it holds nothing

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = [name for name in ("urls", "kinds", "auth_key") if getattr(self, name)]
        if len(given) not in (0, 3):
            raise ValueError(f"expected urls, kinds and auth_key, or none of them, found only {', '.join(given)}")
        return self
