"""All rules of the kit, in the order in which they make sense: each one may rely on those before it."""

from collections.abc import Mapping
from typing import Final

from tests.conformance.acting import ACTING
from tests.conformance.contract import Broken, Make, Rule, Trial, World, undone
from tests.conformance.engine import ENGINE
from tests.conformance.reading import READING
from tests.conformance.sending import TOGETHER
from tests.conformance.terms import TERMS

FAMILIES: Final = (READING, ENGINE, TERMS, TOGETHER, ACTING)
RULES: Final[Mapping[str, Rule]] = READING | ENGINE | TERMS | TOGETHER | ACTING


def first_broken(world: World, make: Make, rules: Mapping[str, Rule] = RULES) -> Broken | None:
    """Return the first of the rules that the adapter breaks, as its author would see it; None: it keeps to all."""
    with undone(world.rpc):
        trial = Trial(world, make)
        for name, check in rules.items():
            try:
                if name in ACTING:  # these look at what the first of them did
                    trial.run(name, check)
                    continue
                with undone(world.rpc):
                    trial.run(name, check)
            except Broken as broken:
                return broken
    return None
