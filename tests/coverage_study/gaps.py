"""How much of the gap charge convexity needs: against the true depth, and against a bound with a third tangent."""

from itertools import pairwise

import numpy as np

from engine.black76 import greeks
from engine.book import OPTION
from engine.margin.array_words import ASCENDING, GRID_ROWS
from engine.types import Floats
from tests.coverage_study.measure import groups
from tests.coverage_study.world import CLASSES, TERMS, World, expiry_class, option_columns


def third_tangent(world: World) -> Floats:
    """Return a tighter gap of every instrument, (I,): tangents at both ends and the middle of each cell, which takes
    twelve more Black-76 an option.

    With c the slope of the cell's chord, p, m, n those at its ends and middle, the chord leaves the lower envelope
    most where two neighbouring tangents meet: (c − p)(m h/2 − rise of the left half) / (m − p), likewise on the right.
    """
    found = np.zeros(len(world.instruments.names))
    row = np.flatnonzero(world.instruments.kind == OPTION)
    forward, strike, years, vol, _, fixed = option_columns(world.instruments, world.market, row)
    left = np.maximum(strike - fixed, 0.0)
    shock = TERMS.vols(world.market.seconds[world.instruments.expiry[row]])
    for turn in (0, 1):
        at = [TERMS.prices[r] for r in ASCENDING]
        at = np.array(sorted([*at, *(0.5 * (a + b) for a, b in pairwise(at))]))
        black = greeks(
            forward[:, np.newaxis] * at,
            left[:, np.newaxis],
            years[:, np.newaxis],
            (vol * shock[:, turn])[:, np.newaxis],
            np.True_,
        )
        for a in range(0, at.size - 1, 2):
            half = forward * (at[a + 1] - at[a])
            value, slope = black.price[:, a : a + 3], black.delta[:, a : a + 3]
            first, second = value[:, 1] - value[:, 0], value[:, 2] - value[:, 1]
            chord = (first + second) / (2.0 * half)
            low = np.maximum(chord - slope[:, 0], 0.0) * np.maximum(slope[:, 1] * half - first, 0.0)
            high = np.maximum(slope[:, 2] - chord, 0.0) * np.maximum(second - slope[:, 1] * half, 0.0)
            for area, turn_of in ((low, slope[:, 1] - slope[:, 0]), (high, slope[:, 2] - slope[:, 1])):
                gap = np.divide(area, turn_of, out=np.zeros(row.size), where=turn_of > 1e-13)
                found[row] = np.maximum(found[row], np.where(left > 0.0, np.minimum(gap, half), 0.0))
    return found


def by_class(world: World, worded: Floats, values: Floats, marks: Floats, tighter: Floats) -> dict[str, Floats]:
    """Return gap ÷ scan of each book's options of each expiry class alone, both bounds, (N, 2); books without a scan in
    the class are left out."""
    held, found = world.holdings(), {}
    option = world.instruments.kind == OPTION
    classes = np.where(option, expiry_class(world.market.seconds)[world.instruments.expiry], -1)
    for c, name in enumerate(CLASSES):
        own = held * (classes == c)
        scan = np.zeros(held.shape[0])
        for g in groups(world):
            rows = own[:, g] @ values[g, :GRID_ROWS]
            scan += np.maximum((own[:, g] @ marks[g]) - rows.min(axis=1), 0.0)
        some = scan > 1e-9 * np.maximum(np.abs(own).sum(axis=1), 1e-300)
        long = np.maximum(own[some], 0.0)
        found[name] = np.stack([long @ worded, long @ tighter], axis=1) / scan[some, np.newaxis]
    return found
