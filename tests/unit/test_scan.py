"""Worst loss, discounted worst loss and tail risk, by hand arithmetic, by exact integers and by known distributions."""

import numpy as np
import pytest
from scipy.stats import norm, t

from engine import scan, tail_scan

NONE = np.empty(0)
NO_ROWS = np.empty(0, np.int64)


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def dense(start, instrument, quantity, instruments: int) -> np.ndarray:
    """The book as a matrix of accounts × instruments."""
    book = np.zeros((start.size - 1, instruments))
    account = np.repeat(np.arange(start.size - 1), np.diff(start))
    np.add.at(book, (account, instrument), quantity)
    return book


def whole_number_book(seed: int, accounts: int, instruments: int, scenarios: int):
    """A book whose sums are exact in float64, so that order and fused rounding cannot matter."""
    random = np.random.default_rng(seed)
    start = np.concatenate(([0], np.cumsum(random.integers(0, 7, accounts))))
    instrument = random.integers(0, instruments, start[-1])
    quantity = random.integers(-50, 51, start[-1]).astype(float)
    arrays = random.integers(-1000, 1001, (instruments, scenarios)).astype(float)
    return start, instrument, quantity, arrays


def test_worst_of_a_spread_by_hand():
    # 2 · (1, -2, 0) - (-1, 1, 3) = (3, -5, -3)
    arrays = np.array([[1.0, -2.0, 0.0], [-1.0, 1.0, 3.0]])
    pnl, index = scan.worst(rows(0, 2), rows(0, 1), np.array([2.0, -1.0]), arrays)
    assert pnl.tolist() == [-5.0]
    assert index.tolist() == [1]
    assert scan.profile(rows(0, 2), rows(0, 1), np.array([2.0, -1.0]), arrays).tolist() == [[3.0, -5.0, -3.0]]


def test_a_book_that_only_gains_has_a_positive_worst():
    pnl, index = scan.worst(rows(0, 1), rows(0), np.array([1.0]), np.array([[4.0, 2.0, 3.0]]))
    assert (pnl[0], index[0]) == (2.0, 1)


def test_the_first_of_equal_scenarios_is_named():
    arrays = np.zeros((1, 40))
    arrays[0, [7, 31, 32, 39]] = -1.0
    assert scan.worst(rows(0, 1), rows(0), np.array([1.0]), arrays)[1].tolist() == [7]
    arrays[0, [7, 31]] = 0.0
    assert scan.worst(rows(0, 1), rows(0), np.array([1.0]), arrays)[1].tolist() == [32]


def test_an_empty_account_has_no_scenario():
    pnl, index = scan.worst(rows(0, 0, 1, 1), rows(0), np.array([1.0]), np.array([[-3.0, 5.0]]))
    assert pnl.tolist() == [0.0, -3.0, 0.0]
    assert index.tolist() == [-1, 0, -1]


def test_no_accounts_at_all():
    pnl, index = scan.worst(rows(0), NO_ROWS, NONE, np.empty((0, 16)))
    assert pnl.size == index.size == 0
    var, es = tail_scan.tail_risk(rows(0), NO_ROWS, NONE, np.empty((0, 16)), 0.99)
    assert var.size == es.size == 0


@pytest.mark.parametrize("scenarios", [1, 2, 7, 8, 9, 16, 27, 31, 32, 33, 40, 63, 64, 65, 100])
def test_worst_is_exact_on_whole_numbers(scenarios):
    start, instrument, quantity, arrays = whole_number_book(scenarios, 60, 11, scenarios)
    truth = dense(start, instrument, quantity, 11) @ arrays
    pnl, index = scan.worst(start, instrument, quantity, arrays)
    assert np.array_equal(pnl, truth.min(axis=1))
    assert np.array_equal(index, np.where(np.diff(start) == 0, -1, truth.argmin(axis=1)))
    assert np.array_equal(scan.profile(start, instrument, quantity, arrays), truth)


