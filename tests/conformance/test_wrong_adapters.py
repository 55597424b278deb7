"""The kit itself: each adapter that is wrong in one thing breaks the rule for it, and the message names the fault."""

import re

import pytest

from keeper.venues import VENUES
from tests.conformance.acting import ACTING
from tests.conformance.contract import World
from tests.conformance.reading import READING
from tests.conformance.rules import RULES, first_broken
from tests.conformance.wrong import WRONG, Wrong


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_a_wrong_adapter_is_told_what_is_wrong(world: World, wrong: Wrong) -> None:
    family = READING if wrong.rule in READING else ACTING  # who acts wrongly reads like the venue itself
    broken = first_broken(world, wrong.wrap(lambda rpc: VENUES[world.name](rpc, world.address)), family)
    assert broken is not None, f"{wrong.what}: nothing noticed"
    assert broken.rule == wrong.rule, str(broken)
    assert re.search(wrong.says, str(broken)), str(broken)


def test_every_rule_is_broken_by_somebody() -> None:
    assert {wrong.rule for wrong in WRONG} == set(RULES)
