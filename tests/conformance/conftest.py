"""One world a venue, started once: those of VENUES, and one that is in no table but for the tests."""

from collections.abc import Iterator

import pytest

from keeper.venues import VENUES
from tests.conformance.contract import World
from tests.conformance.isolated import Isolated
from tests.conformance.isolated_world import isolated_world
from tests.conformance.worlds import WORLDS

GUEST = Isolated.name
STARTS = {**WORLDS, GUEST: isolated_world}


@pytest.fixture(scope="session", params=STARTS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, STARTS[request.param]() as started:
        if request.param == GUEST:
            patch.setitem(VENUES, GUEST, Isolated)
        yield started
