"""Every venue of VENUES keeps to every rule of the kit: docs/add-a-protocol.md."""

from pathlib import Path

import pytest

from keeper.venues import VENUES
from tests.conformance.contract import Trial, World, undone
from tests.conformance.isolated import Isolated
from tests.conformance.lens import ThroughLens
from tests.conformance.reading import READING
from tests.conformance.rules import RULES
from tests.conformance.worlds import WORLDS

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-protocol.md"


def test_every_venue_brings_a_world() -> None:
    assert set(WORLDS) == set(VENUES) - {Isolated.name}, "add a world to tests/conformance/worlds.py"


@pytest.mark.parametrize("rule", RULES)
def test_the_venue_keeps_to_the_rule(world: World, rule: str) -> None:
    with undone(world.rpc):
        Trial(world, lambda rpc: VENUES[world.name](rpc, world.address)).run(rule, RULES[rule])


@pytest.mark.parametrize("rule", READING)
def test_the_venue_read_through_the_lens_keeps_to_the_rule(world: World, rule: str) -> None:
    with undone(world.rpc):
        Trial(world, lambda rpc: VENUES[world.name](ThroughLens(rpc), world.address)).run(rule, READING[rule])


@pytest.mark.parametrize("rule", RULES)
def test_the_guide_explains_the_rule(rule: str) -> None:
    assert f"| **{rule}** |" in GUIDE.read_text()
