"""The kit notices a lens that reads wrongly, whatever adapter stands on it: its reads do go through the lens."""

from collections.abc import Sequence

import pytest

from keeper.chain import Block, Call
from keeper.venues import VENUES
from tests.conformance.contract import World
from tests.conformance.lens import ThroughLens
from tests.conformance.reading import READING
from tests.conformance.rules import first_broken


class ZeroWords(ThroughLens):
    """Answers zeros where the lens says that a call failed."""

    def _through_lens(self, calls: Sequence[Call], block: Block) -> list[bytes | None]:
        return [bytes(192) if answer is None else answer for answer in super()._through_lens(calls, block)]

    def probe(self) -> bool:
        self._usable_from = self._clock()
        return True


class Newest(ThroughLens):
    """Names the newest block."""

    def _through_lens(self, calls: Sequence[Call], block: Block) -> list[bytes | None]:  # noqa: ARG002 - that is the mistake
        return super()._through_lens(calls, self.block())


@pytest.mark.parametrize(("lens", "rules"), [(ZeroWords, {"agree", "unknown"}), (Newest, {"block"})])
def test_a_wrong_lens_is_noticed(world: World, lens: type[ThroughLens], rules: set[str]) -> None:
    """A revert that is an answer, as that an underlying has no epoch, is one of the failures read as zeros."""
    broken = first_broken(world, lambda rpc: VENUES[world.name](lens(rpc), world.address), READING)
    assert broken is not None, "nothing noticed"
    assert broken.rule in rules, str(broken)
