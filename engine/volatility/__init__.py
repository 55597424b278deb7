"""Volatility estimates."""

from engine.volatility.realised import realised

__all__ = ["realised"]
