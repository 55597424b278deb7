"""The two days the demo replays: 12 and 13 March 2020, when bitcoin lost half its price in 27 hours.

The hourly closes are those of the BTC/USD series in https://github.com/ClementPerroud/Gym-Trading-Env (MIT
licence), typed in here so that the demo needs no download. Of ether the days' closes are known and the hours between
them made up: see `ETH_MARCH_2020`; on Curie it is a fixed share of bitcoin: see `eth_usd`.
"""

import math
from bisect import bisect_left, bisect_right

from keeper.units import to_base

FEED_DECIMALS = 8
"""Decimals of every aggregator in the demo, as of Chainlink's USD feeds."""

ETH_PER_BTC = 0.0246
"""About the true ratio of those days; held constant, which it was not."""

PricePath = tuple[tuple[int, float], ...]
"""Unix time of the hour's start in UTC, USD price at its close."""

BTC_MARCH_2020: PricePath = (
    (1_583_967_600, 7934.57),
    (1_583_971_200, 7926.05),
    (1_583_974_800, 7717.3),
    (1_583_978_400, 7638.8),
    (1_583_982_000, 7662.3),
    (1_583_985_600, 7615.7),
    (1_583_989_200, 7651.1),
    (1_583_992_800, 7494.4),
    (1_583_996_400, 7387.43),
    (1_584_000_000, 7363.31),
    (1_584_003_600, 7342.49),
    (1_584_007_200, 6334.44),
    (1_584_010_800, 6030.94),
    (1_584_014_400, 6025.42),
    (1_584_018_000, 5966.77),
    (1_584_021_600, 6081.74),
    (1_584_025_200, 6124.91),
    (1_584_028_800, 6081.85),
    (1_584_032_400, 6112.61),
    (1_584_036_000, 5983.43),
    (1_584_039_600, 6032.9),
    (1_584_043_200, 5715.09),
    (1_584_046_800, 5791.69),
    (1_584_050_400, 5801.77),
    (1_584_054_000, 4841.67),
    (1_584_057_600, 4671.37),
    (1_584_061_200, 4111.78),
    (1_584_064_800, 5049.75),
    (1_584_068_400, 5365.42),
    (1_584_072_000, 4865.87),
    (1_584_075_600, 4980.05),
    (1_584_079_200, 5246.04),
    (1_584_082_800, 5431.52),
    (1_584_086_400, 5350.0),
    (1_584_090_000, 5842.71),
    (1_584_093_600, 5638.07),
    (1_584_097_200, 5454.18),
    (1_584_100_800, 5620.29),
    (1_584_104_400, 5635.53),
    (1_584_108_000, 5423.14),
    (1_584_111_600, 5250.68),
    (1_584_115_200, 5217.07),
    (1_584_118_800, 5217.89),
    (1_584_122_400, 5024.81),
    (1_584_126_000, 5453.51),
    (1_584_129_600, 5444.0),
    (1_584_133_200, 5580.96),
    (1_584_136_800, 5685.0),
    (1_584_140_400, 5622.74),
)


def eth_usd(btc_usd: float) -> float:
    """Return the synthetic ether price: bitcoin's times ETH_PER_BTC, not a market observation."""
    return btc_usd * ETH_PER_BTC


def to_feed(price_usd: float) -> int:
    """Return a USD price as an aggregator's answer, rounded down to 8 decimals."""
    return to_base(price_usd, FEED_DECIMALS, up=False)


DAYS_CLOSE = ((1_583_967_600, 7911.430176, 194.86853), (1_584_054_000, 4970.788086, 112.347122),
              (1_584_140_400, 5563.707031, 133.201813))  # fmt: skip
"""Last hour of 11, 12 and 13 March, bitcoin's and ether's close of the day in USD, of the daily table in
https://github.com/ivang5/RNN-Crypto-Price-Prediction (MIT licence)."""


def _eth_per_btc(at: int) -> float:
    """Return the days' closing ratios, and between two of them the geometric line."""
    row = min(bisect_right([day for day, *_ in DAYS_CLOSE], at), len(DAYS_CLOSE) - 1)
    (before, *left), (after, *right) = DAYS_CLOSE[row - 1], DAYS_CLOSE[row]
    first, last = left[1] / left[0], right[1] / right[0]
    return first * math.exp(math.log(last / first) * (at - before) / (after - before))


ETH_MARCH_2020: PricePath = tuple((hour, round(btc * _eth_per_btc(hour), 2)) for hour, btc in BTC_MARCH_2020)
"""Bitcoin's hours at ether's ratio: 42 % down on the 12th as the daily table has it, the hours in between bitcoin's."""


def price_at(path: PricePath, at: float) -> float:
    """Return USD at a time: the hours' closes, a straight line between two, the outermost ones beyond."""
    row = bisect_left(path, (at, 0.0))
    if row == 0:
        return path[0][1]
    if row == len(path):
        return path[-1][1]
    (before, low), (after, high) = path[row - 1], path[row]
    return low + (high - low) * (at - before) / (after - before)
