"""Every class of answer leads to its step of docs/sending.md; one endpoint that has the bytes silences the others."""

import pytest

from keeper.lanes.replies import alarm, judged, one_in_flight, standstill, wants_cancel, wants_sibling, wants_simulation
from keeper.sending.answers import AnswerClass

DEARER = {"REPLACE_UNDERPRICED", "UNDERPRICED", "FEECAP_BELOW_BASEFEE"}


@pytest.mark.parametrize("name", sorted(AnswerClass))
def test_the_step_of_each_class(name: str) -> None:
    said = judged({"a": name}, 1)
    assert wants_sibling(said, ["original"]) == (name in DEARER | {"INVALID"})
    assert wants_cancel(said, ["original"]) == (name == "TERMINALLY_STUCK")
    assert wants_simulation(said) == (name == "REVERT_PRECHECK")
    assert one_in_flight([said]) == (name == "DELEGATED_LIMIT")
    assert bool(standstill([said])) == (name in ("INSUFFICIENT_FUNDS", "DELEGATED_LIMIT"))
    assert bool(alarm(said, 2)) == (name in ("NODE_FEE_CAP", "INSUFFICIENT_FUNDS"))


@pytest.mark.parametrize("name", sorted(AnswerClass))
@pytest.mark.parametrize("has", ["ACCEPTED", "ALREADY_KNOWN"])
def test_a_lie_of_one_endpoint_moves_nothing_where_another_has_the_bytes(name: str, has: str) -> None:
    assert judged({"liar": name, "honest": has}, 1) == frozenset()


def test_bytes_that_are_invalid_twice_give_way_to_a_cancel_and_an_invalid_cancel_is_not_repeated() -> None:
    said = judged({"a": "INVALID"}, 1)
    assert wants_sibling(said, ["original", "replacement"]) and wants_cancel(said, ["original", "replacement"])
    assert not wants_sibling(said, ["original", "replacement", "cancel"])


def test_a_replacement_refused_where_only_one_attempt_is_stored_is_the_alarm_for_foreign_use() -> None:
    said = judged({"a": "REPLACE_UNDERPRICED"}, 1)
    assert "used elsewhere" in alarm(said, 1) and alarm(said, 2) == ""


@pytest.mark.parametrize("name", sorted(AnswerClass))
def test_a_relays_word_moves_nothing_and_silences_nobody(name: str) -> None:
    assert judged({"relay a": name}, 1) == frozenset()
    assert judged({"relay a": name, "b": "UNDERPRICED"}, 1) == {AnswerClass.UNDERPRICED}


@pytest.mark.parametrize("name", ["TERMINALLY_STUCK", "INVALID", "INSUFFICIENT_FUNDS", "DELEGATED_LIMIT"])
def test_what_ends_a_call_or_stops_the_key_takes_as_many_as_make_a_fact(name: str) -> None:
    assert judged({"liar": name, "b": "NODE_UNAVAILABLE", "c": "UNKNOWN"}, 2) == {
        AnswerClass.NODE_UNAVAILABLE,
        AnswerClass.UNKNOWN,
    }
    assert judged({"a": name, "b": name}, 2) == {AnswerClass(name)}
    assert judged({"relay a": name, "b": name}, 2) == frozenset()


def test_a_dearer_replacement_takes_the_word_of_one() -> None:
    assert wants_sibling(judged({"a": "UNDERPRICED", "b": "NODE_UNAVAILABLE"}, 2), ["original"])
