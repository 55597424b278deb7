"""The auctions by hand arithmetic and by what a bid is to bring about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine import auction
from engine.auction import AuctionParameters

PARAMETERS = AuctionParameters(
    start=0.98,
    fast_cutoff=0.8,
    fast_seconds=100.0,
    slow_seconds=14400.0,
    insolvent_seconds=600.0,
    fee_rate=0.02,
    buffer=0.2,
    mtm_cutoff=50.0,
)


@pytest.mark.parametrize(
    ("seconds", "share"),
    [(0, 0.98), (50, 0.89), (100, 0.8), (100 + 3600, 0.6), (100 + 14399, 0.8 / 14400), (14500, 0.0), (1e9, 0.0)],
)
def test_the_discount_by_hand(seconds, share):
    assert float(auction.discount(PARAMETERS, seconds)) == pytest.approx(share, rel=1e-9, abs=1e-15)


def test_the_discount_never_rises():
    shares = auction.discount(PARAMETERS, np.arange(0.0, 15000.0, 7.0))
    assert (np.diff(shares) <= 0.0).all()
    assert shares[-1] == 0.0


def test_margin_fraction_and_price_by_hand():
    """MM excess −100, MtM 120: buffer margin −100 − 0.2 · 220 = −144. At 0.8 with nothing reserved 144 / (144 + 96);
    with 20 reserved 144 / (144 + 96 + 4), and the whole costs 80."""
    assert float(auction.buffer_margin(PARAMETERS, -100.0, 120.0)) == -144.0
    assert float(auction.maximum_fraction(PARAMETERS, -100.0, 120.0, 0.8)) == pytest.approx(0.6)
    assert float(auction.maximum_fraction(PARAMETERS, -100.0, 120.0, 0.8, 20.0)) == pytest.approx(144.0 / 244.0)
    assert float(auction.solvent_price(PARAMETERS, 100.0, 120.0, 20.0)) == pytest.approx(80.0)
    assert float(auction.starting_fee(PARAMETERS, -100.0, 120.0)) == pytest.approx(144.0 / 264.0 * 120.0 * 0.02)


def test_limits_of_the_fraction():
    """A cured account: nothing; one below the cutoff: the whole, at it not; for nothing: the whole."""
    assert auction.maximum_fraction(PARAMETERS, [50.0, 20.0], [100.0, 120.0], 0.8).tolist() == [0.0, 0.0]
    small = auction.maximum_fraction(PARAMETERS, -1.0, [49.9, 50.0], 0.8)
    assert small[0] == 1.0
    assert small[1] == pytest.approx(11.2 / 51.2)
    assert float(auction.maximum_fraction(PARAMETERS, -100.0, 120.0, 0.0)) == 1.0
    empty = AuctionParameters(mtm_cutoff=0.0)
    assert float(auction.maximum_fraction(empty, 0.0, 0.0, 0.0)) == 0.0


@settings(max_examples=200, deadline=None)
@given(
    mm_excess=st.floats(-1e6, -1.0),
    mtm=st.floats(1e3, 1e6),
    seconds=st.floats(0.0, 14000.0),
    kept=st.floats(0.0, 0.9),
)
def test_the_largest_bid_brings_the_buffer_margin_to_zero(mm_excess, mtm, seconds, kept):
    """Everything but reserved cash shrinks by the share, and the price comes in: cash counts fully in both margins."""
    reserved = kept * mtm
    share = auction.maximum_fraction(PARAMETERS, mm_excess, mtm, auction.discount(PARAMETERS, seconds), reserved)
    paid = share * auction.solvent_price(PARAMETERS, seconds, mtm, reserved)
    mm_left, mtm_left = ((worth - reserved) * (1.0 - share) + reserved + paid for worth in (mm_excess, mtm))
    assert 0.0 < share <= 1.0
    assert abs(auction.buffer_margin(PARAMETERS, mm_left, mtm_left)) <= 1e-9 * (abs(mm_excess) + mtm)


def test_a_solvent_price_at_its_limits():
    prices = auction.solvent_price(PARAMETERS, [0.0, 0.0, 14500.0], [100.0, 99.0, 200.0], 100.0)
    assert prices[0] == 0.0
    assert np.isnan(prices[1])
    assert prices[2] == 0.0


def test_an_insolvent_price_by_hand():
    """From min(MtM, 0) to MM excess in 600 s: −20, −60, −100, and no further; from 0 where MtM is above."""
    assert auction.insolvent_price(PARAMETERS, [0.0, 300.0, 600.0, 9000.0], -100.0, -20.0).tolist() == pytest.approx(
        [-20.0, -60.0, -100.0, -100.0]
    )
    assert float(auction.insolvent_price(PARAMETERS, 150.0, -100.0, 40.0)) == pytest.approx(-25.0)
    assert np.isnan(auction.insolvent_price(PARAMETERS, 0.0, 0.0, 10.0))


def test_an_account_that_is_not_solvent_pays_no_fee():
    assert auction.starting_fee(PARAMETERS, -100.0, [-20.0, 0.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("seconds", "mm_excess", "mtm", "reserved", "insolvent", "ends"),
    [
        (0.0, -100.0, 120.0, 0.0, False, False),
        (0.0, -100.0, -0.1, 0.0, False, True),  # no longer solvent
        (0.0, -100.0, 120.0, 120.0, False, True),  # nothing left but what bids brought
        (0.0, 20.0, 120.0, 0.0, False, True),  # buffer margin 0
        (0.0, 19.9, 120.0, 0.0, False, False),  # above MM, not above the buffer
        (14500.0, 19.9, 120.0, 0.0, False, False),
        (14501.0, 19.9, 120.0, 0.0, False, True),  # its time is over: MM counts
        (14501.0, -0.1, 120.0, 120.0, False, False),  # to be converted
        (0.0, 0.0, -1.0, 0.0, True, True),
        (0.0, -0.1, -1.0, 0.0, True, False),
    ],
)
def test_when_an_auction_ends(seconds, mm_excess, mtm, reserved, insolvent, ends):
    assert auction.to_be_terminated(PARAMETERS, seconds, mm_excess, mtm, reserved, insolvent) == ends


def test_arrays_broadcast():
    shares = auction.maximum_fraction(PARAMETERS, np.full((3, 1), -100.0), np.array([100.0, 200.0]), 0.5)
    assert shares.shape == (3, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 1.01},
        {"fast_cutoff": 0.99},
        {"fast_cutoff": -0.1},
        {"fast_seconds": 0.0},
        {"slow_seconds": float("inf")},
        {"insolvent_seconds": -1.0},
        {"fee_rate": 0.11},
        {"buffer": 4.1},
        {"mtm_cutoff": 1000.1},
        {"buffer": float("nan")},
    ],
)
def test_parameters_that_are_refused(wrong):
    with pytest.raises(ValueError, match="AuctionParameters"):
        AuctionParameters(**wrong)


def test_arguments_that_are_refused():
    with pytest.raises(ValueError, match=r"seconds: expected numbers >= 0, found -1\.0 in row 1"):
        auction.discount(PARAMETERS, [0.0, -1.0])
    with pytest.raises(ValueError, match="mm_excess: expected finite numbers, found nan"):
        auction.buffer_margin(PARAMETERS, float("nan"), 1.0)
    with pytest.raises(ValueError, match="mtm: expected finite numbers, found inf in row 0"):
        auction.solvent_price(PARAMETERS, 0.0, float("inf"))
    with pytest.raises(ValueError, match="reserved: expected numbers >= 0"):
        auction.maximum_fraction(PARAMETERS, -1.0, 1.0, 0.5, -1.0)


def test_parameters_come_from_plain_data():
    assert TypeAdapter(AuctionParameters).validate_python({"buffer": 0.3}) == AuctionParameters(buffer=0.3)
