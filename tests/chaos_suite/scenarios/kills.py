"""SIGKILL at points drawn by hypothesis, with fifty liquidations to send; the next keeper sees all of it through."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from keeper.demo.transactions import GWEI
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import Deaf, imported, kept_once
from tests.chaos_suite.killing import BLOCKS, Place, Point, Steps, dies_at, rehearsed
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage, staged
from tests.chaos_suite.world import ENDANGERED, CurieSite, curie, undone

EXAMPLES: Final = 10
"""Points of one seed: 200 in twenty seeds."""
SPIKE: Final = 4
"""Times the base fee after the first block: beyond the headroom of all fifty, so that all are replaced."""
ATTEMPTS: Final = "SELECT slot_id, kind, tx_hash, raw FROM slot_attempts ORDER BY id"

NAMED: Final = {
    "after reserve": Point("reserve", 1, "after"),
    "after sign": Point("sign", 1, "after"),
    "after store": Point("stored", 1, "after"),
    "after broadcast": Point("offer", 1, "after"),
    "after receipt": Point("mined", 1, "before"),
}
"""The fault points of a ledger: the receipts of all fifty are read before `mined` is called."""


class Block:
    """The blocks of a run: dear after the first one, as cheap as the base fee falls by itself afterwards."""

    def __init__(self, on: Stage, calm: int) -> None:
        self._on, self._fees = on, [SPIKE * calm]
        on.mine(base_fee=calm)

    def __call__(self) -> None:
        self._on.mine(base_fee=self._fees.pop() if self._fees else None)


def killed(on: Stage, point: Point, calm: int, *, protected: bool = True, **parts: Any) -> Figures:
    """Run one keeper to its death and the next one to the end; return what was counted. `calm`: base fee, wei."""
    dies_at(on, point, BLOCKS, Block(on, calm), **parts)
    ledger = (lambda journal: journal) if protected else (lambda journal: Deaf(journal, "imported"))
    keeper = on.keeper(ledger=ledger, **parts)
    stored = keeper.rows(ATTEMPTS)
    left = Counter(keeper.slots())
    on.tick(keeper)
    imported(on, keeper)
    finish(on, keeper, ENDANGERED, 20)
    kept = keeper.rows(ATTEMPTS)[: len(stored)]
    require(kept == stored, f"expected the dead keeper's {len(stored)} attempts first and as they were, found others")
    require(on.reverted() == 0, f"expected no revert, found {on.reverted()}")
    states = " ".join(f"{state} {count}" for state, count in sorted(left.items()))
    return kept_once(on, keeper, ENDANGERED) | {"point": str(point), "left": states}


def random_points(*, protected: bool) -> Run:
    """Kills: ten points of one seed, each in a world as new: before, inside or after any call that sending makes.

    Unprotected: what the signer signed for the dead keeper is not taken into the ledger.
    """

    def run(_stage: Stage, rng: random.Random) -> Figures:
        with curie() as site:  # a node of its own: the blocks of eleven runs would push out states that reorgs need
            if not protected:
                with apart(site) as on:
                    return killed(on, NAMED["after sign"], GWEI, protected=False)
            with apart(site) as on:
                steps = rehearsed(on, BLOCKS, Block(on, GWEI))
            missing = {point.method for point in NAMED.values()} - steps.keys()
            hit(not missing, f"expected a keeper that calls {sorted(missing)}, found none")
            return _examples(site, rng, steps)

    return run


def _examples(site: CurieSite, rng: random.Random, steps: Steps) -> Figures:
    tried: list[Point] = []

    @seed(rng.getrandbits(64))
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(points(steps, rng), st.integers(GWEI // 10, GWEI))
    def example(point: Point, calm: int) -> None:
        tried.append(point)
        with apart(site) as on:
            killed(on, point, calm)

    example()
    inside = sum(point.place == "inside" for point in tried)
    told = "; ".join(map(str, tried))
    return {"examples": len(tried), "distinct": len(set(tried)), "inside": inside, "points": told}


def points(steps: Steps, rng: random.Random) -> st.SearchStrategy[Point]:
    """Any call of the rehearsal, then any place of it: before, after each of its steps, after it returned.

    Calls in an order of the seed's own, for hypothesis begins with the simplest.
    """
    calls = [(method, row + 1, inside) for method, rows in sorted(steps.items()) for row, inside in enumerate(rows)]
    rng.shuffle(calls)
    return st.sampled_from(calls).flatmap(lambda one: st.builds(_point, st.just(one), st.integers(0, one[2] + 1)))


def _point(call: tuple[str, int, int], step: int) -> Point:
    method, number, inside = call
    place: Place = "before" if step == 0 else "inside" if step <= inside else "after"
    return Point(method, number, place, step if place == "inside" else 0)


@contextmanager
def apart(site: CurieSite) -> Iterator[Stage]:
    """Yield a stage over the site; what is done to its chain is undone."""
    with (
        TemporaryDirectory(prefix="kill-") as folder,
        undone(site),
        staged(site, Path(folder), seed=1, geth_pool=True) as built,
    ):
        yield built
