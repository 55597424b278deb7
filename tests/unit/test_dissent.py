"""An endpoint that contradicts enough others block after block is set aside; never one of two equal sides."""

from keeper.submit.dissent import PERSISTENT, Dissent

LIE = {"a": 4, "b": 4, "c": 3}


def said(dissent: Dissent, answers: dict[str, int], blocks: int, first: int = 0) -> list[tuple[str, ...]]:
    return [dissent.aside("nonce of 0xa", first + row, answers) for row in range(blocks)]


def test_the_liar_is_set_aside_at_the_last_of_enough_blocks_and_stays_so() -> None:
    found = said(Dissent(2), LIE, PERSISTENT + 1)
    assert found == [()] * (PERSISTENT - 1) + [("c",)] * 2


def test_one_block_counts_once_however_often_it_is_asked_about() -> None:
    dissent = Dissent(2)
    assert [dissent.aside("nonce of 0xa", 7, LIE) for _ in range(9)] == [()] * 9


def test_a_word_of_agreement_begins_the_count_anew_and_silence_does_not() -> None:
    dissent = Dissent(2)
    said(dissent, LIE, PERSISTENT - 1)
    said(dissent, {"a": 4, "b": 4}, 1, first=50)
    assert said(dissent, LIE, 1, first=60) == [("c",)]
    said(dissent, {"a": 4, "b": 4, "c": 4}, 1, first=70)
    assert said(dissent, LIE, 1, first=80) == [()]


def test_each_subject_is_counted_by_itself() -> None:
    dissent = Dissent(2)
    said(dissent, LIE, PERSISTENT)
    assert dissent.aside("nonce of 0xb", 99, LIE) == ()


def test_neither_side_is_set_aside_where_both_could_make_a_fact_or_neither_can() -> None:
    for needed, answers in (
        (2, {"a": 4, "b": 4, "c": 3, "d": 3}),
        (2, {"a": 4, "b": 4, "c": 4, "d": 3, "e": 3}),
        (2, {"a": 4, "b": 3}),
        (1, {"a": 4, "b": 4, "c": 3}),
        (3, {"a": 4, "b": 4, "c": 3}),
        (2, {}),
    ):
        assert said(Dissent(needed), answers, 2 * PERSISTENT) == [()] * (2 * PERSISTENT), answers
