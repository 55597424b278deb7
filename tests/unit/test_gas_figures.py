"""The figures in docs/gas.md are those forge measured and `make test` compares (contracts/snapshots)."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = {
    "margin by arrays, 16 options": ("WorstCase", "aims: check of 16 options in 4 expiries, with position reads"),
    "margin by arrays, 126 options": ("WorstCase", "aims: check of 126 options in 11 expiries, with position reads"),
    "challenge of one of 36": ("RiskArrays", "challenge"),
    "the dearest challenge found": ("RiskArrays", "challenge, the dearest"),
    "publish 36 options": ("RiskArrays", "publish 36"),
    "publish 100 options": ("RiskArrays", "publish 100"),
    "match, 16 options": ("MarginVenue", "match, 16 options each"),
    "withdraw, 16 options": ("MarginVenue", "withdraw, 16 options"),
    "deposit of the settlement token": ("MarginVenue", "deposit cash"),
    "relay a report": ("Relays", "report"),
    "relay three reports": ("Relays", "three reports"),
    "relay a slice": ("Relays", "slice"),
    "relay three slices": ("Relays", "three slices"),
}


def shown(gas: int) -> str:
    """Return gas as the page rounds it: thousands below a million, else millions with two digits."""
    return f"{gas / 1e6:.2f}M" if gas >= 1_000_000 else f"{gas / 1e3:.0f}k"


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_what_was_measured(row):
    name, key = ROWS[row]
    measured = int(json.loads((ROOT / "contracts/snapshots" / f"{name}.json").read_text())[key])
    (line,) = (line for line in (ROOT / "docs/gas.md").read_text().splitlines() if line.startswith(f"| {row}"))
    assert line.split("|")[2].split()[0] == shown(measured)