def test_compiled_worst_agrees_with_its_plain_twin():
    random = np.random.default_rng(5)
    start, instrument, quantity, _ = whole_number_book(5, 50, 9, 1)
    quantity *= random.standard_normal(quantity.size)
    table = scan._padded(random.standard_normal((9, 45)))
    compiled, plain = np.empty((2, 50)), np.empty((2, 50))
    index = np.empty((2, 50), np.int64)
    scan._worst(start, instrument, quantity, table, compiled[0], index[0])
    scan._worst_py(start, instrument, quantity, table, plain[0], index[1])
    assert compiled[0] == pytest.approx(plain[0], rel=1e-13, abs=1e-11)
    assert np.array_equal(index[0], index[1])


@pytest.mark.parametrize("scenarios", [1, 31, 32, 33])
def test_padded_tables_start_on_a_cache_line_and_repeat_the_last_scenario(scenarios):
    arrays = np.arange(3.0 * scenarios).reshape(3, scenarios)
    table = scan._padded(arrays, np.ones((3, 3)))
    assert table.ctypes.data % 64 == 0
    assert (table.shape[1] - scan.ENDS) % scan.LANES == 0
    assert np.array_equal(table[:, scan.ENDS : scan.ENDS + scenarios], arrays)
    assert (table[:, scan.ENDS + scenarios :] == arrays[:, -1:]).all()


def test_rows_of_arrays_may_be_strided():
    start, instrument, quantity, arrays = whole_number_book(3, 20, 6, 24)
    wide = np.repeat(arrays, 2, axis=1)
    assert np.array_equal(
        scan.worst(start, instrument, quantity, wide[:, ::2])[0], scan.worst(start, instrument, quantity, arrays)[0]
    )


@pytest.mark.skipif(scan.INTERPRETED, reason="nothing is compiled")
def test_one_compiled_kernel_serves_every_kind_of_column():
    start, instrument, quantity, arrays = whole_number_book(3, 20, 6, 24)
    frozen = quantity.copy()
    frozen.flags.writeable = False
    truth = scan.worst(start, instrument, quantity, arrays)[0]
    kernels = (scan._worst, scan._profile, tail_scan._keep_tail)
    compiled = []
    for columns in (
        (start, instrument, quantity),
        (start, instrument, frozen),
        (start.astype(np.int32), instrument.astype(np.uint64), quantity.astype(np.int64)),
        (np.repeat(start, 2)[::2], np.repeat(instrument, 2)[::2], np.repeat(quantity, 2)[::2]),
        (start, instrument, quantity.astype(np.float32)),
    ):
        assert np.array_equal(scan.worst(*columns, arrays)[0], truth)
        assert np.array_equal(scan.profile(*columns, arrays.astype(np.float32)).min(axis=1), truth)
        assert tail_scan.tail_risk(*columns, arrays, 0.5)[0].shape == truth.shape
        compiled.append([len(kernel.signatures) for kernel in kernels])
    assert compiled[1:] == compiled[:1] * 4
    with pytest.raises(TypeError, match="Cannot cast"):
        scan.worst(start, instrument + 0.5, quantity, arrays)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"quantity": np.array([1.0, np.nan])}, ValueError, r"quantity: .* found nan in row 1"),
        ({"arrays": np.array([[0.0], [np.inf]])}, ValueError, r"arrays: .* found inf in row 1"),
        ({"arrays": np.empty((2, 0))}, ValueError, r"arrays: .* found shape \(2, 0\)"),
        ({"instrument": rows(0, 2)}, IndexError, r"instrument: expected rows 0\.\.1, found 2 in row 1"),
        ({"instrument": rows(-1, 1)}, IndexError, r"instrument: expected rows 0\.\.1, found -1 in row 0"),
        ({"instrument": rows(0)}, ValueError, r"quantity: expected 1 rows as instrument, found 2"),
        ({"start": rows(0, 3)}, ValueError, r"start: .* from 0 to 2"),
        ({"start": rows(1, 2)}, ValueError, r"start: .* from 0 to 2"),
        ({"start": rows(0, 2, 1, 2)}, ValueError, r"start: .* from 0 to 2"),
        ({"start": NO_ROWS}, ValueError, r"start: .* from 0 to 2"),
    ],
)
def test_what_cannot_be_scanned_is_refused(change, error, message):
    book = {
        "start": rows(0, 1, 2),
        "instrument": rows(0, 1),
        "quantity": np.array([1.0, 1.0]),
        "arrays": np.array([[1.0], [2.0]]),
    } | change
    for refuse in (scan.worst, scan.profile):
        with pytest.raises(error, match=message):
            refuse(**book)
    with pytest.raises(error, match=message):
        tail_scan.tail_risk(**book, probability=0.9)


