"""Boards as files: the example is the demonstration board, and what is wrong is said by its place."""

from dataclasses import replace
from pathlib import Path

import pytest

from keeper.errors import ConfigError
from keeper.reference.board import DEMO
from keeper.reference.boardfile import load_board

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "board.toml"
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


def test_a_token_that_is_there_is_named_by_its_address(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    address = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
    path.write_text(TEXT.replace("decimals = 6", f'decimals = 6\naddress = "{address.lower()}"', 1))
    assert load_board(path).settlement.address == address


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a board"):
        load_board(tmp_path / "none.toml")
