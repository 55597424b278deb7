"""Scenario sets: what the market might do, each scenario with a name so that a worst one can be explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from engine.records import floats, own, require_finite, require_range
from engine.types import Codes, Floats

PARALLEL: Final = 0  # vols move by the scenario's shocks
LINEAR: Final = 1  # the smile rotates: vols rise where k = ln(K/F) is on one side, fall on the other
ABSOLUTE: Final = 2  # both wings move alike, by |k|
VOL_MOVES: Final = ("none", "up", "down", "linear", "abs")


@dataclass(frozen=True, slots=True)
class TermScale:
    """Relative vol shocks shrink with time to expiry: times (30 days ÷ max(days, floor))^power.

    As Derive's PMRM and Deribit's PM; both powers 0: the same shock for every expiry.
    """

    short_power: float = 0.0  # up to 30 days
    long_power: float = 0.0  # beyond
    floor_days: float = 1.0  # 0: none, and an expired option has no scale

    def __post_init__(self) -> None:
        if not (np.isfinite([self.short_power, self.long_power]).all() and 0.0 <= self.floor_days < np.inf):
            raise ValueError(f"TermScale: expected finite powers and a floor >= 0 days, found {self}")


@dataclass(frozen=True, slots=True)
class SkewShape:
    """How far LINEAR and ABSOLUTE scenarios turn a smile (Derive PMRM_2's skew shock)."""

    linear_base_cap: float = 0.15
    linear_c_base: float = -0.05
    absolute_base_cap: float = 0.15
    absolute_c_base: float = -0.05
    min_k_star: float = 0.01
    width_scale: float = 4.0
    vol_static: float = 0.6
    vol_scale: float = -0.1

    def __post_init__(self) -> None:
        shape = [getattr(self, field.name) for field in fields(self)]
        if not (np.isfinite(shape).all() and self.min_k_star >= 0.0):
            raise ValueError(f"SkewShape: expected finite numbers and min_k_star >= 0, found {self}")


@dataclass(frozen=True, slots=True)
class Scenarios:
    """S scenarios on U underlyings. A scenario's P&L counts with its weight (SPAN's extremes, dampened tails).

    Shocks are relative: −0.2 is −20 %. The shocked vol of an option is
    max(vol · (1 + vol shock · term scale), floor) + vol points, never below 0.
    """

    names: tuple[str, ...]  # S, unique
    spot: Floats  # (S, U), >= −1
    vol: Floats  # (S, U) relative
    vol_points: Floats  # (S, U) absolute, annualised decimal: 0.05 is 5 points
    skew: Codes  # (S,) PARALLEL, LINEAR, ABSOLUTE
    weight: Floats  # (S,) >= 0
    days: Floats  # (S,) time that passes, >= 0
    vol_floor: Floats | float = 0.0  # (S,) or one for all: least vol after the relative shock
    term: TermScale = TermScale()
    shape: SkewShape = SkewShape()

    def __post_init__(self) -> None:
        count = len(self.names)
        for name in ("spot", "vol", "vol_points", "skew", "weight", "days"):
            column = getattr(self, name)
            if column.shape[:1] != (count,) or column.ndim != (2 if name in ("spot", "vol", "vol_points") else 1):
                raise ValueError(f"Scenarios.{name}: expected {count} scenarios, found shape {column.shape}")
        if not self.spot.shape == self.vol.shape == self.vol_points.shape:
            raise ValueError("Scenarios: spot, vol and vol_points differ in their number of underlyings")
        require_finite(self, "spot", "vol", "vol_points", "weight", "days")
        require_range(self, "spot", -1.0)
        require_range(self, "weight", 0.0)
        require_range(self, "days", 0.0)
        require_range(self, "skew", PARALLEL, ABSOLUTE)
        if count == 0 or len(set(self.names)) != count:
            raise ValueError(f"Scenarios.names: expected at least one, each once, found {list(self.names)}")
        floor = np.asarray(self.vol_floor)
        if floor.shape not in ((), (count,)) or not ((floor >= 0.0) & (floor < np.inf)).all():
            raise ValueError(f"Scenarios.vol_floor: expected one vol >= 0 or {count}, found {self.vol_floor}")
        own(self)


def span16(
    price_scan: Sequence[float] | Floats,
    vol_scan: Sequence[float] | Floats,
    *,
    extreme: float = 2.0,
    cover: float = 0.35,
    days: float = 0.0,
) -> Scenarios:
    """Return SPAN's 16 scenarios in their fixed order: price 0, ±1/3, ±2/3, ±1 of the scan range with vol up and down,
    then two extremes of `extreme` scan ranges with vol unchanged, of which the share `cover` counts.

    price_scan, vol_scan (U,): relative ranges of each underlying, > 0 and >= 0; a fall ends at −1. `days` is the
    look-ahead. Raises ValueError for a range, an extreme < 1 or a cover outside 0..1.
    Source: CME, Risk Arrays – Standard.
    """
    steps = (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0)
    text = {0.0: "spot 0", 1 / 3: "spot +1/3", 2 / 3: "spot +2/3", 1.0: "spot +1"}
    text |= {-step: name.replace("+", "−") for step, name in text.items() if step}
    rows = [(step, turn, f"{text[step]} vol {'up' if turn > 0 else 'down'}") for step in steps for turn in (1.0, -1.0)]
    rows += [(extreme, 0.0, f"spot +{extreme:g} extreme"), (-extreme, 0.0, f"spot −{extreme:g} extreme")]
    moves = floats([step for step, _, _ in rows])
    turns = floats([turn for _, turn, _ in rows])
    ranges, vols = floats(price_scan), floats(vol_scan)
    if not (ranges > 0.0).all() or not (vols >= 0.0).all() or not np.isfinite([*ranges, *vols]).all():
        raise ValueError(f"span16: expected scan ranges > 0 and vol scans >= 0, found {ranges}, {vols}")
    if not (1.0 <= extreme < np.inf and 0.0 <= cover <= 1.0):
        raise ValueError(f"span16: expected an extreme >= 1 and a cover in 0..1, found {extreme}, {cover}")
    return Scenarios(
        names=tuple(name for _, _, name in rows),
        spot=np.maximum(np.outer(moves, ranges), -1.0),
        vol=np.outer(turns, vols),
        vol_points=np.zeros((16, ranges.size)),
        skew=np.zeros(16, np.int8),
        weight=floats([1.0] * 14 + [cover] * 2),
        days=np.full(16, days),
    )


@dataclass(frozen=True, slots=True)
class Shock:
    """One scenario of a Derive-style grid: the same moves for every underlying."""

    spot: float  # relative
    vol: str = "none"  # one of VOL_MOVES
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.vol not in VOL_MOVES:
            raise ValueError(f"Shock.vol: expected {', '.join(VOL_MOVES)}, found {self.vol}")
        if not (-1.0 <= self.spot < np.inf and 0.0 <= self.weight < np.inf):
            raise ValueError(f"Shock: expected a spot move >= -1 and a weight >= 0, found {self}")

    @property
    def name(self) -> str:
        """What an explanation calls it."""
        move = f"spot {self.spot:+.4g}".replace("-", "−") if self.spot else "spot 0"
        label = "skew " + self.vol if self.vol in ("linear", "abs") else f"vol {self.vol}"
        return f"{move} {label}" + (f" ×{self.weight:.4g}" if self.weight != 1.0 else "")


def grid(
    shocks: Sequence[Shock],
    underlyings: int,
    *,
    vol_up: float,
    vol_down: float,
    vol_floor: float = 0.0,
    term: TermScale | None = None,
    shape: SkewShape | None = None,
) -> Scenarios:
    """Return a Derive-style set: spot moves crossed with vol up, down or unchanged, dampened tails, skew turns.

    vol_up, vol_down >= 0: relative vol shocks at 30 days, scaled by `term`; vol_floor: least vol of an up scenario.
    Raises ValueError for no shocks and for a vol shock or floor below 0 or not finite.
    """
    if not shocks or not (0.0 <= vol_up < np.inf and 0.0 <= vol_down < np.inf):
        found = f"{len(shocks)} shocks, {vol_up} and {vol_down}"
        raise ValueError(f"grid: expected shocks, vol_up and vol_down >= 0, found {found}")
    size = {"none": 0.0, "up": vol_up, "down": -vol_down, "linear": 0.0, "abs": 0.0}
    kinds = {"linear": LINEAR, "abs": ABSOLUTE}
    return Scenarios(
        names=_numbered([shock.name for shock in shocks]),
        spot=np.repeat(floats([[shock.spot] for shock in shocks]), underlyings, axis=1),
        vol=np.repeat(floats([[size[shock.vol]] for shock in shocks]), underlyings, axis=1),
        vol_points=np.zeros((len(shocks), underlyings)),
        skew=np.array([kinds.get(shock.vol, PARALLEL) for shock in shocks], np.int8),
        weight=floats([shock.weight for shock in shocks]),
        days=np.zeros(len(shocks)),
        vol_floor=floats([vol_floor if shock.vol == "up" else 0.0 for shock in shocks]),
        term=term or TermScale(),
        shape=shape or SkewShape(),
    )


def historical(
    names: Sequence[str], spot_returns: Floats, vol_returns: Floats | None = None, days: float = 0.0
) -> Scenarios:
    """Return one scenario per row of history.

    spot_returns (S, U): simple returns of each underlying over the horizon; vol_returns (S, U): relative changes of
    its vol level, absent: none. `days` is the horizon that passes for every instrument. Raises ValueError for a shape
    that does not fit, a return below −1 or not finite.
    """
    if spot_returns.ndim != 2:
        raise ValueError(f"historical: expected returns by scenario and underlying, found shape {spot_returns.shape}")
    count, underlyings = spot_returns.shape
    return Scenarios(
        names=tuple(names),
        spot=floats(spot_returns),
        vol=np.zeros((count, underlyings)) if vol_returns is None else floats(vol_returns),
        vol_points=np.zeros((count, underlyings)),
        skew=np.zeros(count, np.int8),
        weight=np.ones(count),
        days=np.full(count, days),
    )


def user_defined(rows: Sequence[Mapping[str, object]], underlyings: Sequence[str]) -> Scenarios:
    """Return scenarios from plain rows: {"name", "spot": number or {underlying: number}, "vol", "vol_points", "weight",
    "days"}; what is left out does not move, weight is 1.

    Raises ValueError for no rows, a missing name, an unknown key, an unknown underlying or what is not a number.
    """
    if not rows:
        raise ValueError("scenario: expected at least one, found none")
    known = {"name", "spot", "vol", "vol_points", "weight", "days"}
    for row in rows:
        if "name" not in row or set(row) - known:
            raise ValueError(f"scenario: expected a name and any of {sorted(known)}, found {sorted(row)}")
    return Scenarios(
        names=tuple(str(row["name"]) for row in rows),
        spot=floats([_spread(row, "spot", underlyings) for row in rows]),
        vol=floats([_spread(row, "vol", underlyings) for row in rows]),
        vol_points=floats([_spread(row, "vol_points", underlyings) for row in rows]),
        skew=np.zeros(len(rows), np.int8),
        weight=floats([_number(row, "weight", 1.0) for row in rows]),
        days=floats([_number(row, "days", 0.0) for row in rows]),
    )


def _spread(row: Mapping[str, object], key: str, underlyings: Sequence[str]) -> list[float]:
    moves = row.get(key, 0.0)
    if isinstance(moves, Mapping):
        strange = sorted(set(moves) - set(underlyings))
        if strange:
            raise ValueError(f"scenario {row['name']}: {key} names unknown underlyings {', '.join(strange)}")
        return [_number(moves, underlying, 0.0) for underlying in underlyings]
    return [_number(row, key, 0.0)] * len(underlyings)


def _number(row: Mapping[str, object], key: str, default: float) -> float:
    found = row.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"scenario: expected a number for {key}, found {found!r}")
    return float(found)


def _numbered(names: list[str]) -> tuple[str, ...]:
    """Return the names with a repeated one told apart by its row: a set may hold the same shock twice."""
    return tuple(name if names.count(name) == 1 else f"{name} #{row}" for row, name in enumerate(names))
