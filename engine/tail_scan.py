"""Value at risk and expected shortfall of every account over thousands of equally likely scenarios.

Scenarios are taken in blocks that fit the second-level cache; the losses of LANES scenarios of an account are summed
in registers and only those above the account's bar are kept. The bar is set by the first block, somewhat below where
the tail should begin, and rises when the kept losses are thinned to the tail. A bar that turns out to have been too
high is noticed, since the tail then reaches below it or is not filled, and the account is done again without one: the
answer is exact whatever the order of the scenarios. An account's figures do not depend on which others stand beside it.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.compiled import INTERPRETED, kernel
from engine.registers import (
    above,
    add_product,
    aligned,
    bits,
    fill,
    least,
    load,
    lowest_bit,
    minimum,
    or_above,
    store,
    subtract,
)
from engine.scan import integers, numbers, require_finite, require_positions
from engine.types import Flags, Floats, Ints

LANES: Final = 64
"""Scenarios summed at a time: one bit each in a mask."""
BLOCK_BYTES: Final = 900_000
"""Of a block of scenarios, all instruments; within a second-level cache of 1 MB."""
KEPT_BYTES: Final = 32_000_000
"""Of the losses kept for the accounts that share one pass over the scenarios."""
MOST_ACCOUNTS: Final = 2048
ROOM: Final = 4
"""Tails of losses kept before they are thinned to one."""
GOLDEN: Final = 0.6180339887498949
ONE: Final = np.uint64(1)
ALL: Final = np.uint64(2**64 - 1)


def tail_risk(
    start: Ints, instrument: Ints, quantity: Floats, arrays: NDArray[np.floating], probability: float
) -> tuple[Floats, Floats]:
    """Return value at risk and expected shortfall of each account at `probability`, (A,) each, USD, loss > 0.

    Account a holds `quantity`, signed units, of the rows `instrument` of `arrays`, (I, S) USD per unit, gain > 0,
    in positions start[a]:start[a + 1]; an account without positions has zero of both. Arrays of float32 are summed
    in float64. With n = S · (1 - probability) and losses in descending order L_(1) >= L_(2) >= …:

        VaR = inf {x : P(L <= x) >= probability} = L_(⌊n⌋ + 1)
        ES  = (L_(1) + … + L_(⌊n⌋) + (n - ⌊n⌋) · L_(⌊n⌋ + 1)) / n

    Where n is a whole number VaR is thus the largest loss outside the n that ES averages, not the least of them; ES is
    the same for either. VaR as McNeil, Frey and Embrechts (Quantitative Risk Management, 2.3), ES as Acerbi and
    Tasche (2002, On the coherence of expected shortfall).

    Raises ValueError on a probability outside (0, 1), numbers that are not finite or slices that do not fit,
    IndexError on an unknown instrument.
    """
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability: expected a number between 0 and 1, found {probability}")
    require_positions(start, "start", instrument, quantity, arrays, "arrays")
    scenarios = arrays.shape[1]
    tail = scenarios * (1.0 - probability)
    # 1 - probability is rounded: 1000 · (1 - 0.9) is 99.99999999999997, and VaR jumps at whole numbers
    if abs(tail - round(tail)) <= 1e-12 * scenarios and round(tail) > 0:
        tail = float(round(tail))
    var, es = np.empty((2, start.size - 1))
    _tail(integers(start), integers(instrument), numbers(quantity), arrays, tail, var, es)
    return var, es


def _tail_py(
    start: Ints,
    instrument: Ints,
    quantity: Floats,
    arrays: NDArray[np.floating],
    tail: float,
    var: Floats,
    es: Floats,
) -> None:
    """Plain twin of `_tail_blocks`."""
    require_finite(arrays, "arrays")
    whole = min(math.floor(tail), arrays.shape[1] - 1)
    for a in range(var.size):
        held = slice(start[a], start[a + 1])
        ranked = np.sort(-(quantity[held] @ arrays[instrument[held]].astype(np.float64)))[::-1]
        var[a] = ranked[whole]
        es[a] = (ranked[:whole].sum() + (tail - whole) * ranked[whole]) / tail


def _tail_blocks(
    start: Ints,
    instrument: Ints,
    quantity: Floats,
    arrays: NDArray[np.floating],
    tail: float,
    var: Floats,
    es: Floats,
) -> None:
    """Fill var and es, (A,); `tail` scenarios make the tail. Accounts whose first bar was too high run once more."""
    unsure = np.flatnonzero(_pass_over(start, instrument, quantity, arrays, tail, True, var, es))
    if unsure.size == 0:
        return
    held = np.concatenate([np.arange(start[a], start[a + 1]) for a in unsure])
    again = np.concatenate(([0], np.cumsum(start[unsure + 1] - start[unsure])))
    found = np.empty((2, unsure.size))
    columns = integers(again), integers(instrument[held]), numbers(quantity[held])
    _pass_over(*columns, arrays, tail, False, *found)
    var[unsure], es[unsure] = found


def _pass_over(
    start: Ints,
    instrument: Ints,
    quantity: Floats,
    arrays: NDArray[np.floating],
    tail: float,
    hopeful: bool,
    var: Floats,
    es: Floats,
) -> Flags:
    """Fill var and es, (A,), as many accounts at a time as KEPT_BYTES hold; return which of them are not certain.

    VaR equal to the bar is certain where losses of the tail's number were kept: none above the bar was left out. With
    fewer kept, what was left out may equal the bar or lie below it.
    """
    instruments, scenarios = arrays.shape
    count = min(math.floor(tail), scenarios - 1) + 1
    width = min(max(BLOCK_BYTES // 8 // max(instruments, 1), LANES), scenarios + LANES - 1) // LANES * LANES
    rank = _first_rank(count * width / scenarios)
    capacity = (min(2 * width + ROOM * count, scenarios) // LANES + 2) * LANES
    accounts = max(1, min(KEPT_BYTES // 8 // capacity, MOST_ACCOUNTS, var.size))
    chunks = _spread(scenarios)
    block = aligned(instruments, width)
    kept = aligned(accounts, capacity)
    bar = np.full(var.size, -np.inf)
    unsure = np.zeros(var.size, np.bool_)
    for first in range(0, var.size, accounts):
        here = slice(first, first + accounts)
        size = np.zeros(bar[here].size, np.int64)
        for chunk in range(0, chunks.size, width // LANES):
            filled = _fill(block, arrays, chunks[chunk : chunk + width // LANES])
            if not np.isfinite(block).all():
                require_finite(arrays, "arrays")
            _keep_tail(start[first:], instrument, quantity, block, filled, count, kept, size, bar[here])
            if hopeful and chunk == 0 and rank < count:
                _hope(kept, size, rank, bar[here])
        _measure(kept, size, count, tail, var[here], es[here])
        unsure[here] = (size < count) | (var[here] < bar[here])
    return unsure


def _spread(scenarios: int) -> Ints:
    """Return the rows of LANES scenarios in an order that makes every block a sample of the whole history.

    Volatility comes in clusters: a first block of neighbours would set a bar of its own time. Multiples of the golden
    section leave no two neighbours together. What is left over after the last full row comes last.
    """
    full = scenarios // LANES
    order = np.argsort(np.arange(full) * GOLDEN % 1.0, kind="stable")
    return np.append(order, full) if scenarios % LANES else order


def _fill(block: Floats, arrays: NDArray[np.floating], chunks: Ints) -> int:
    """Fill the block with the losses of these rows of scenarios; return how many scenarios it holds."""
    filled = 0
    for chunk in chunks:
        shown = arrays[:, chunk * LANES : (chunk + 1) * LANES]
        np.negative(shown, out=block[:, filled : filled + shown.shape[1]], dtype=np.float64)
        filled += shown.shape[1]
    block[:, filled:] = 0.0
    return filled


def _first_rank(expected: float) -> int:
    """Return the rank in the first block of the loss that serves as first bar; `expected` of the block are in the tail.

    Four standard deviations of that number below the tail: one account in 30,000 is disappointed where scenarios are
    independent, all may be where they come sorted.
    """
    return math.ceil(expected + 4.0 * math.sqrt(expected)) + 2


def _keep_tail_registers(
    start: Ints,
    instrument: Ints,
    quantity: Floats,
    block: Floats,
    width: int,
    count: int,
    kept: Floats,
    size: Ints,
    bar: Floats,
) -> None:
    """Add to `kept`, (accounts, capacity), the losses above the bar in the first `width` scenarios of the block."""
    losses = np.empty((1, LANES))
    for a in range(bar.size):
        n = size[a]
        for column in range(0, width, LANES):
            total = fill(LANES, 0.0)
            for p in range(start[a], start[a + 1]):
                total = add_product(total, quantity[p], load(LANES, block, instrument[p], column))
            mask = above(total, bar[a])
            if column + LANES > width:
                mask &= (ONE << np.uint64(width - column)) - ONE
            if mask == ALL:
                store(total, kept, a, n)
                n += LANES
            elif mask != 0:
                store(total, losses, 0, 0)
                while mask != 0:
                    kept[a, n] = losses[0, lowest_bit(mask)]
                    n += 1
                    mask &= mask - ONE
            if n > kept.shape[1] - LANES:
                lowest = _ranked(kept, a, n, count)
                _thin(kept[a], n, count, lowest)
                bar[a] = max(bar[a], lowest)
                n = count
        size[a] = n


def _hope_registers(kept: Floats, size: Ints, rank: int, bar: Floats) -> None:
    """Raise each bar to the loss of that rank in the first block."""
    for a in range(bar.size):
        bar[a] = max(bar[a], _ranked(kept, a, size[a], rank))


def _thin_py(losses: Floats, size: int, count: int, least_kept: float) -> None:
    """Move the losses above `least_kept`, fewer than `count`, to the front and fill up to `count` with its equals."""
    above_it = 0
    for i in range(size):
        loss = losses[i]
        losses[above_it] = loss
        above_it += loss > least_kept
    losses[above_it:count] = least_kept


def _ranked_registers(kept: Floats, a: int, size: int, count: int) -> float:
    """Return the loss of rank `count`, the largest first, of the `size` losses in row a.

    Bisection between two floats until `count` losses are above the lower one, or, where several losses share the
    rank, until no float is left between the two: every loss above the lower one then equals the upper one.
    """
    filled = (size + LANES - 1) // LANES * LANES
    kept[a, size:filled] = kept[a, 0]
    lowest = load(LANES, kept, a, 0)
    highest_negated = subtract(fill(LANES, 0.0), lowest)
    for i in range(LANES, filled, LANES):
        losses = load(LANES, kept, a, i)
        lowest = minimum(lowest, losses)
        highest_negated = minimum(highest_negated, subtract(fill(LANES, 0.0), losses))
    low, high = float(least(lowest)), -float(least(highest_negated))
    kept[a, size:filled] = -np.inf
    if _count_above(kept, a, filled, low) < count:
        return low
    while True:
        middle = 0.5 * low + 0.5 * high
        if not low < middle < high:
            break
        found = _count_above(kept, a, filled, middle)
        if found >= count:
            low = middle
        else:
            high = middle
        if found == count:
            break
    nearest = fill(LANES, high)
    for i in range(0, filled, LANES):
        nearest = minimum(nearest, or_above(load(LANES, kept, a, i), low, high))
    return float(least(nearest))


def _count_above_registers(kept: Floats, a: int, filled: int, cut: float) -> int:
    """Return how many of the first `filled` losses of row a, a multiple of LANES, are > cut."""
    found: int = 0
    for i in range(0, filled, LANES):
        found += bits(above(load(LANES, kept, a, i), cut))
    return found


def _measure_registers(kept: Floats, size: Ints, count: int, tail: float, var: Floats, es: Floats) -> None:
    """Fill var and es: ES = VaR + E[max(L - VaR, 0)] / (1 - probability), Rockafellar and Uryasev (2000), theorem 1."""
    for a in range(var.size):
        var[a] = _ranked(kept, a, size[a], count)
        excess = 0.0
        for i in range(size[a]):
            excess += max(kept[a, i] - var[a], 0.0)
        es[a] = var[a] + excess / tail


_thin: Callable[..., None] = kernel(_thin_py)
_count_above: Callable[..., int] = kernel(_count_above_registers)
_ranked: Callable[..., float] = kernel(_ranked_registers)
_hope: Callable[..., None] = kernel(_hope_registers)
_keep_tail: Callable[..., None] = kernel(_keep_tail_registers)
_measure: Callable[..., None] = kernel(_measure_registers)
_tail: Callable[..., None] = _tail_py if INTERPRETED else _tail_blocks
