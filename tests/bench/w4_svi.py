"""W4: arbitrage-free SVI slices, synthetic 10 x 20 and the slices of two recorded chains.

Every contender fits the same slices, each against the same shorter slice (ours of the surface fit), from the same
start and in the same box. Ours is fit_slice, called once a slice, and on the synthetic surface, where no constraint
binds and both do the same work, fit_surface. scipy gets our unknowns and our penalties on our points; one strength of
them serves no smile best, so every slice is fitted at each of STRENGTHS beforehand, unmeasured, and timed at the one
whose result is free of arbitrage over the whole line with the least RMSE: of those within TIE of it the one that took
the fewest evaluations, and where none is free the stiffest.
"""

import numpy as np

from engine import ssvi
from engine.surface import SmileQuotes, fit_surface
from engine.svi import total_variance
from engine.svi_arbitrage import is_free
from engine.svi_fit import fit_slice
from engine.svi_start import _POINTS, _frame, _search
from tests.bench.harness import Record, cpu_seconds
from tests.bench.peers import scipy_svi, scipy_svi_lm
from tests.cases.deribit_chains import MISSING, SNAPSHOTS, quoted, slices

STRENGTHS = (0.02, 1.0, 50.0, 2500.0)
TIE = 1e-4


def synthetic():
    """Ten expiries of twenty quotes: an SSVI surface within two and a half deviations, with 0.2 vol points of noise."""
    rng = np.random.default_rng(4)
    years = np.geomspace(0.02, 1.0, 10)
    surface = ssvi.Ssvi(-0.25, 1.0, 0.45, 0.3 * years * (0.8 + 0.4 * np.exp(-years)))
    k = np.concatenate([np.sqrt(theta) * np.linspace(-2.5, 2.5, 20) for theta in surface.theta])
    expiry = np.repeat(np.arange(10), 20)
    w = np.concatenate([total_variance(ssvi.raw_slice(surface, i), k[expiry == i]) for i in range(10)])
    iv = np.sqrt(w / years[expiry]) + rng.normal(0.0, 0.002, 200)
    return SmileQuotes(years, np.full(10, 90_000.0), np.arange(0, 201, 20), k, iv, np.ones(200))


def prepared(k, iv, years, shorter):
    """Return one slice as the peers take it: with our start, box and points, and w of the shorter slice there."""
    start, lo, hi, points = np.empty(5), np.empty(5), np.empty(5), np.empty(_POINTS)
    columns = (np.array([0, k.size]), k, iv, np.full(k.size, 1.0 / k.size), np.array([years]))
    _frame(columns, lo, hi, points)
    _search(start, lo, hi, columns)
    start = np.clip(start, lo, hi)
    floor = None if shorter is None else total_variance(shorter, points)
    return k, iv, years, start, lo, hi, points, floor


def rmse(smile, k, iv, years):
    return float(np.sqrt(np.mean((np.sqrt(np.maximum(total_variance(smile, k), 0.0) / years) - iv) ** 2)))


def best_free(slice_, shorter):
    """Return the strength to time scipy at, and its least RMSE of those that leave the slice free, or inf."""
    tried = []
    for strength in STRENGTHS:
        x, evaluations = scipy_svi.fit(slice_, strength)
        smile = scipy_svi.smile(x)
        if is_free(smile, shorter):
            tried.append((rmse(smile, *slice_[:3]), evaluations, strength))
    if not tried:
        return STRENGTHS[-1], np.inf
    least = min(tried)[0]
    near = [(evaluations, strength) for miss, evaluations, strength in tried if miss <= least * (1.0 + TIE)]
    return min(near)[1], least


def compare(name, quotes, shipped):
    """Return the records of one set of slices against trf and lm."""
    fit = fit_surface(quotes)
    smiles = slices(quotes)
    shorter = [None] + [fit.surface.smile(i) for i in range(len(smiles) - 1)]
    problems = [prepared(*smile, below) for smile, below in zip(smiles, shorter, strict=True)]
    ours = [fit_slice(*smile, shorter=below) for smile, below in zip(smiles, shorter, strict=True)]
    strengths, least = zip(*(best_free(p, b) for p, b in zip(problems, shorter, strict=True)), strict=True)
    took = cpu_seconds(
        {
            "slices": lambda: [fit_slice(*smile, shorter=b) for smile, b in zip(smiles, shorter, strict=True)],
            "surface": lambda: fit_surface(quotes),
            "trf": lambda: [scipy_svi.fit(p, s) for p, s in zip(problems, strengths, strict=True)],
            "lm": lambda: [scipy_svi_lm.fit(p) for p in problems],
        },
        rounds=20,
        budget_s=24.0,
    )
    ratio = np.array([ours_.rmse for ours_ in ours]) / np.array(least)
    unbound = np.array([ours_.binding == 0 for ours_ in ours])
    free = sum(is_free(ours_.smile, below) for ours_, below in zip(ours, shorter, strict=True))
    accuracy = (
        f"{name}: {free}/{len(ours)} of ours free of arbitrage, {np.isfinite(least).sum()} of trf's; our RMSE ÷ trf's "
        f"best free RMSE at most {ratio[unbound].max(initial=0.0):.4f} where no constraint binds, "
        f"{ratio[~unbound].max(initial=0.0):.4f} on {(~unbound).sum()} slices where one does; "
        f"trf's strengths "
        f"{', '.join(f'{strengths.count(strength)} x {strength:g}' for strength in STRENGTHS)}; "
        f"whole surface fitted jointly in {took['surface'] * 1e3:.2f} ms, our slices in {took['slices'] * 1e3:.2f} ms"
    )
    lm = [rmse(scipy_svi.smile(scipy_svi_lm.fit(p)), *p[:3]) for p in problems]
    medians = f"ours {np.median([o.rmse for o in ours]):.6f}, lm {np.median(lm):.6f}"
    plain = f"{name}: lm without penalty or box; median RMSE {medians}"
    mine = took[shipped] * 1e3 / len(ours)
    records = []
    for peer, text in (("trf", accuracy), ("lm", plain)):
        theirs = took[peer] * 1e3 / len(ours)
        records.append(
            Record("W4", f"scipy least_squares {peer}", len(ours), mine, theirs, theirs / mine, "ms/slice", text)
        )
    return records


def run() -> list[Record]:
    records = compare("10 expiries x 20 quotes", synthetic(), "surface")
    for snapshot in () if MISSING else SNAPSHOTS:
        for currency in ("BTC", "ETH"):
            records += compare(f"{snapshot} {currency}", quoted(snapshot, currency)[0], "slices")
    return records
