"""SPAN's combiner on published risk arrays: McMillan, Options as a Strategic Investment, ch. 34 (S&P 500 futures)."""

import numpy as np
import pytest

from engine.margin.span import scan_risk
from engine.scenarios import span16

FUTURE = [0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670, 10000, 10000, -10000, -10000, 7000, -7000]
CALL = [460, -610, 2640, 1730, -1270, -2340, 5210, 4540, -2540, -3430, 8060, 7640, -3380, -3990, 3130, -1500]


@pytest.mark.parametrize(
    ("quantities", "risk", "scenario"),
    [
        ({0: 1.0}, 10_000.0, 13),
        ({1: 1.0}, 3_990.0, 14),
        ({0: 1.0, 1: -1.0}, 6_620.0, 13),  # covered write
    ],
)
def test_mcmillans_arrays_combine_to_his_margins(quantities: dict[int, float], risk: float, scenario: int) -> None:
    found, row = scan_risk(
        np.array([0, len(quantities)]),
        np.array(list(quantities), np.int64),
        np.array(list(quantities.values())),
        np.array([FUTURE, CALL], np.float64),
    )
    assert found[0] == risk
    assert row[0] + 1 == scenario


def test_a_future_scanned_by_a_tenth_of_100_000_has_mcmillans_array_to_his_rounding() -> None:
    scenarios = span16([0.1], [0.2])
    np.testing.assert_allclose(100_000.0 * scenarios.spot[:, 0] * scenarios.weight, FUTURE, atol=4.0)
    turns = np.sign(scenarios.vol[:, 0])
    assert turns.tolist() == [1, -1] * 7 + [0, 0]