def expiries(**change) -> dict[str, np.ndarray]:
    """One account, one contract worth 10 at the mark, 6 and 13 in two scenarios, 9 and 12 under basis down and up."""
    return {
        "account_start": rows(0, 1),
        "group_start": rows(0, 1),
        "group_expiry": rows(0),
        "instrument": rows(0),
        "quantity": np.array([1.0]),
        "values": np.array([[6.0, 13.0, 12.0, 9.0, 10.0]]),
        "weight": np.array([1.0, 1.0]),
        "skew": np.array([False, False]),
        "discount_gain": np.array([0.5]),
        "discount_loss": np.array([2.0]),
        "basis_scale": np.array([0.25]),
    } | change


def facts(book: dict[str, np.ndarray]) -> tuple[list[float], int, float, float]:
    """Scenario P&Ls, worst scenario, basis contingency and worst P&L of the only account."""
    whole, contingency = scan.profile_by_expiry(**book)
    pnl, index, basis = scan.worst_by_expiry(**book)
    assert basis.tolist() == contingency.tolist()
    return whole[0].tolist(), int(index[0]), float(basis[0]), float(pnl[0])


def test_a_long_expiry_is_discounted_as_a_gain():
    # 6 · 0.5 - 10, 13 · 0.5 - 10; basis min(12 - 10, 9 - 10, 0) · 0.25
    assert facts(expiries()) == ([-7.0, -3.5], 0, -0.25, -7.0)


def test_a_short_expiry_is_discounted_as_a_loss():
    # -6 · 2 + 10, -13 · 2 + 10; basis min(-12 + 10, -9 + 10, 0) · 0.25
    assert facts(expiries(quantity=np.array([-1.0]))) == ([-2.0, -16.0], 1, -0.5, -16.0)


def test_an_expiry_worth_nothing_counts_as_a_gain_and_moves_by_its_mark_alone():
    book = expiries(values=np.array([[0.0, -0.0, 10.0, 10.0, 10.0]]))
    assert facts(book) == ([-10.0, -10.0], 0, 0.0, -10.0)


def test_weights_dampen_and_skew_turns_every_expiry_against_the_account():
    book = expiries(
        weight=np.array([0.5, 2.0]), skew=np.array([False, True]), values=np.array([[6.0, 26.0, 12.0, 9.0, 10.0]])
    )
    # (3 - 10) · 0.5, -|(13 - 10) · 2|
    assert facts(book) == ([-3.5, -6.0], 1, -0.25, -6.0)


def test_expiries_do_not_offset_each_other_in_skew_scenarios_but_linear_groups_do():
    book = expiries(
        account_start=rows(0, 3),
        group_start=rows(0, 1, 2, 3),
        group_expiry=rows(0, 1, scan.LINEAR),
        instrument=rows(0, 1, 2),
        quantity=np.array([1.0, 1.0, 1.0]),
        values=np.array([[4.0, 4.0, 1.0, 1.0, 1.0], [1.0, 1.0, 3.0, 3.0, 3.0], [7.0, 7.0, 0.0, 0.0, 2.0]]),
        skew=np.array([False, True]),
        discount_gain=np.array([1.0, 1.0]),
        discount_loss=np.array([1.0, 1.0]),
        basis_scale=np.array([1.0, 1.0]),
    )
    # +3 - 2 + 5 and -3 - 2 + 5; the linear group's basis columns, 2 below its mark, do not count
    assert facts(book) == ([6.0, 0.0], 1, 0.0, 0.0)


