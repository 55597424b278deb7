"""The worlds that the kit knows. To add a protocol: its world in a file beside this, and a line in the table."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from tests.conformance.contract import World
from tests.conformance.curie import curie_world
from tests.conformance.reference import reference_world

WORLDS: Final[dict[str, Callable[[], AbstractContextManager[World]]]] = {
    "perp_curie": curie_world,
    "reference": reference_world,
}
