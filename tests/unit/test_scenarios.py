"""Scenario sets: their order, names, and what they refuse."""

import numpy as np
import pytest

from engine.scenarios import PARALLEL, Shock, grid, historical, span16, user_defined

THIRD = 1 / 3


def test_the_sixteen_stand_in_spans_order() -> None:
    found = span16([0.3], [0.5])
    moves = [0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3, 6, -6]
    np.testing.assert_allclose(found.spot[:, 0], np.array(moves) * 0.1, rtol=1e-15)
    assert found.vol[:, 0].tolist() == [0.5, -0.5] * 7 + [0.0, 0.0]
    assert found.weight.tolist() == [1.0] * 14 + [0.35] * 2
    assert (found.names[0], found.names[5], found.names[15]) == (
        "spot 0 vol up",
        "spot −1/3 vol down",
        "spot −2 extreme",
    )


def test_each_underlying_has_its_own_ranges_and_a_fall_ends_at_nothing() -> None:
    found = span16([0.1, 0.8], [0.2, 0.4], extreme=3.0, cover=0.3, days=1.0)
    assert found.spot[14].tolist() == pytest.approx([0.3, 2.4])
    assert found.spot[15].tolist() == pytest.approx([-0.3, -1.0])
    assert found.vol[1].tolist() == [-0.2, -0.4]
    assert (found.weight[15], found.days[0]) == (0.3, 1.0)


@pytest.mark.parametrize(
    ("ranges", "vols", "options"),
    [
        ([0.0], [0.1], {}),
        ([0.1], [-0.1], {}),
        ([float("nan")], [0.1], {}),
        ([float("inf")], [0.1], {}),
        ([0.1], [0.1], {"extreme": 0.9}),
        ([0.1], [0.1], {"extreme": float("inf")}),
        ([0.1], [0.1], {"cover": 1.1}),
        ([0.1], [0.1], {"days": -1.0}),
        ([0.1, 0.1], [0.1], {}),
    ],
)
def test_span16_refuses_ranges_that_are_none(ranges: list[float], vols: list[float], options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"expected|differ"):
        span16(ranges, vols, **options)


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["vol_up", "vol_down"])
def test_a_grid_refuses_vol_shocks_that_point_the_other_way(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=r"grid: expected shocks, vol_up and vol_down >= 0, found 1 shocks"):
        grid((Shock(0.1, "up"),), 1, **({"vol_up": 0.5, "vol_down": 0.3} | {name: wrong}))


def test_a_grid_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grid: expected shocks.* found 0 shocks"):
        grid((), 1, vol_up=0.5, vol_down=0.3)


def test_history_is_one_scenario_a_row() -> None:
    found = historical(["a", "b"], np.array([[-0.1, 0.2], [0.0, 0.1]]), np.array([[0.5, 0.0], [0.0, -0.5]]), days=0.5)
    assert found.names == ("a", "b")
    assert found.spot.tolist() == [[-0.1, 0.2], [0.0, 0.1]]
    assert found.vol.tolist() == [[0.5, 0.0], [0.0, -0.5]]
    assert found.days.tolist() == [0.5, 0.5]
    assert (found.skew == PARALLEL).all()
    assert historical(["a"], np.array([[0.1]])).vol.tolist() == [[0.0]]


def test_history_is_a_copy_of_what_it_was_given() -> None:
    returns = np.array([[0.1]])
    found = historical(["a"], returns)
    returns[0, 0] = 9.0
    assert found.spot[0, 0] == 0.1


@pytest.mark.parametrize(
    ("names", "returns", "vols", "message"),
    [
        (["a"], np.array([0.1]), None, "by scenario and underlying"),
        (["a"], np.array([[-1.01]]), None, r"Scenarios\.spot: expected numbers >= -1"),
        (["a", "b"], np.array([[0.1], [np.nan]]), None, r"Scenarios\.spot: expected finite.*row \(1, 0\)"),
        (["a"], np.array([[0.1], [0.2]]), None, "expected 1 scenarios"),
        (["a", "a"], np.array([[0.1], [0.2]]), None, "each once"),
        ([], np.empty((0, 1)), None, "at least one"),
        (["a"], np.array([[0.1]]), np.array([[0.1, 0.2]]), "number of underlyings"),
        (["a"], np.array([[0.1]]), np.array([[np.inf]]), r"Scenarios\.vol: expected finite"),
    ],
)
def test_history_that_does_not_fit_is_refused(
    names: list[str], returns: np.ndarray, vols: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        historical(names, returns, vols)


def test_rows_move_all_underlyings_or_the_ones_they_name() -> None:
    found = user_defined(
        [
            {"name": "crash", "spot": -0.4, "vol": 1, "days": 2},
            {"name": "depeg", "spot": {"ETH": -0.2}, "vol_points": {"BTC": 0.05}, "weight": 0.5},
        ],
        ("BTC", "ETH"),
    )
    assert found.spot.tolist() == [[-0.4, -0.4], [0.0, -0.2]]
    assert found.vol.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert found.vol_points.tolist() == [[0.0, 0.0], [0.05, 0.0]]
    assert (found.weight.tolist(), found.days.tolist()) == ([1.0, 0.5], [2.0, 0.0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one"),
        ([{"spot": 0.1}], "expected a name"),
        ([{"name": "x", "sport": 0.1}], "sport"),
        ([{"name": "x", "spot": {"SOL": 0.1}}], "unknown underlyings SOL"),
        ([{"name": "x", "spot": "0.1"}], "number for spot, found '0.1'"),
        ([{"name": "x", "weight": True}], "number for weight, found True"),
        ([{"name": "x", "vol": {"BTC": None}}], "number for BTC"),
        ([{"name": "x", "spot": -1.5}], "spot"),
        ([{"name": "x", "weight": -0.5}], "weight"),
        ([{"name": "x", "vol": float("nan")}], "vol"),
        ([{"name": "x"}, {"name": "x"}], "each once"),
    ],
)
def test_rows_that_say_nothing_sensible_are_refused(rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        user_defined(rows, ("BTC", "ETH"))