def test_basis_is_the_worst_only_where_it_is_below_every_scenario():
    deep = expiries(values=np.array([[20.0, 22.0, 10.0, 2.0, 10.0]]), discount_gain=np.array([1.0]))
    assert facts(deep) == ([10.0, 12.0], 2, -2.0, -2.0)
    tied = expiries(values=np.array([[22.0, 8.0, 10.0, 2.0, 10.0]]), discount_gain=np.array([1.0]))
    assert facts(tied) == ([12.0, -2.0], 1, -2.0, -2.0)
    flat = expiries(values=np.full((1, 5), 10.0), discount_gain=np.array([1.0]))
    assert facts(flat) == ([0.0, 0.0], 0, 0.0, 0.0)


def test_each_expiry_takes_its_own_side_of_the_basis():
    book = expiries(
        account_start=rows(0, 2),
        group_start=rows(0, 1, 2),
        group_expiry=rows(0, 1),
        instrument=rows(0, 0),
        quantity=np.array([1.0, -1.0]),
        discount_gain=np.array([1.0, 1.0]),
        discount_loss=np.array([1.0, 1.0]),
        basis_scale=np.array([1.0, 10.0]),
    )
    # long: down, -1; short: up, -2, ten times; the scenarios themselves cancel
    assert facts(book) == ([0.0, 0.0], 2, -21.0, -21.0)


def test_an_account_without_positions_has_no_worst_scenario():
    pnl, index, basis = scan.worst_by_expiry(**expiries(account_start=rows(0, 0, 1)))
    assert (pnl.tolist(), index.tolist(), basis.tolist()) == ([0.0, -7.0], [-1, 0], [0.0, -0.25])
    empty_group = expiries(instrument=NO_ROWS, quantity=NONE, group_start=rows(0, 0))
    pnl, index, basis = scan.worst_by_expiry(**empty_group)
    assert (pnl.tolist(), index.tolist(), basis.tolist()) == ([0.0], [-1], [0.0])


@pytest.mark.parametrize("scenarios", [1, 2, 31, 32, 33, 40, 65])
def test_compiled_worst_by_expiry_agrees_with_its_plain_twin(scenarios):
    random = np.random.default_rng(scenarios)
    groups, accounts, instruments = 120, 50, 13
    account_start = np.sort(np.concatenate(([0, groups], random.integers(0, groups, accounts - 1))))
    group_start = np.sort(np.concatenate(([0, 300], random.integers(0, 300, groups - 1))))
    weights = scan._weights(random.uniform(0.2, 1.0, scenarios), random.random(scenarios) < 0.2)
    values = random.standard_normal((instruments, scenarios + 3))
    arguments = (
        account_start,
        group_start,
        random.integers(scan.LINEAR, 4, groups),
        random.integers(0, instruments, 300),
        random.standard_normal(300),
        scan._padded(values[:, :scenarios], values[:, scenarios:]),
        scan._padded(weights),
        np.vstack((random.uniform(0.1, 1.5, (4, 3)), (1.0, 1.0, 0.0))),
        scenarios,
    )
    found = [(np.empty(accounts), np.empty(accounts, np.int64), np.empty(accounts)) for _ in range(2)]
    scan._worst_by_expiry(*arguments, *found[0])
    scan._worst_by_expiry_py(*arguments, *found[1])
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12, abs=1e-12)
    assert np.array_equal(found[0][1], found[1][1])
    assert found[0][2] == pytest.approx(found[1][2], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"group_expiry": rows(1)}, IndexError, r"group_expiry: expected rows -1\.\.0, found 1 in row 0"),
        ({"group_expiry": rows(-2)}, IndexError, r"group_expiry: expected rows -1\.\.0, found -2 in row 0"),
        ({"group_expiry": rows(0, 0)}, ValueError, r"group_expiry: expected 1 rows, found 2"),
        ({"account_start": rows(0, 2)}, ValueError, r"account_start: .* from 0 to 1"),
        ({"group_start": rows(0, 2)}, ValueError, r"group_start: .* from 0 to 1"),
        ({"instrument": rows(1)}, IndexError, r"instrument: expected rows 0\.\.0, found 1 in row 0"),
        ({"values": np.ones((1, 4))}, ValueError, r"values: .* 2 weights, 2 skews, 4 columns"),
        ({"skew": np.array([True])}, ValueError, r"values: .* 2 weights, 1 skews, 5 columns"),
        ({"values": np.array([[1.0, 1.0, np.nan, 1.0, 1.0]])}, ValueError, r"values: .* found nan in row 0"),
        ({"weight": np.array([1.0, np.nan])}, ValueError, r"weight: .* found nan in row 1"),
        ({"discount_gain": np.array([np.inf])}, ValueError, r"discount_gain: .* found inf in row 0"),
        ({"discount_loss": np.array([np.nan])}, ValueError, r"discount_loss: .* found nan in row 0"),
        ({"basis_scale": np.array([np.nan])}, ValueError, r"basis_scale: .* found nan in row 0"),
        ({"basis_scale": np.array([1.0, 1.0])}, ValueError, r"basis_scale: expected one length"),
    ],
)
def test_expiries_that_do_not_fit_are_refused(change, error, message):
    for refuse in (scan.worst_by_expiry, scan.profile_by_expiry):
        with pytest.raises(error, match=message):
            refuse(**expiries(**change))


