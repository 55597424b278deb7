"""Bounds of a board held against the contracts: what is accepted deploys whole, what lies beyond they refuse too."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from eth_abi.exceptions import EncodingError
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import Batch, TransactionFailed, role
from keeper.errors import ConfigError
from keeper.reference import boardfile
from keeper.reference.board import Board
from keeper.reference.boardfile import load_board
from keeper.reference.deploy import deploy
from keeper.reference.manifest import Manifest
from keeper.reference.reports import Reporters
from keeper.rpc import Rpc
from keeper.twin.records import RecordError
from tests.board_tables import (
    BOUNDS,
    HOUR,
    SIGNERS,
    WAD,
    Change,
    Place,
    at,
    beyond,
    changed,
    named,
    sized,
    small,
    written,
)

OURS = {
    (("settlement", "name"), 0),
    (("settlement", "name"), 65),
    (("settlement", "symbol"), 0),
    (("settlement", "symbol"), 33),
    (("underlyings", 0, "symbol"), 0),
    (("underlyings",), 0),
    *((("limits", f"max_{what}_age"), age) for what in ("report", "epoch", "slice") for age in (0, 2**40)),
}
"""Refused here and not by the contracts: they take empty names and boards, and any age, which then no report has."""
U: Place = ("underlyings", 0)
LEAST: list[Change] = [
    *((place, low) for place, (low, _) in BOUNDS.items() if len(place) > 1 and place[0] != "signers"),
    (("settlement", "name"), "x"),
    (("settlement", "symbol"), "x"),
    ((*U, "symbol"), "x"),
    ((*U, "price"), 2),
    ((*U, "expiries"), [2 * HOUR, 3 * HOUR]),
    ((*U, "strikes"), [5 * 10**12]),
    ((*U, "smile", "a"), 0),
    (("collaterals", 0, "haircut"), 1),
    (("collaterals", 0, "token", "decimals"), 6),
]
"""Each field at its lower bound, as low as the others let it be."""
ODD: list[Change] = [((*U, "price"), 3 * 10**21 + 1), ((*U, "smile", "forward"), WAD // 2 + 1)]
"""Half of an odd price is rounded up."""
MOST: list[Change] = [
    *((place, high) for place, (_, high) in BOUNDS.items() if len(place) > 1 and place[0] != "signers"),
    (("settlement", "name"), "n" * 64),
    (("settlement", "symbol"), "s" * 32),
    ((*U, "symbol"), "u" * 32),
    ((*U, "expiries"), [*((n + 2) * HOUR for n in range(23)), 2**39]),
    ((*U, "strikes"), [20_000 - n for n in range(92)]),
    (("collaterals", 0, "underlying"), 0),
]
"""Each at its upper one."""


@pytest.fixture(scope="module")
def rpc() -> Iterator[Rpc]:
    with start_anvil() as anvil:
        yield Rpc(anvil.url, timeout_s=60.0)


def load(table: dict[str, Any]) -> Board:
    with tempfile.TemporaryDirectory() as folder:
        return load_board(written(table, Path(folder) / "board.toml"))


def deployed(rpc: Rpc, board: Board) -> Manifest:
    """Deploy it, and take it back."""
    snapshot = rpc.call("evm_snapshot")
    try:
        return deploy(rpc, Batch(rpc), role("deployer"), board, board.signers or Reporters.named("one", 1, 1, 1))
    finally:
        assert rpc.call("evm_revert", snapshot) is True


def crowded(table: dict[str, Any]) -> dict[str, Any]:
    """Return the board with as many underlyings and collaterals as there may be, and as many first slices."""
    underlyings = [table["underlyings"][0] | {"symbol": f"U{n}"} for n in range(30)]
    underlyings[2:] = [u | {"expiries": []} for u in underlyings[2:]]
    token = table["collaterals"][0]["token"]
    kinds = [table["collaterals"][0] | {"token": token | {"symbol": f"C{n}"}, "underlying": n} for n in range(24)]
    return table | {"underlyings": underlyings, "collaterals": kinds}


@pytest.mark.parametrize(
    "table",
    [
        small(),
        small(signers=True),
        changed(small(), LEAST),
        changed(small(), ODD),
        crowded(changed(small(), MOST)),
        small() | {"signers": {"addresses": [f"0x{n:040x}" for n in range(1, 32)], "quorum": 31, "jump_quorum": 31}},
        small() | {"signers": {"addresses": SIGNERS["addresses"][:1], "quorum": 1, "jump_quorum": 1}},
    ],
    ids=["small", "signed", "least", "odd", "most", "31 signers", "1 signer"],
)
def test_a_board_at_its_bounds_deploys_whole(rpc: Rpc, table: dict[str, Any]) -> None:
    assert len(deployed(rpc, load(table)).underlyings) == len(table["underlyings"])


JUST_BEYOND: list[list[Change]] = [
    [((*U, "scan", "extreme"), 15 * 10**16)],
    [((*U, "scan", "deep_up"), 45 * 10**16)],
    [((*U, "scan", "deep_down"), 45 * 10**16)],
    [((*U, "margin", "short_mm_rate"), 101)],
    [((*U, "smile", "a"), -152_630_272_226_711_304)],
    [((*U, "smile", "forward"), WAD // 2), ((*U, "price"), 3 * 10**21 + 1)],
    [((*U, "expiries", 1), 25 * HOUR - 60)],
    [((*U, "strikes"), [])],
    [((*U, "strikes", 1), 900)],
    [((*U, "strikes", 0), 0)],
    [((*U, "strikes", 1), 33_333_333_334)],
    [(("collaterals", 0, "underlying"), 1)],
    [(("collaterals", 0, "haircut"), 476)],
    [(("collaterals", 0, "token", "decimals"), 5)],
    [(("relays", "price_period"), 599)],
    [(("relays", "surface_period"), 599)],
    [(("relays", "surface_period"), 599), (("relays", "carry_limit"), 0)],
    [(("signers", "quorum"), 1)],
    [(("signers", "jump_quorum"), 1)],
    [(("signers", "addresses", 1), f"0x{1:040x}")],
]
"""What one field may not be because of another."""


def unruled(patch: pytest.MonkeyPatch, table: dict[str, Any]) -> Board:
    """Load it without our rules; what the twin's records refuse at birth stays refused."""
    patch.setattr(boardfile, "require_range", lambda *_: None)
    patch.setattr(boardfile, "require_rules", lambda *_: None)
    return load(table)


