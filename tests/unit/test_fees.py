"""Fees by EIP-1559's own arithmetic: what is offered stays includable while the base fee doubles, within the cap."""

from itertools import pairwise

import pytest

from keeper.submit.fees import fees

GWEI = 10**9


def base_fees(first: int, full_blocks: int) -> list[int]:
    """Return the base fees of consecutive full blocks: each an eighth up, by 1 wei at least (EIP-1559)."""
    found = [first]
    for _ in range(full_blocks):
        found.append(found[-1] + max(found[-1] // 8, 1))
    return found


@pytest.mark.parametrize("base_fee", [7, GWEI, 30 * GWEI])
def test_it_stays_includable_for_five_full_blocks_with_its_whole_tip(base_fee: int) -> None:
    offered = fees(base_fee, 2 * GWEI, 200 * GWEI)
    assert offered is not None
    assert all(offered.max_fee - later >= offered.tip == 2 * GWEI for later in base_fees(base_fee, 5))


def test_by_hand() -> None:
    offered = fees(30 * GWEI, 2 * GWEI, 200 * GWEI)
    assert offered is not None
    assert (offered.max_fee, offered.tip) == (62 * GWEI, 2 * GWEI)


def test_no_base_fee_still_offers_the_tip() -> None:
    offered = fees(0, GWEI, 200 * GWEI)
    assert offered is not None
    assert (offered.max_fee, offered.tip) == (GWEI, GWEI)


def test_equality_with_the_cap_is_allowed_and_one_wei_more_is_not() -> None:
    offered = fees(200 * GWEI, 2 * GWEI, 200 * GWEI)
    assert offered is not None
    assert offered.max_fee == 200 * GWEI
    assert fees(200 * GWEI + 1, 2 * GWEI, 200 * GWEI) is None


@pytest.mark.parametrize("base_fee", [0, 1, 7, 50 * GWEI, 99 * GWEI, 100 * GWEI, 150 * GWEI, 200 * GWEI])
@pytest.mark.parametrize("tip", [0, 1, 2 * GWEI, 300 * GWEI])
def test_never_above_the_cap_and_never_a_tip_above_the_fee(base_fee: int, tip: int) -> None:
    """EIP-1559 makes a transaction whose tip exceeds its fee, or whose fee is below the base fee, invalid."""
    offered = fees(base_fee, tip, 200 * GWEI)
    assert offered is not None
    assert base_fee <= offered.max_fee <= 200 * GWEI
    assert 0 <= offered.tip <= min(tip, offered.max_fee)


def test_a_higher_base_fee_never_lowers_the_offer() -> None:
    offers = [fees(base, 2 * GWEI, 200 * GWEI) for base in range(0, 201 * GWEI, GWEI)]
    assert all(low is not None and high is not None and low.max_fee <= high.max_fee for low, high in pairwise(offers))