def tail_of(losses, probability: float) -> tuple[float, float]:
    """VaR and ES of an account that loses `losses`."""
    arrays = -np.asarray(losses, float)[None, :]
    var, es = tail_scan.tail_risk(rows(0, 1), rows(0), np.array([1.0]), arrays, probability)
    return float(var[0]), float(es[0])


@pytest.mark.parametrize(
    ("probability", "var", "es"),
    [
        (0.8, 8.0, 9.5),  # n = 2, whole: VaR is the largest loss outside the two that ES averages
        (0.75, 8.0, 9.2),  # n = 2.5: (10 + 9 + 0.5 · 8) / 2.5
        (0.9, 9.0, 10.0),  # n = 1, although 10 · (1 - 0.9) is 0.9999999999999998 in floats
        (0.95, 10.0, 10.0),  # less than one scenario
        (0.05, 1.0, 54.5 / 9.5),  # n = 9.5: (54 + 0.5 · 1) / 9.5
    ],
)
def test_tail_of_the_losses_one_to_ten(probability, var, es):
    for losses in (range(1, 11), range(10, 0, -1), (4, 9, 1, 10, 2, 7, 3, 8, 6, 5)):
        assert tail_of(losses, probability) == (var, pytest.approx(es, rel=1e-15))


def test_tail_of_equal_losses_is_that_loss():
    assert tail_of(np.full(1000, 3.0), 0.99) == (3.0, 3.0)
    assert tail_of([5.0] * 30 + [0.0] * 970, 0.99) == (5.0, 5.0)
    assert tail_of([5.0] * 5 + [0.0] * 995, 0.99) == (0.0, 2.5)


def test_a_tail_of_gains_has_negative_risk():
    assert tail_of(np.arange(-100.0, 0.0), 0.9) == (-11.0, -5.5)


def test_tail_of_an_account_without_positions_is_zero():
    var, es = tail_scan.tail_risk(rows(0, 0, 1), rows(0), np.array([1.0]), np.full((1, 500), -2.0), 0.975)
    assert (var.tolist(), es.tolist()) == ([0.0, 2.0], [0.0, 2.0])


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_tails_of_known_distributions(order):
    # published: normal VaR99 2.326348 and ES97.5 2.337803; Student t with 4 degrees VaR97.5 2.776445, ES97.5 3.993557
    rank = (np.arange(200_000) + 0.5) / 200_000
    place = {"rising": rank, "falling": rank[::-1], "shuffled": np.random.default_rng(1).permutation(rank)}[order]
    normal, student = norm.ppf(place), t(4).ppf(place)
    assert tail_of(normal, 0.99)[0] == pytest.approx(2.326348, abs=2e-4)
    assert tail_of(normal, 0.975)[1] == pytest.approx(2.337803, abs=2e-4)
    assert tail_of(student, 0.975) == (pytest.approx(2.776445, abs=3e-4), pytest.approx(3.993557, abs=2e-3))


