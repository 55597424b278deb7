"""Array types and the three answers of a margin question."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
Flags = NDArray[np.bool_]

HEALTHY: Final = 0
ENDANGERED: Final = 1
UNKNOWN: Final = 2

YEAR: Final = 365.0 * 86400.0
"""Seconds of a year, ACT/365."""
DAY: Final = 86400.0
