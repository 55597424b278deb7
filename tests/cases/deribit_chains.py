"""Two recorded Deribit option chains as smiles: a calm morning and the evening of a crash."""

import csv
import gzip
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from engine.surface import SmileQuotes

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
SNAPSHOTS = {
    "calm": DATA / "deribit_options_20260109T092126Z.csv.gz",
    "crash": DATA / "deribit_options_20260205T212937Z.csv.gz",
}
MISSING = [path.name for path in SNAPSHOTS.values() if not path.exists()]
YEAR_S = 365 * 86400


@cache
def quoted(snapshot, currency):
    """Return the out-of-the-money quotes with a bid and an ask, and those bids and asks in coin, (Q,) each.

    k is taken against each row's own future; prices are inverse, so in units of the forward.
    """
    rows = []
    with gzip.open(SNAPSHOTS[snapshot], "rt") as file:
        for row in csv.DictReader(file):
            if row["currency"] != currency or not row["bid_price"] or not row["ask_price"]:
                continue
            bid, ask, strike, future = (float(row[c]) for c in ("bid_price", "ask_price", "strike", "futures_price"))
            expires, seen = (datetime.fromisoformat(row[c]) for c in ("expiry_datetime", "timestamp"))
            if bid > 0.0 and ask > 0.0 and (row["option_type"] == "call") == (strike >= future):
                years = (expires - seen).total_seconds() / YEAR_S
                vol = float(row["implied_volatility"])
                rows.append((expires, np.log(strike / future), vol, years, future, bid, ask))
    rows.sort()
    expiry = [row[0] for row in rows]
    k, iv, years, future, bid, ask = np.array([row[1:] for row in rows]).T
    start = np.r_[0, 1 + np.flatnonzero([a != b for a, b in pairwise(expiry)]), k.size]
    counts = np.diff(start)
    mean_years, mean_future = (np.add.reduceat(column, start[:-1]) / counts for column in (years, future))
    return SmileQuotes(mean_years, mean_future, start, k, iv, np.ones(k.size)), bid, ask


def slices(quotes):
    """Return (k, iv, years) of every expiry."""
    bounds = zip(quotes.start[:-1], quotes.start[1:], strict=True)
    return [(quotes.k[s:e], quotes.iv[s:e], t) for (s, e), t in zip(bounds, quotes.years.tolist(), strict=True)]


def otm_price(k, iv, years):
    """Return Black prices of the out-of-the-money options in units of the forward."""
    root = iv * np.sqrt(years)
    sign = np.where(k < 0.0, -1.0, 1.0)
    d1 = -k / root + root / 2.0
    return sign * (ndtr(sign * d1) - np.exp(k) * ndtr(sign * (d1 - root)))
