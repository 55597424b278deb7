"""Another venue of the portfolio kind is a line of VENUES: nothing beside the adapter knows the first one by name."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from reference_market import KEEPER, TRADERS, USDC, Market, named, open_market, write_config

from keeper.cli.run import once
from keeper.demo.anvil import Anvil, start_anvil
from keeper.rpc import Rpc
from keeper.venues import VENUES
from keeper.venues.reference import Reference


class Fork(Reference):
    name = "fork"


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(gas_limit=400_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def market(anvil: Anvil) -> Market:
    opened = open_market(Rpc(anvil.url, timeout_s=60.0))
    opened.deposit(named(TRADERS[0]), 1_000 * USDC)
    opened.mine()
    return opened


def test_the_keeper_reads_and_publishes_there(
    anvil: Anvil,
    market: Market,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(VENUES, "fork", Fork)
    path = write_config(tmp_path, anvil.url, market, (named(KEEPER),), mode="observe")
    path.write_text(path.read_text().replace('name = "reference"', 'name = "fork"'))
    market.next_block(2)
    market.report([u.price * 98 // 100 for u in market.board.underlyings], fit=True)
    market.mine()
    once(path, json=True)
    seen = json.loads(capsys.readouterr().out)
    assert seen["accounts"] == 1
    assert {plan["kind"] for plan in seen["plans"]} == {"publish_arrays"}