@pytest.mark.parametrize("scenarios", [1, 63, 64, 65, 640, 10_240])
@pytest.mark.parametrize("probability", [0.2, 0.9, 0.975, 0.99, 0.9999])
@pytest.mark.parametrize("lanes_a_block", [1, 4, 1000])
def test_tail_is_exact_on_whole_numbers(scenarios, probability, lanes_a_block, monkeypatch):
    monkeypatch.setattr(tail_scan, "BLOCK_BYTES", lanes_a_block * tail_scan.LANES * 8 * 5)
    start, instrument, quantity, arrays = whole_number_book(scenarios, 12, 5, scenarios)
    losses = np.sort(-(dense(start, instrument, quantity, 5) @ arrays), axis=1)[:, ::-1]
    var, es = tail_scan.tail_risk(start, instrument, quantity, arrays, probability)
    n = round(scenarios * (1.0 - probability), 9)
    whole = int(n)
    assert np.array_equal(var, losses[:, whole])
    assert es == pytest.approx((losses[:, :whole].sum(axis=1) + (n - whole) * losses[:, whole]) / n, rel=1e-12)


@pytest.mark.parametrize("order", ["worst first", "worst last", "worst at both ends", "next to worst last"])
@pytest.mark.parametrize("probability", [0.5, 0.95, 0.99])
def test_no_order_of_the_scenarios_spoils_the_tail(order, probability, monkeypatch):
    monkeypatch.setattr(tail_scan, "BLOCK_BYTES", 2 * tail_scan.LANES * 8)
    losses = np.random.default_rng(6).permutation(5000) - 2000.0
    key = {
        "worst first": -losses,
        "worst last": losses,
        "worst at both ends": np.where(np.arange(5000) % 2, losses, -losses),
        "next to worst last": np.where(losses >= 2900.0, -np.inf, np.where(losses >= 2800.0, np.inf, losses % 977)),
    }[order]
    var, es = tail_of(losses[np.argsort(key)], probability)
    n = round(5000 * (1.0 - probability))
    assert var == 2999.0 - n  # losses are the whole numbers from -2000 to 2999
    assert es == pytest.approx(2999.0 - 0.5 * (n - 1), rel=1e-14)


@pytest.mark.parametrize("scenarios", [1280, 6400])
def test_a_first_block_of_equal_losses_does_not_pass_for_the_tail(scenarios, monkeypatch):
    """64 losses of 5, all of the first block, and nothing else: the tenth that makes the tail is mostly zeros."""
    monkeypatch.setattr(tail_scan, "BLOCK_BYTES", tail_scan.LANES * 8)
    losses = np.zeros(scenarios)
    losses[: tail_scan.LANES] = 5.0
    assert tail_scan._spread(scenarios)[0] == 0
    assert tail_of(losses, 0.9) == (0.0, pytest.approx(64 * 5.0 / (0.1 * scenarios), rel=1e-14))


def test_arrays_of_unsigned_numbers_do_not_wrap():
    found = tail_scan.tail_risk(rows(0, 1), rows(0), np.array([1.0]), np.array([[1, 2, 3, 200]], np.uint8), 0.5)
    assert [column.tolist() for column in found] == [[-3.0], [-1.5]]


def test_more_accounts_than_one_pass_holds():
    start, instrument, quantity, arrays = whole_number_book(8, 2 * tail_scan.MOST_ACCOUNTS + 5, 5, 300)
    var, _ = tail_scan.tail_risk(start, instrument, quantity, arrays, 0.95)
    losses = -(dense(start, instrument, quantity, 5) @ arrays)
    assert np.array_equal(var, np.sort(losses, axis=1)[:, -16])


def test_arrays_of_float32_are_summed_in_float64():
    start, instrument, quantity, arrays = whole_number_book(4, 30, 5, 1000)
    small = tail_scan.tail_risk(start, instrument, quantity, arrays.astype(np.float32), 0.99)
    assert np.array_equal(small, tail_scan.tail_risk(start, instrument, quantity, arrays, 0.99))


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.1, np.nan])
def test_a_probability_outside_the_unit_interval_is_refused(probability):
    with pytest.raises(ValueError, match="probability: expected a number between 0 and 1"):
        tail_of([1.0, 2.0], probability)
