"""Every scenario there is, and the names of those that are still to be written."""

from tests.chaos_suite.scenario import Scenario, both
from tests.chaos_suite.scenarios import fees, nonces, outages, reorgs, rivals

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("T1", "the base fee rises twentyfold", *both(fees.spike)),
    Scenario("T2", "the node drops what is underpriced", *both(fees.drops), geth_pool=False),
    Scenario("T3", "the head of line is swallowed", *both(nonces.stuck_head)),
    Scenario("T4", "nonces are refused in mid-burst", *both(nonces.gap)),
    Scenario("T5", "a reorg removes liquidations", *both(reorgs.removed)),
    Scenario("T6", "a reorg moves liquidations", *both(reorgs.moved)),
    Scenario("T10", "a competitor is faster", *both(rivals.outbid)),
    Scenario("T15", "twenty short outages", *both(outages.flapping)),
    Scenario("T21", "a take reverts though its simulation passed", *both(rivals.state_moved), world="reference"),
)

WANTED = (
    *(f"T{n}" for n in (*range(1, 11), 15, *range(21, 25), 26, 29, 30, 31)),
    *(f"F{n}" for n in (*range(1, 6), 8, 10, 11, 12, 15, *range(17, 21), *range(22, 27), 28)),
)
"""T… of failure_scenarios 2c and F… of the sending notes that the suite is to cover."""

MISSING: frozenset[str] = frozenset((
    "T7", "T8", "T9", "T22", "T23", "T24", "T26", "T29",
    "T30", "T31", "F1", "F2", "F3", "F4", "F5", "F8", "F10", "F11", "F12", "F15", "F17", "F18", "F19", "F20",
    "F22", "F23", "F24", "F25", "F26", "F28",
))  # fmt: skip
"""Wanted and not there yet; whoever adds one to SCENARIOS takes its name from here."""
