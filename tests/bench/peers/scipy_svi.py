"""SVI slice by scipy's least_squares: our unknowns, box and start, our penalties on our points, residuals in numpy."""

import numpy as np
from scipy.optimize import least_squares

from engine.svi import RawSvi
from engine.svi_penalties import BUTTERFLY_MARGIN, CALENDAR_MARGIN, GAP_STIFFNESS


def hyperbola(x, k):
    """Return w, w' and w'' of the unknowns x at k."""
    v, left, right, m, t = x
    sigma, tilt, b = np.exp(t), (right**2 - left**2) / 2.0, (right**2 + left**2) / 2.0
    y = k - m
    root = np.sqrt(y * y + sigma * sigma)
    return v - sigma * left * right + tilt * y + b * root, tilt + b * y / root, b * sigma**2 / root**3


def residuals(x, k, iv, years, points, floor, strength):
    """Return the residuals of the quotes and of both penalties; `floor` holds w of the shorter slice at the points."""
    miss = (np.sqrt(hyperbola(x, k)[0] / years) - iv) / np.sqrt(k.size)
    w, first, second = hyperbola(x, points)
    g = (1.0 - points * first / (2.0 * w)) ** 2 - first**2 / 4.0 * (1.0 / w + 0.25) + second / 2.0
    short = [np.sqrt(strength) * np.maximum(BUTTERFLY_MARGIN - g, 0.0)]
    if floor is not None:
        gap = np.maximum(CALENDAR_MARGIN - np.log(w / floor), 0.0)
        short.append(np.sqrt(GAP_STIFFNESS * strength) * gap)
    return np.concatenate([miss, *short])


def fit(slice_, strength, method="trf"):
    """Return the unknowns of one slice (k, iv, years, start, lo, hi, points, floor), and the evaluations they took."""
    k, iv, years, start, lo, hi, points, floor = slice_
    bounds = (lo, hi) if method == "trf" else (-np.inf, np.inf)
    first = np.clip(start, lo + 1e-9, hi - 1e-9) if method == "trf" else start
    found = least_squares(residuals, first, bounds=bounds, method=method, args=(k, iv, years, points, floor, strength))
    return found.x, found.nfev


def smile(x):
    """Return the fitted unknowns as raw SVI."""
    v, left, right, m, t = x.tolist()
    sigma, b = float(np.exp(t)), (left**2 + right**2) / 2.0
    return RawSvi(v - sigma * left * right, b, (right**2 - left**2) / (2.0 * b), m, sigma)
