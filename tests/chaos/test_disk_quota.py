"""T31 on a disk that is really full: a small tmpfs where one may be mounted, and a limit on the size of files.

Journal and signer's store are on it. Each runs in a keeper's process of its own, forked from this one.
"""

import multiprocessing
import os
import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tests.model import world as model
from tests.model.world import World

END_S = 300.0
BLOCKS = 30
ALARMS = ("free disk space", "see whether the disk is full")
SIZE = "16m"


@contextmanager
def ballast(world: World) -> Iterator[None]:
    """Fill the disk to its last byte."""
    path = world.folder / "ballast"
    with path.open("wb", buffering=0) as file:
        for piece in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"\0" * piece):
                    pass
            except OSError:
                continue
    yield
    path.unlink()


@contextmanager
def file_limit(world: World) -> Iterator[None]:
    """No file of this process may grow beyond what the journal's log has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((world.folder / "keeper.db-wal").stat().st_size, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def stops_and_resumes(folder: Path, full: Callable[[World], AbstractContextManager[None]]) -> None:
    """Send, fill the disk, require an alarm and no offer, make room, require sending and that all ends well."""
    model._folder.cache_clear()
    with mock.patch.object(model, "MEMORY", str(folder)):
        world = World()
        assert world.folder.parent == folder
        world.block([1, 2])
        with full(world):
            said = _alarm(world)
            offered = world.reader.offers_seen
            for _ in range(2):
                world.block([3, 4, 5])
            assert world.reader.offers_seen == offered, f"bytes were offered that could not be noted: {said}"
        world.chain.mine(random.Random(1), most=0)
        world.block([0])
        assert world.reader.offers_seen > offered, f"nothing was sent once there was room: {world.said}"
        world.see_through()
        world.close()


def _alarm(world: World) -> str:
    """Let blocks come until one ends with an alarm: a few small rows may still fit."""
    for _ in range(BLOCKS):
        world.chain.mine(random.Random(1), most=0)
        world.block([3, 4, 5])
        if world.said and any(advice in world.said[-1] for advice in ALARMS):
            return world.said[-1]
    raise AssertionError(f"expected an alarm within {BLOCKS} blocks, found {world.said}")


def in_a_process(folder: Path, full: Callable[[World], AbstractContextManager[None]]) -> None:
    child = multiprocessing.get_context("fork").Process(target=stops_and_resumes, args=(folder, full))
    child.start()
    child.join(END_S)
    try:
        assert child.exitcode == 0, "what failed is in the captured standard error"
    finally:
        child.kill()
        child.join()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of our own, or a skip that says why there is none."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(tmp_path)]
    done = subprocess.run(mount, capture_output=True, text=True) if os.getuid() == 0 else None
    if done is None or done.returncode != 0:
        pytest.skip(f"no tmpfs may be mounted: {done.stderr.strip() if done else 'not root'}; a file limit is tried")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_tmpfs_stops_sending_with_an_alarm_and_it_resumes(small_disk: Path) -> None:
    in_a_process(small_disk, ballast)


def test_files_that_may_not_grow_stop_sending_with_an_alarm_and_it_resumes(tmp_path: Path) -> None:
    in_a_process(tmp_path, file_limit)