@pytest.mark.parametrize(("place", "found"), [case for case in beyond() if case not in OURS])
def test_what_is_beyond_a_bound_the_contracts_refuse_too(
    rpc: Rpc, monkeypatch: pytest.MonkeyPatch, place: Place, found: int
) -> None:
    table = small(signers=place[0] == "signers")
    with pytest.raises((EncodingError, TransactionFailed, RecordError, ConfigError)):
        deployed(rpc, unruled(monkeypatch, changed(table, [(place, sized(at(table, place), found))])))


@pytest.mark.parametrize("changes", JUST_BEYOND)
def test_what_a_rule_forbids_the_contracts_refuse_too(
    rpc: Rpc, monkeypatch: pytest.MonkeyPatch, changes: list[Change]
) -> None:
    place = changes[0][0]
    table = changed(small(signers=place[0] == "signers"), changes)
    with pytest.raises(ConfigError, match=re.escape(f"board.toml: {named(place)}: expected")):
        load(table)
    with pytest.raises(TransactionFailed):
        deployed(rpc, unruled(monkeypatch, table))


@st.composite
def boards(draw: st.DrawFn) -> dict[str, Any]:
    """Any few numbers of one or two records at, near or between their bounds: rules tie those of one record mostly."""
    table = small(signers=draw(st.booleans()))
    numbers = [place for place in BOUNDS if place[0] in table and type(at(table, place)) is int]
    records = sorted({place[:-1] for place in numbers}, key=str)
    chosen = draw(st.lists(st.sampled_from(records), min_size=1, max_size=2, unique=True))
    changes = []
    for place in draw(st.lists(st.sampled_from([p for p in numbers if p[:-1] in chosen]), max_size=4, unique=True)):
        low, high = BOUNDS[place]
        near = st.sampled_from([low, low + 1, high - 1, high])
        changes.append((place, draw(near | st.integers(low, high) | st.just(at(table, place) + 1))))
    if draw(st.booleans()):
        expiries = st.lists(st.integers(HOUR, 48 * HOUR) | st.just(2 * HOUR), max_size=3).map(sorted)
        shares = st.lists(st.integers(1, 20_000), max_size=3)
        changes += [((*U, "expiries"), draw(expiries)), ((*U, "strikes"), draw(shares))]
    return changed(table, changes)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(boards())
def test_a_board_that_is_accepted_deploys_whole(rpc: Rpc, table: dict[str, Any]) -> None:
    """Whatever else is refused: nothing ends with half of a venue."""
    board = None
    with suppress(ConfigError):
        board = load(table)
    if board is not None:
        deployed(rpc, board)
