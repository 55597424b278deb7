"""After a power cut the lane itself recovers: lease, import, adoption and release on what is left of the two logs.

A keeper of the model world works some blocks; of every call it makes to journal, signer or endpoints it is noted how
long the logs were and what the world outside knew. The journal's log is then cut in the middle of every frame and at
the end of every commit, the signer's where it stood at that moment, and a new keeper and a new signer go on from there,
I1 to I7 read after every commit (tests/model/reader.py).
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from unittest import mock

import pytest

from keeper.lanes import recover
from tests.model.chain import Chain, read
from tests.model.reader import Broken
from tests.model.world import World
from tests.signer_desk import GWEI
from tests.unit.test_forgiven_nonces import reconciled
from tests.unit.test_power_cut import FRAME_HEADER, frame_ends

JOURNAL, SIGNER = "keeper.db-wal", "signer.db-wal"
NEW = 9
"""An account that is endangered after the power cut."""
FORGIVEN = 2
"""Nonces that an operator forgave and that nobody used: they are given slots and filled."""
STEPS = {"adopted", "reserve", "sign", "stored", "offering", "offer", "answered", "mined", "final"}
"""Calls that the noted work must contain, and cuts fall between."""
KINDS = {"imported": "imported from the signer", "adopted": "its slot is forgotten", "released": "released the keeper"}
"""What recovery may have to do, and how the journal tells of it."""
STEPS_SINCE = "SELECT state, cause FROM steps WHERE id > ? ORDER BY id"


@dataclass(frozen=True)
class Moment:
    """How long the logs were, and what the world outside knew by then."""

    journal: int
    signer: int
    after: str  # the call that had just been made or was about to be
    offers: tuple[tuple[str, bytes], ...]  # endpoint and bytes, as read from its socket
    chain: Chain


class Noted(World):
    """A world that notes a moment before and after every call of the keeper's."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._offers: list[tuple[str, bytes]] = []
        super().__init__()
        for node in self.nodes:
            node._seen = self._seen

    def _seen(self, endpoint: str, raw: bytes) -> None:
        self.reader.offered(endpoint, raw)
        self._offers.append((endpoint, raw))

    def _tap(self, name: str, done: bool) -> None:
        super()._tap(name, done)
        sizes = (self._size(JOURNAL), self._size(SIGNER))
        self.moments.append(Moment(*sizes, name, tuple(self._offers), deepcopy(self.chain)))

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0


@dataclass(frozen=True)
class Work:
    """The disk when the power failed, every log whole, and the moments before."""

    files: dict[str, bytes]
    moments: tuple[Moment, ...]

    def cuts(self) -> Iterator[tuple[int, Moment]]:
        """Yield where to cut the journal's log, and the moment it is cut at: in the middle of every frame, when all was
        done that could be before it, and where a commit ends, as soon as it had returned."""
        ends, page = frame_ends(self.files[JOURNAL])
        commits = {moment.journal: moment for moment in reversed(self.moments)}
        yield from ((size, moment) for size, moment in sorted(commits.items()) if size)
        for size in (end - (FRAME_HEADER + page) // 2 for end in ends):
            if before := [moment for moment in self.moments if moment.journal <= size]:
                yield size, before[-1]

    def after(self, size: int, moment: Moment) -> World:
        """Return the world in which a new keeper starts over what the cut has left."""
        logs = {JOURNAL: self.files[JOURNAL][:size], SIGNER: self.files[SIGNER][: moment.signer]}
        return World({**self.files, **logs}, deepcopy(moment.chain))


@pytest.fixture(scope="module")
def work() -> Work:
    """Forgiven nonces, three accounts in two transactions, replaced as the base fee rises, mined and final."""
    world = Noted()
    reconciled(world, first=True, spare=FORGIVEN)
    for accounts, base_fee, most in (([], 10, 0), ([1, 2, 3], 10, 8), ([], 60, 0), ([4], 10, 1), *[([], 10, 8)] * 5):
        world.chain.base_fee = base_fee * GWEI
        world.block(accounts)
        world.desk.clocks.pass_(12.0)
        world.chain.mine(Random(1), most)
    files = {path.name: path.read_bytes() for path in world.folder.glob("*.db*") if not path.name.endswith("-shm")}
    world.close()
    return Work(files, tuple(world.moments))


def goes_on(work: Work, size: int, moment: Moment) -> set[str]:
    """Require that no person is needed, that all that was offered is known, and that it ends as the chain says.

    Return what recovery did, by KINDS."""
    world = work.after(size, moment)
    try:
        for endpoint, raw in moment.offers:
            world.reader.offered(endpoint, raw)
        ((before,),) = world.reader.rows("SELECT coalesce(max(id), 0) FROM steps")
        world.block([])
        causes = " ".join(f"{state} {cause}" for state, cause in world.reader.rows(STEPS_SINCE, before))
        world.see_through()
        world.block([NEW])  # sending goes on
        world.see_through()
        assert not world.said, world.said
        final = {nonce for (nonce,) in world.reader.rows("SELECT nonce FROM slots WHERE state = 'final'")}
        assert final >= {read(raw).nonce for _, raw in moment.offers}
        tried = world.reader.rows("SELECT subject FROM intents WHERE status IN ('achieved', 'failed')")
        assert NEW in {int(subject, 16) for (subject,) in tried}
        return {kind for kind, words in KINDS.items() if words in causes}
    finally:
        world.close()


def test_the_work_that_is_cut_has_every_kind_of_step(work: Work) -> None:
    assert {moment.after for moment in work.moments} >= STEPS


def test_a_keeper_recovers_from_a_cut_at_and_inside_every_frame(work: Work) -> None:
    done = set[str]()
    for size, moment in work.cuts():
        done |= goes_on(work, size, moment)
    assert done == KINDS.keys()


@pytest.mark.parametrize("step", ["_import", "_adopt", "_release"])
def test_without_a_step_of_recovery_a_cut_does_harm(work: Work, step: str) -> None:
    with mock.patch.object(recover, step, lambda *_: None):
        assert any(_does_harm(work, *cut) for cut in work.cuts())


def _does_harm(work: Work, size: int, moment: Moment) -> bool:
    try:
        goes_on(work, size, moment)
    except (Broken, AssertionError):
        return True
    return False
