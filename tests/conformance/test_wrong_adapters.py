"""The kit itself: each adapter that is wrong in one thing breaks the rule for it, and the message names the fault."""

import re

import pytest

from keeper.venues import VENUES
from tests.conformance.acting import ACTING, EVERY_KIND
from tests.conformance.conftest import STARTS
from tests.conformance.contract import Broken, World
from tests.conformance.rules import FAMILIES, RULES, first_broken
from tests.conformance.sending import TOGETHER
from tests.conformance.wrong import WRONG, Wrong

LEAST = 40
"""Wrong adapters a venue, as docs/add-a-protocol.md says."""
ABOUT_ACCOUNTS = {"complete", "agree", "corners", "unknown", "equality", "engine"}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_a_wrong_adapter_is_told_what_is_wrong(world: World, wrong: Wrong) -> None:
    if wrong.where is not None and world.name not in wrong.where:
        pytest.skip(f"{world.name} has nothing that could be wrong in this way")
    family = next(rules for rules in FAMILIES if wrong.rule in rules)  # who acts wrongly reads like the venue itself
    broken = first_broken(world, wrong.wrap(lambda rpc: VENUES[world.name](rpc, world.address)), family)
    assert broken is not None, f"{wrong.what}: nothing noticed"
    assert broken.rule == wrong.rule, str(broken)
    assert re.search(wrong.says, str(broken)), str(broken)

    assert_names_its_subject(broken, world)


def assert_names_its_subject(broken: Broken, world: World) -> None:
    """Every message has the same four parts; those about accounts name one, those about plans name the kind."""
    message = str(broken)
    assert re.fullmatch(rf"{broken.rule}: expected .+, found .+; .+", message), message
    kinds = [plan.kind for plan in EVERY_KIND]
    if broken.rule in ABOUT_ACCOUNTS:
        assert any(account.lower() in message.lower() for account in world.accounts), message
    elif broken.rule in (*TOGETHER, *ACTING) and "in the order of their first plan" not in message:
        assert any(kind in message for kind in kinds) or "transactions of at most" in message, message


def test_every_rule_is_broken_by_somebody() -> None:
    assert {wrong.rule for wrong in WRONG} == set(RULES)


@pytest.mark.parametrize("name", STARTS)
def test_every_venue_has_many_wrong_adapters(name: str) -> None:
    assert sum(wrong.where is None or name in wrong.where for wrong in WRONG) >= LEAST
