"""EIP-1559 fees: a first, fixed rule. Replacement and deadlines are a later capability."""

from dataclasses import dataclass

from keeper.units import Wei

HEADROOM = 2
"""Base fee may double before the transaction stops being includable: six full blocks at +12.5 %."""


@dataclass(frozen=True, slots=True)
class Fees:
    max_fee: Wei  # per gas
    tip: Wei  # per gas


def fees(base_fee: int, tip: int, cap: int) -> Fees | None:
    """Return max fee and tip in wei per gas, or None when the base fee alone already exceeds the cap."""
    if base_fee > cap:
        return None
    max_fee = min(cap, HEADROOM * base_fee + tip)
    return Fees(Wei(max_fee), Wei(min(tip, max_fee)))
