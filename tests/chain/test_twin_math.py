"""The contracts' mathematics against the integer twin, bit for bit, batched over one Anvil.

Points are drawn so that every branch is met; which ones were is asserted, so that a comparison cannot be empty.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import astuple

import pytest
from eth_abi.abi import decode

from keeper.abi import ABIS, Interface, interface
from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import Batch, role
from keeper.rpc import Rpc
from keeper.twin.auction import Concentration, Terms, largest, meaningful, payment, quote, requirement_after
from keeper.twin.black76 import black
from keeper.twin.fixed import WAD, exp_wad, ln_wad, sdiv, sqrt
from keeper.twin.normal import FARTHEST, HART_END, normal
from keeper.twin.records import Instrument, Report, ScanParameters, Slice
from keeper.twin.words import (
    arrays,
    mark,
    mark_delta_row,
    option_words,
    packed,
    price_factors,
    terms,
    variance,
    vol_factors,
)
from tests.twin_worlds import ENGINE_SEED, black_point, random_case

POINTS = 10_000
ARRAYS = 2_000
CHUNK = 400  # options a call
GAS = 4_000_000_000
SEED = 76
Case = tuple[Report, Slice, ScanParameters, Instrument]


class Harness:
    """A harness on a chain of its own: arguments as rows of words, answers as rows of words."""

    def __init__(self, rpc: Rpc, name: str) -> None:
        self.rpc = rpc
        self.abi: Interface = interface(f"reference_test/{name}")
        document = json.loads((ABIS / "reference_test" / f"{name}.json").read_text())
        batch = Batch(rpc)
        self.address = batch.create(role("twin"), bytes.fromhex(document["bytecode"][2:]), name)
        batch.mine()

    def ask(self, name: str, rows: Sequence[Sequence[int]]) -> tuple:
        """Call a function whose only argument is an array of static elements."""
        function = self.abi.function(name)
        words = (32, len(rows), *(word for row in rows for word in row))
        body = function.selector + b"".join((word % 2**256).to_bytes(32) for word in words)
        call = {"to": self.address, "data": "0x" + body.hex(), "gas": hex(GAS)}
        return decode(function.outputs, bytes.fromhex(self.rpc.call("eth_call", call, "latest")[2:]))


@pytest.fixture(scope="module")
def node() -> Iterator[Rpc]:
    with start_anvil(gas_limit=GAS) as anvil:
        yield Rpc(anvil.url, timeout_s=60.0)


@pytest.fixture(scope="module")
def harness(node: Rpc) -> Harness:
    return Harness(node, "MathHarness")


def signed(rng: random.Random, most_bits: int) -> int:
    return rng.choice((-1, 1)) * rng.getrandbits(rng.randint(1, most_bits))


def single(xs: Sequence[int]) -> list[tuple[int]]:
    return [(x,) for x in xs]


def test_ln(harness):
    rng = random.Random(SEED)
    xs = [1, 2, WAD - 1, WAD, WAD + 1, 2**255 - 1, *(2**n for n in range(255)), *(2**n - 1 for n in range(2, 255))]
    xs += [1 + rng.getrandbits(rng.randint(1, 254)) for _ in range(POINTS)]
    assert harness.ask("logarithms", single(xs))[0] == tuple(ln_wad(x) for x in xs)


def test_exp(harness):
    rng = random.Random(SEED)
    xs = [0, 1, -1, -41446531673892822313, -41446531673892822312, 135305999368893231588, -(2**255)]
    xs += [rng.randrange(-42 * WAD, 135 * WAD) for _ in range(POINTS // 2)]
    xs += [signed(rng, 66) for _ in range(POINTS // 2)]
    assert harness.ask("exponentials", single(xs))[0] == tuple(exp_wad(x) for x in xs)


def test_sqrt(harness):
    rng = random.Random(SEED)
    xs = [0, 1, 2, 3, 4, 2**256 - 1, *(n * n - 1 for n in range(1, 99)), *(n * n for n in range(99))]
    xs += [rng.getrandbits(rng.randint(1, 256)) for _ in range(POINTS)]
    assert harness.ask("roots", single(xs))[0] == tuple(sqrt(x) for x in xs)


def test_normal(harness):
    rng = random.Random(SEED)
    seams = [z + step for z in (0, HART_END, FARTHEST) for step in (-1, 0, 1)]
    xs = [sign * z for z in seams for sign in (1, -1)] + [-(2**255), 2**255 - 1]
    xs += [rng.randrange(-95 * WAD // 10, 95 * WAD // 10) for _ in range(POINTS // 2)]
    xs += [signed(rng, 70) for _ in range(POINTS // 2)]
    assert harness.ask("normals", single(xs))[0] == tuple(normal(x) for x in xs)


def option(rng: random.Random) -> tuple[int, int, int]:
    """Forward, strike and standard deviation: near the money, anywhere, and at the edges of the branches."""
    strike = rng.randint(1, 2 ** rng.randint(1, 90))
    near = strike * rng.randint(50, 200) // 100
    forward = rng.choice((near, near, near, rng.getrandbits(rng.randint(1, 90)), strike, 0))
    sd = rng.choice((rng.randint(0, 2 * 10**8), rng.randint(10**8, WAD // 10), rng.randint(1, 20 * WAD), 10**8 - 1))
    return forward, strike, sd


def test_black(harness):
    rng = random.Random(SEED)
    xs = [option(rng) for _ in range(POINTS)]
    again = random.Random(ENGINE_SEED)
    engine = [black_point(again) for _ in range(POINTS)]  # at which the twin is near the engine
    assert harness.ask("calls", engine)[0] == tuple(black(*x) for x in engine)
    expected = tuple(black(*x) for x in xs)
    assert harness.ask("calls", xs)[0] == expected
    priced = [(x, y) for x, y in zip(xs, expected, strict=True) if x[0] and x[2] >= 10**8]
    assert sum(0 < call < forward for (forward, _, _), (call, _) in priced) > POINTS // 4
    assert sum(call == max(f - k, 0) for (f, k, _), (call, _) in priced) > POINTS // 50


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    rng = random.Random(SEED)
    return [random_case(rng) for _ in range(POINTS)]


def row_of(case: Case, row: int = 255) -> tuple[int, ...]:
    report, slice_, scan, instrument = case
    return (*astuple(report), *astuple(slice_), *astuple(scan), instrument.id, row)


def chunks(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    for at in range(0, len(cases), CHUNK):
        yield cases[at : at + CHUNK]


def test_variance_and_standard_deviation(harness, cases):
    clamped = 0
    for part in chunks(cases):
        found = harness.ask("deviations", [row_of(c) for c in part])[0]
        ours = tuple((variance(s, i.strike_wad), terms(r, s, p).sd(i.strike_wad)) for r, s, p, i in part)
        assert found == ours
        clamped += sum(v in (10**14, 100 * WAD) for v, _ in ours)
    assert 0 < clamped < POINTS // 2


def test_rows_and_volatility_multiples(harness, cases):
    for part in chunks(cases):
        prices, up, down = harness.ask("rows", [row_of(c) for c in part])
        assert prices == tuple(price_factors(p) for _, _, p, _ in part)
        assert tuple(zip(up, down, strict=True)) == tuple(vol_factors(p, s.expiry - r.timestamp) for r, s, p, _ in part)


def test_whole_arrays(harness, cases):
    fixed = used_up = gaps = 0
    for part in chunks(cases[:ARRAYS]):
        ours = []
        for r, s, p, i in part:
            t = terms(r, s, p)
            words = option_words(t, i.strike_wad, i.is_call)
            ours.append(packed(words))
            fixed += t.fixed > 0
            used_up += t.fixed >= i.strike_wad
            gaps += words[3] > 0
        assert harness.ask("arrays", [row_of(c) for c in part])[0] == b"".join(ours)
    assert fixed > 100
    assert used_up > 20
    assert gaps > ARRAYS // 3


def test_one_row_and_the_mark(harness, cases):
    rng = random.Random(SEED)
    for part in chunks(cases[:ARRAYS]):
        rows = [rng.choice((*range(18), 255)) for _ in part]
        found = harness.ask("legs", [row_of(c, row) for c, row in zip(part, rows, strict=True)])[0]
        for (r, s, p, i), row, (now, delta, then, worth) in zip(part, rows, found, strict=True):
            t = terms(r, s, p)
            ours = mark_delta_row(t, i.strike_wad, i.is_call, None if row == 255 else row)
            assert (now, delta, then - now) == ours
            assert worth == mark(t, i.strike_wad, i.is_call)


def test_an_expiry_is_its_options_one_by_one(harness):
    """What is published for an expiry at once, beside the contract's recomputation of each array alone."""
    report, slice_, scan, _ = random_case(random.Random(SEED))
    strikes = [report.price * n // 30 // 10**10 for n in range(15, 45)]
    listed = [Instrument(0, slice_.expiry, max(k, 1), call, 0) for k in strikes for call in (True, False)]
    rows = [Instrument(i.underlying, i.expiry, i.strike, i.is_call, n) for n, i in enumerate(listed)]
    found = harness.ask("arrays", [row_of((report, slice_, scan, i)) for i in rows])[0]
    assert found == arrays(report, slice_, scan, rows)


def situation(rng: random.Random) -> tuple[Terms, tuple[Concentration, ...], int, int, int, int, int]:
    """Terms, concentrations, buffer, largest fraction, the part's share of equity, fund, allowance; MM to billions."""
    mm = rng.randint(10**16, 10 ** rng.randint(17, 27))
    equity = rng.choice((rng.randrange(mm), mm * rng.randint(0, 99) // 100, -rng.randrange(2 * mm), 0, 1))
    terms_ = Terms(equity, mm, rng.choice((0, 1, 500, 2_500, 9_999)), rng.choice((10, 10**6, mm // 1_000 + 3)))
    parts = tuple(
        Concentration(rng.randrange(mm // 3), rng.randrange(mm)) if rng.random() < 0.6 else Concentration(0, 0)
        for _ in range(3)
    )
    most = rng.choice((WAD, WAD, rng.randint(1, WAD), rng.randint(1, 100)))
    fund = rng.choice((0, rng.randrange(mm), 10 * mm))
    allowed = rng.choice((0, rng.randrange(mm // 10), 10 * mm))
    return terms_, parts, rng.choice((1, 500, 2_000, 10_000)), most, rng.randint(0, 12 * WAD // 10), fund, allowed


def test_takes(node):
    rng = random.Random(SEED)
    drawn = [situation(rng) for _ in range(POINTS)]
    rows = [
        (*astuple(t), *(n for p in parts for n in astuple(p)), buffer, most, share, fund, allowed)
        for t, parts, buffer, most, share, fund, allowed in drawn
    ]
    harness = Harness(node, "AuctionHarness")
    found = [row for at in range(0, POINTS, 2_000) for row in harness.ask("takes", rows[at : at + 2_000])[0]]
    partial = refused = deficits = limited = 0
    for (t, parts, buffer, most, share, fund, allowed), row in zip(drawn, found, strict=True):
        fraction = min(largest(t, parts, buffer), most)
        assert row[:4] == (t.whole, t.borne, fraction, meaningful(t, fraction))
        if not meaningful(t, fraction):
            refused += 1
            continue
        paid = payment(t, fraction, sdiv(t.equity * share, WAD), fund, allowed)
        assert row[4:9] == astuple(paid)
        assert row[9] == quote(t, fraction, paid.unpaid)
        assert row[10] == requirement_after(t, parts, fraction)
        partial += fraction < WAD
        deficits += paid.shared > 0
        limited += paid.bonus == allowed > 0
    assert min(partial, refused, deficits, limited) > POINTS // 20
