"""The figures in docs/gas.md and docs/executor.md are those that forge measured and contracts/snapshots keep."""

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

WORST = {
    "its positions, read from the venue": "book",
    "check by arrays": "check, by arrays",
    "start by arrays": "start, by arrays",
    "start, proven by one scenario": "start, by scenario",
    "take by arrays": "take, by arrays",
    "take, proven, the taker's margin by arrays": "take, by scenario, taker by arrays",
    "take, proven, the taker's margin without arrays": "take, by scenario, arrays stale",
    "take of all, proven, insolvent, the taker's margin without arrays": "take of all, by scenario, insolvent",
    "the same with a bonus": "take of all, by scenario, insolvent, with a bonus",
}
WORLDS = ("two underlyings", "four underlyings", "four underlyings, all moving")
EXECUTOR = {
    "one report (a stub": "one report, two tokens to clear",
    "a report and a start": "a report and a proven start",
    "loan, deposit": "loan, deposit, take, withdraw, sell, repay",
    "publish three": "publish three expiries of six options",
}


def snapshot(name: str) -> dict[str, int]:
    said = json.loads((ROOT / "contracts/snapshots" / f"{name}.json").read_text())
    return {key: int(gas) for key, gas in said.items()}


def cells(page: str, row: str) -> list[str]:
    (line,) = (line for line in (ROOT / "docs" / page).read_text().splitlines() if line.startswith(f"| {row}"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def shown(gas: int) -> str:
    """Return gas as the page rounds it: thousands below a million, else millions with two digits."""
    return f"{gas / 1e6:.2f}M" if gas >= 1_000_000 else f"{gas / 1e3:.0f}k"


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_what_was_measured(row):
    name, key = ROWS[row]
    assert cells("gas.md", row)[0].split()[0] == shown(snapshot(name)[key])


@pytest.mark.parametrize("row", WORST)
def test_the_dearest_account_costs_what_was_measured(row):
    measured = snapshot("WorstCase")
    assert cells("gas.md", row)[:3] == [f"{measured[f'{world}: {WORST[row]}'] / 1e6:.2f}M" for world in WORLDS]


@pytest.mark.parametrize("row", EXECUTOR)
def test_a_job_costs_what_was_measured(row):
    assert cells("executor.md", row) == [shown(snapshot("KeeperExecutor")[EXECUTOR[row]])]
