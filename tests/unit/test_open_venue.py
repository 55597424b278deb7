"""The configured venue with what makes its calls: by the adapter's kind, so that no protocol is named in the wiring."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from keeper.app import open_venue
from keeper.config import load
from keeper.errors import ConfigError
from keeper.rpc import Rpc
from keeper.venues import VENUES

EXAMPLE = Path(__file__).parents[2] / "keeper.example.toml"
EXECUTOR = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"


def opened(
    monkeypatch: pytest.MonkeyPatch, kind: str, executor: str | None = EXECUTOR, inbox: Path | None = None
) -> Any:
    config, rpc = load(EXAMPLE, environ={}), cast(Rpc, None)
    venue = SimpleNamespace(name="one more", kind=kind, through=lambda address: ("through", address))
    monkeypatch.setitem(VENUES, config.venue.name, lambda _rpc, _address: venue)
    changes = {
        "portfolio": config.portfolio.model_copy(update={"executor": executor}),
        "reports": config.reports.model_copy(update={"inbox": inbox}),
    }
    return open_venue(config.model_copy(update=changes), rpc)


def test_any_portfolio_venue_is_asked_for_the_adapter_whose_calls_the_executor_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert opened(monkeypatch, "portfolio") == ("through", EXECUTOR)
    assert opened(monkeypatch, "portfolio", executor=None).kind == "portfolio"


def test_a_perpetual_venue_has_no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=f"executor: expected none at venue one more, found {EXECUTOR}; leave it out"):
        opened(monkeypatch, "perpetual")


def test_reports_for_a_venue_without_relays_are_not_left_lying_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"reports\.inbox: expected none at venue one more, found inbox"):
        opened(monkeypatch, "perpetual", None, Path("inbox"))
    assert opened(monkeypatch, "portfolio", None, Path("inbox")).kind == "portfolio"
