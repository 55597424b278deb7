"""Boards as files: the example is the demonstration board, and what is wrong is said by its place."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.cli import main
from keeper.errors import ConfigError
from keeper.reference.board import DEMO
from keeper.reference.boardfile import load_board
from tests.board_tables import EXAMPLE, WAD, Change, Place, at, beyond, changed, named, sized, small, written

TEXT = EXAMPLE.read_text()


def test_the_example_is_the_demonstration_board_with_signers() -> None:
    board = load_board(EXAMPLE)
    assert replace(board, signers=None) == DEMO
    assert board.signers is not None
    assert (len(board.signers.addresses), board.signers.quorum, board.signers.jump_quorum) == (3, 2, 3)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('symbol = "ETH"', "symbol = 5", r"underlyings\[0\]\.symbol: expected str, found 5"),
        ("scan = ", "scam = ", r"underlyings\[0\]\.scan\.scam: expected no such key"),
        ("quorum = 2\n", "", r"signers\.quorum: expected a setting"),
        ("haircut = 1_000", "haircut = 0.1", r"collaterals\[0\]\.haircut: expected int, found 0\.1"),
        ("haircut = 1_000", "haircut = true", r"haircut: expected int, found True"),
        ("expiries = [86_400, ", "expiries = [86_400.0, ", r"underlyings\[0\]\.expiries\[0\]: expected int"),
        ('    "0x', '    "0y', r"signers\.addresses\[0\]: expected an address"),
        ("decimals = 6", 'decimals = 6\naddress = "0x12"', r"settlement\.address: expected an address"),
        ("[limits]", "[[limits]]", r"limits: expected a table"),
        ("[settlement]", "[settlement", "line"),
    ],
)
def test_what_is_wrong_is_said_by_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TEXT
    path = tmp_path / "board.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError, match=says):
        load_board(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("discount = 500", "discount = -1", "limits.auction_discount: expected an integer in 1..9999, found -1;"),
        ('"ETH"', f'"{"ETH" * 13}"', "underlyings[0].symbol: expected 1 to 32 bytes, found 39: 'ETHETH"),
        ('"ETH"', f'"{"Ξ" * 17}"', "underlyings[0].symbol: expected 1 to 32 bytes, found 34"),
        ("decimals = 6", "decimals = 300", "settlement.decimals: expected an integer in 0..18, found 300;"),
        ("decimals = 8", "decimals = 5", "collaterals[1].token.decimals: expected an integer in 6..18, found 5;"),
        ("decimals = 18", 'decimals = 18\naddress = "0x1"', "collaterals[0].token.address: expected an address"),
        ("decimals = 6", f'decimals = 6\naddress = "0x{"0" * 40}"', "settlement.address: expected somebody's address"),
        ("funding_cap = ", f"funding_cap = 0x{'f' * 5_000} #", "underlyings[0].funding_cap: expected an integer in"),
        ("extreme = 450", "extreme = 150", "underlyings[0].scan.extreme: expected an integer in 150000000000000001.."),
        ("deep_down = 750", "deep_down = 450", "underlyings[0].scan.deep_down: expected an integer in 4500"),
        ("deep_up = 1_000", "deep_up = 450", "underlyings[0].scan.deep_up: expected an integer in 4500"),
        (
            "short_mm_rate = 50",
            "short_mm_rate = 101",
            "underlyings[0].margin.short_mm_rate: expected an integer in 0..100",
        ),
        ("a = 200_", "a = -200_", "underlyings[0].smile.a: expected an integer in -1526"),
        ("forward = 1_005", "forward = 499", "underlyings[0].smile.forward: expected an integer in 500000"),
        ("expiries = [86_400", "expiries = [7_199", "underlyings[0].expiries[0]: expected an integer in 7200.."),
        ("expiries = [86_400", "expiries = [601_201", "underlyings[0].expiries[1]: expected an integer in 604801.."),
        (
            "strikes = [800, 900, 1_000, 1_100, 1_200]",
            "strikes = []",
            "underlyings[0].strikes: expected 1 to 92 entries",
        ),
        ("strikes = [800", "strikes = [0", "underlyings[0].strikes[0]: expected an integer in 1.."),
        (
            "strikes = [800",
            "strikes = [900",
            "underlyings[0].strikes[1]: expected another than underlyings[0].strikes[0]",
        ),
        ("underlying = 2", "underlying = 3", "collaterals[2].underlying: expected an integer in 0..2, found 3;"),
        ("haircut = 600", "haircut = 476", "collaterals[2].haircut: expected an integer in 477..9999, found 476;"),
        ('"WETH"', '"USDC"', "collaterals[0].token.symbol: expected another than settlement.symbol, found the same"),
        ('"WETH"', '"executor"', "collaterals[0].token.symbol: expected another than the venue's executor"),
        ('symbol = "BTC"', 'symbol = "ETH"', "underlyings[1].symbol: expected another than underlyings[0].symbol"),
        (
            "price_period = 600",
            "price_period = 599",
            "relays.price_period: expected an integer in 600..86400, found 599;",
        ),
        ("surface_period = 900", "surface_period = 0", "relays.surface_period: expected an integer in 600..86400"),
        ("\nquorum = 2", "\nquorum = 1", "signers.quorum: expected an integer in 2..3, found 1;"),
        ("jump_quorum = 3", "jump_quorum = 1", "signers.jump_quorum: expected an integer in 2..3, found 1;"),
        ("0x574656CA38685DcC191D0e4594196530fB4A008A", f"0x{'f' * 40}", "signers.addresses[1]: expected ascending"),
    ],
)
def test_what_the_contracts_would_refuse_is_said_by_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TEXT
    path = tmp_path / "board.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {says}")):
        load_board(path)


def test_a_token_that_is_there_is_named_by_its_address(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    address = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
    path.write_text(TEXT.replace("decimals = 6", f'decimals = 6\naddress = "{address.lower()}"', 1))
    assert load_board(path).settlement.address == address


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a board"):
        load_board(tmp_path / "none.toml")


@pytest.mark.parametrize(("place", "found"), list(beyond()))
def test_what_is_beyond_a_bound_is_named(tmp_path: Path, place: Place, found: int) -> None:
    table = small(signers=True)
    wrong = changed(table, [(place, sized(at(table, place), found))])
    with pytest.raises(ConfigError, match=re.escape(f"board.toml: {named(place)}: expected")):
        load_board(written(wrong, tmp_path / "board.toml"))


def test_a_token_twice_is_refused(tmp_path: Path) -> None:
    there = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
    twice: list[Change] = [(("settlement", "address"), there), (("collaterals", 0, "token", "address"), there.lower())]
    with pytest.raises(ConfigError, match=r"token\.address: expected another than settlement\.address"):
        load_board(written(changed(small(), twice), tmp_path / "board.toml"))


def test_a_forward_is_half_the_price_at_least_also_of_an_odd_one(tmp_path: Path) -> None:
    price: Change = (("underlyings", 0, "price"), 3 * 10**21 + 1)
    low = written(changed(small(), [price, (("underlyings", 0, "smile", "forward"), WAD // 2)]), tmp_path / "low.toml")
    with pytest.raises(ConfigError, match=rf"smile\.forward: expected an integer in {WAD // 2 + 1}\.\."):
        load_board(low)


def test_first_slices_are_as_many_as_one_transaction_has_gas_for(tmp_path: Path) -> None:
    one = small(signers=True)["underlyings"][0] | {"expiries": [(n + 1) * 86_400 for n in range(24)]}
    three = {"underlyings": [one | {"symbol": f"U{n}"} for n in range(3)]}
    load_board(written(small(signers=True) | three, tmp_path / "board.toml"))
    with pytest.raises(ConfigError, match=r"together, without signers: expected an integer in 0\.\.48, found 72"):
        load_board(written(small() | three, tmp_path / "board.toml"))


def test_a_wrong_board_is_one_json_document_before_the_chain_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = written(changed(small(), [(("limits", "auction_discount"), -1)]), tmp_path / "board.toml")
    where = ["--rpc", "http://127.0.0.1:9", "--address", "0x00000000219ab540356cBB839Cbe05303d7705Fa"]
    monkeypatch.setattr("sys.argv", ["keeper", "deploy", *where, "--board", str(board), "--dry-run", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = json.loads(capsys.readouterr().out)
    assert (ended.value.code, said["exit_code"]) == (3, 3)
    assert "limits.auction_discount: expected an integer in 1..9999, found -1; see" in said["error"]
