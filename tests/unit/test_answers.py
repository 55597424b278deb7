"""Answers to a send: what must not be believed, and that no answer ever lets go of bytes or a nonce."""

import pytest

from keeper.sending.answers import ACTIONS, KEPT_UNKNOWN, AnswerClass, Liveness, Step, Tally, classify, normalised


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (-32003, "transaction already imported", "ALREADY_KNOWN"),  # these seven: Anvil 1.7.1
        (-32003, "replacement transaction underpriced", "REPLACE_UNDERPRICED"),
        (-32003, "invalid chain id for signer", "INVALID"),
        (-32000, "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", "INVALID"),
        (-32003, "max fee per gas less than block base fee", "FEECAP_BELOW_BASEFEE"),
        (-32003, "Insufficient funds for gas * price + value", "INSUFFICIENT_FUNDS"),
        (-32003, "nonce too low", "NONCE_USED"),
        (-32000, "transaction gas limit too high (cap: 16777216, tx: 20000000)", "INVALID"),  # EIP-7825
        (-32000, "transaction indexing is in progress", "NODE_UNAVAILABLE"),
    ],
)
def test_clients_words(code: int, message: str, expected: str) -> None:
    assert str(classify(code, message)) == expected


@pytest.mark.parametrize(
    "message",
    [
        "",
        "unknown transaction",
        "nonce authority unavailable",
        "not already known",
        "already known to be malformed",  # a further word makes another statement of it
        "the transaction was mined",
        "nonce too lowish",
        "insufficient funds to bid",
        "交易池已满",
        "<html><body>already known</body></html>",
        "\x00" * 1000,
    ],
)
def test_what_merely_resembles_a_fact_stays_unknown(message: str) -> None:
    assert classify(-32000, message) is AnswerClass.UNKNOWN


@pytest.mark.parametrize("words", ["nonce too low", "already known", "txpool is full"])
def test_a_contract_that_says_a_node_s_words_is_a_revert(words: str) -> None:
    assert classify(-32000, f"execution reverted: {words}") is AnswerClass.REVERT_PRECHECK
    assert classify(3, f"err: execution reverted: {words}") is AnswerClass.REVERT_PRECHECK


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_gateway_s_status_outweighs_whatever_its_body_says(status: int) -> None:
    assert classify(-32000, "already known", status) is AnswerClass.NODE_UNAVAILABLE


def test_a_node_may_refuse_with_400_or_500_and_json_inside() -> None:
    assert classify(-32000, "nonce too low", 400) is AnswerClass.NONCE_USED
    assert classify(-32000, "nonce too low", 500) is AnswerClass.NONCE_USED
    assert classify(-32000, "segfault", 500) is AnswerClass.UNKNOWN
    assert classify(None, "segfault", 500) is AnswerClass.NODE_UNAVAILABLE


def test_every_class_has_an_action_and_unknown_means_assume_live() -> None:
    assert set(ACTIONS) == set(AnswerClass)
    assert ACTIONS[AnswerClass.UNKNOWN].live is Liveness.ASSUMED
    assert ACTIONS[AnswerClass.NODE_UNAVAILABLE].live is Liveness.ASSUMED
    assert set(Step) == {action.step for action in ACTIONS.values()}
    assert "dead" not in {str(live) for live in Liveness}


def test_the_tally_keeps_the_last_unknown_texts_once_and_counts_shares_of_refusals() -> None:
    tally = Tally()
    assert tally.unknown_share() == 0.0
    for number in range(KEPT_UNKNOWN + 5):
        tally.count(AnswerClass.UNKNOWN, f"strange {number}")
    tally.count(AnswerClass.UNKNOWN, "STRANGE  24")
    assert tally.unknown_texts() == tuple(f"strange {number}" for number in range(5, KEPT_UNKNOWN + 5))
    for _ in range(26):
        tally.count(AnswerClass.NONCE_USED)
    for _ in range(100):
        tally.count(AnswerClass.ACCEPTED)
    assert tally.unknown_share() == 0.5
    assert tally.counts()[AnswerClass.ACCEPTED] == 100


def test_normalised_text_is_bounded() -> None:
    assert len(normalised("a" * 10**6)) <= 400
