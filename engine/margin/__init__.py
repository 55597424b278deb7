"""Margin models: one file each behind `base.MarginModel`, one line each in MODELS."""

from typing import Final

from engine.margin.arrays import Arrays
from engine.margin.base import MarginModel
from engine.margin.lending import Lending
from engine.margin.perp_model import Perp
from engine.margin.pmrm import Pmrm
from engine.margin.pmrm_v1 import PmrmV1
from engine.margin.span import Span
from engine.margin.standard import Standard
from engine.margin.tail import Tail

MODELS: Final[dict[str, type[MarginModel]]] = {
    "span": Span,
    "pmrm": Pmrm,
    "pmrm_v1": PmrmV1,
    "standard": Standard,
    "perp": Perp,
    "lending": Lending,
    "tail": Tail,
    "arrays": Arrays,
}
"""By the name that a configuration gives them; every model starts from its defaults and plain data."""
