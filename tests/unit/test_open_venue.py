"""The configured venue with what makes its calls: by the adapter's kind, so that no protocol is named in the wiring."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app import open_venue
from keeper.config import load
from keeper.errors import ConfigError
from keeper.venues import VENUES

EXAMPLE = Path(__file__).parents[2] / "keeper.example.toml"
EXECUTOR = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"


def opened(monkeypatch: pytest.MonkeyPatch, kind: str, executor: str | None = EXECUTOR) -> Any:
    config = load(EXAMPLE, environ={})
    venue = SimpleNamespace(name="one more", kind=kind, through=lambda address: ("through", address))
    monkeypatch.setitem(VENUES, config.venue.name, lambda _rpc, _address: venue)
    chosen = config.model_copy(update={"portfolio": config.portfolio.model_copy(update={"executor": executor})})
    return open_venue(chosen, SimpleNamespace())


def test_any_portfolio_venue_is_asked_for_the_adapter_whose_calls_the_executor_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert opened(monkeypatch, "portfolio") == ("through", EXECUTOR)
    assert opened(monkeypatch, "portfolio", executor=None).kind == "portfolio"


def test_a_perpetual_venue_has_no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=f"expected none at venue one more, found {EXECUTOR}; leave it out"):
        opened(monkeypatch, "perpetual")
