"""The insurance fund's books by hand: they add up to the last digit, or say where they stop doing so."""

from dataclasses import replace

import pytest

from keeper.reference.fund import Books, Entry

PAID_IN = Entry(5, 0, "fund", "deposit", 1_000, 1_000)
DRAWN = Entry(9, 3, "fund", "fund", -1_000, 0)
LOST = Entry(9, 4, "bad debt", "shared loss", -7, -7)
REPAID = Entry(12, 0, "bad debt", "bond", 7, 0)
REFILLED = Entry(12, 1, "fund", "bond", 3, 3)
BOOKS = Books(20, (PAID_IN, DRAWN, LOST, REPAID, REFILLED), fund=3, bad_debt=0)


def test_books_that_add_up_have_no_fault() -> None:
    assert BOOKS.faults() == []
    assert (BOOKS.total("fund"), BOOKS.total("fund", "bond"), BOOKS.total("bad debt")) == (3, 3, 0)
    assert Books(4, (), 0, 0).faults() == []


@pytest.mark.parametrize("row", range(5))
def test_an_event_that_is_missing_is_found(row: int) -> None:
    fewer = BOOKS.entries[:row] + BOOKS.entries[row + 1 :]
    assert len(replace(BOOKS, entries=fewer).faults()) >= 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (replace(BOOKS, fund=4), "fund: its events sum to 3, the venue says 4"),
        (replace(BOOKS, bad_debt=1), "bad debt: its events sum to 0, the venue says -1"),
        (replace(BOOKS, entries=(PAID_IN, replace(DRAWN, delta=-999), LOST, REPAID, REFILLED)), "block 9, log 3"),
    ],
)
def test_one_unit_is_enough(changed: Books, says: str) -> None:
    assert any(says in fault for fault in changed.faults())


def test_the_first_block_being_too_late_is_said() -> None:
    (fault,) = replace(BOOKS, entries=(DRAWN, LOST, REPAID, REFILLED)).faults()
    assert "first block too late" in fault


def test_a_fault_of_one_account_hides_none_of_the_other() -> None:
    both = replace(BOOKS, entries=(DRAWN, LOST, REPAID, REFILLED), bad_debt=1)
    assert len(both.faults()) == 2
