"""Laws of reading answers: stable under case, spacing and wrapping, total, and blind to what follows a clause."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.sending.answers import AnswerClass, classify, normalised

KNOWN = {
    "already known": AnswerClass.ALREADY_KNOWN,
    "nonce too low: next nonce 185, tx nonce 184": AnswerClass.NONCE_USED,
    "nonce too high": AnswerClass.NONCE_GAP,
    "replacement transaction underpriced": AnswerClass.REPLACE_UNDERPRICED,
    "underpriced": AnswerClass.UNDERPRICED,
    "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)": AnswerClass.NODE_FEE_CAP,
    "insufficient funds for gas * price + value: balance 1, tx cost 9": AnswerClass.INSUFFICIENT_FUNDS,
    "txpool is full": AnswerClass.POOL_FULL,
    "address already reserved": AnswerClass.TYPE_CONFLICT,
    "execution reverted: paused": AnswerClass.REVERT_PRECHECK,
    "exceeds block gas limit": AnswerClass.INVALID,
    "mined": AnswerClass.NONCE_USED,
}
WRAPPERS = ("err: {}", "Error: {}", "rpc error: code = Internal desc = {}", "failed to submit tx: {}", '"{}"')


@st.composite
def disguised(draw: st.DrawFn) -> tuple[str, AnswerClass]:
    """Draw a known answer in any case, spacing and wrapping."""
    text, found = draw(st.sampled_from(sorted(KNOWN.items())))
    text = "".join(c.upper() if draw(st.booleans()) else c for c in text)
    text = text.replace(" ", draw(st.sampled_from([" ", "  ", "\t", "\n", "\u00a0"])))
    for wrapper in draw(st.lists(st.sampled_from(WRAPPERS[:4]), max_size=3)):
        text = wrapper.format(text)
    return draw(st.sampled_from([*WRAPPERS, "{}"])).format(text), found


@given(disguised(), st.sampled_from([None, 0, -32000, -32603, -32010]))
def test_disguise_does_not_change_the_class(case: tuple[str, AnswerClass], code: int | None) -> None:
    text, expected = case
    assert classify(code, text) is expected


@given(st.text(max_size=600), st.one_of(st.none(), st.integers()), st.one_of(st.none(), st.integers(100, 599)))
def test_any_text_has_a_class_and_reading_it_is_repeatable(text: str, code: int | None, status: int | None) -> None:
    found = classify(code, text, status)
    assert found is classify(code, text, status)
    assert found is not AnswerClass.ACCEPTED
    assert classify(None, normalised(text)) in (classify(None, text), AnswerClass.UNKNOWN)


@given(st.sampled_from(sorted(KNOWN)), st.from_regex(r"[a-z]{1,12}", fullmatch=True))
def test_a_further_word_directly_behind_makes_it_unknown_or_leaves_it(text: str, word: str) -> None:
    assert classify(None, f"{text} {word}") in (KNOWN[text], AnswerClass.UNKNOWN)
    assert classify(None, f"{word}{text}") is AnswerClass.UNKNOWN or f"{word}{text}" in KNOWN


@given(st.sampled_from(sorted(KNOWN)), st.text(max_size=50))
def test_nothing_behind_a_revert_counts(text: str, tail: str) -> None:
    assert classify(None, f"execution reverted: {text}{tail}") is AnswerClass.REVERT_PRECHECK
