"""Black-76, undiscounted: docs/risk-arrays.md, Black-76.

Amounts in USD wad; `sd` is the total standard deviation, wad.
"""

from typing import Final

from keeper.twin.fixed import WAD, ln_wad
from keeper.twin.normal import normal

LEAST_SD: Final = 10**8
"""Below it the option is worth its intrinsic value: 10⁻¹⁰ of total standard deviation."""


def log_forward(forward: int, k: int) -> int | None:
    """Return ln(forward / k), wad, for k > 0; None where the quotient is below one unit: the call is worth nothing."""
    r = forward * WAD // k
    return ln_wad(r) if r else None


def black(forward: int, k: int, sd: int) -> tuple[int, int]:
    """Return call and n1 = N(d1) for forward >= 0 and any k; a k <= 0 makes the call linear.

    The call lies in [max(F − k, 0), F] for k > 0.
    """
    if k <= 0:
        return forward - k, WAD
    return black_at(forward, k, sd, log_forward(forward, k))


def black_at(forward: int, k: int, sd: int, log: int | None) -> tuple[int, int]:
    """As `black` for k > 0, given log = log_forward(forward, k): two volatilities share it."""
    intrinsic = forward - k if forward > k else 0
    if forward == 0:
        return 0, 0
    if sd < LEAST_SD:
        return intrinsic, (WAD if forward > k else 0)
    if log is None:
        return 0, 0
    scaled = log * WAD
    d1 = (scaled // sd if scaled >= 0 else -(-scaled // sd)) + sd // 2
    n1, _ = normal(d1)
    n2, _ = normal(d1 - sd)
    call = forward * n1 - k * n2
    call = call // WAD if call > 0 else 0
    return min(max(call, intrinsic), forward), n1


def put_of(call: int, forward: int, k: int) -> int:
    """Return the put's value beside the call's; 0 where k <= 0."""
    return call + k - forward if k > 0 else 0
