"""One world a venue, started once."""

from collections.abc import Iterator

import pytest

from tests.conformance.contract import World
from tests.conformance.worlds import WORLDS


@pytest.fixture(scope="session", params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with WORLDS[request.param]() as started:
        yield started
