"""A collateral that turns on the keeper, listed at Curie for one run and held by accounts that can be liquidated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eth_abi.abi import encode

from keeper.abi import ABIS
from keeper.demo.curie import DEPLOYER
from keeper.demo.transactions import Batch, call
from tests.chain.lane_world import ETHER, LaneKeeper
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import CurieSite

Mode = Literal["behave", "revert", "burn gas", "return bomb", "revert bomb"]
MODES: tuple[Mode, ...] = ("behave", "revert", "burn gas", "return bomb", "revert bomb")
"""As HostileCollateral.Mode, in its order."""
RATIOS_PPM = (700_000, 100_000)
UNIT = 10**18


@dataclass(frozen=True, slots=True)
class Hostile:
    """The token; what it does to the keeper's transactions is said before a block and costs one itself."""

    stage: Stage
    token: str
    holders: tuple[str, ...]

    def turn(self, mode: Mode, *, size: int = 0, when_tried: bool = False) -> None:
        """Do this to the keeper from the next block on, with `size` bytes where it is a bomb.

        Not while something waits in the proxy's pool: the node makes this block alone.
        """
        signature = "turn(uint8,address,bool,uint256)"
        told = call(self.token, signature, MODES.index(mode), self.stage.site.address, when_tried, size)
        batch = Batch(self.stage.site.rpc)
        batch.add(DEPLOYER, told, mode, gas=200_000)
        batch.mine()


def hostile(stage: Stage, holders: Sequence[str]) -> Hostile:
    """List a hostile token, give each holder a unit of it as collateral, and let the run begin after that."""
    site = stage.site
    assert isinstance(site, CurieSite)
    deployment, batch = site.fallen.deployment, Batch(site.rpc)
    c = deployment.contracts
    code = json.loads((ABIS / "demo_test" / "HostileCollateral.json").read_text())["bytecode"]
    arguments = encode(["address", "uint256"], [deployment.collaterals[0].aggregator, UNIT])
    token = batch.create(DEPLOYER, bytes.fromhex(code[2:]) + arguments, "create the hostile token")
    listed = call(
        c.collateral_manager,
        "addCollateral(address,(address,uint24,uint24,uint256))",
        token,
        (token, *RATIOS_PPM, ETHER * UNIT),
    )
    batch.add(DEPLOYER, call(token, "mint(address,uint256)", DEPLOYER, len(holders) * UNIT), "mint", gas=200_000)
    batch.add(DEPLOYER, call(token, "approve(address,uint256)", c.vault, 2**256 - 1), "approve", gas=200_000)
    batch.mine()
    batch.add(site.address, listed, "list the hostile token", gas=400_000)
    batch.mine()
    for holder in holders:
        message = call(c.vault, "depositFor(address,address,uint256)", holder, token, UNIT)
        batch.add(DEPLOYER, message, f"deposit for {holder}", gas=600_000)
    batch.mine()
    stage.begin()
    return Hostile(stage, token, tuple(holders))


def left_alone(keeper: LaneKeeper) -> frozenset[str]:
    """Return whom the keeper leaves alone for now, as its status tells an operator."""
    found = keeper.lane.status()["left_alone"]
    assert isinstance(found, dict)
    return frozenset(found)
