"""Answers of real clients, sequencers and providers, each with the class a person gave it."""

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.sending.answers import AnswerClass, Tally, classify

FILE = Path(__file__).parents[2] / ".." / "shared" / "vectors" / "tx_errors.json"
ROWS: list[dict[str, Any]] = json.loads(FILE.read_text()) if FILE.exists() else []

pytestmark = pytest.mark.skipif(not ROWS, reason=f"published answers not found at {FILE}")


def test_every_answer_has_its_class_and_the_controls_stay_unknown() -> None:
    found = {(row["client"], row["message"]): str(classify(row["code"], row["message"])) for row in ROWS}
    assert found == {(row["client"], row["message"]): row["error_class"] for row in ROWS}
    assert {AnswerClass(row["error_class"]) for row in ROWS} == set(AnswerClass) - {AnswerClass.ACCEPTED}


def test_the_code_is_no_part_of_it_for_providers_rewrite_codes() -> None:
    """Nonce too low arrives as -32603 from some providers, rate limits and block gas limits both as -32005."""
    for row in ROWS:
        if row["code"] != 429:
            assert all(str(classify(code, row["message"])) == row["error_class"] for code in (None, -32603, -32000))


def test_a_text_cut_short_keeps_its_class_or_is_unknown_and_never_turns_into_another() -> None:
    for row in ROWS:
        for length in range(len(row["message"])):
            assert str(classify(None, row["message"][:length])) in (row["error_class"], "UNKNOWN")


@pytest.mark.parametrize(
    "around",
    [
        "err: {}",
        "ERROR: {}",
        "rpc error: code = Unknown desc = {}",
        "failed to send transaction: {}",
        '{{"code":-32000,"message":"{}"}}',
        "  {}\n",
        "json-rpc error: err: {}",
    ],
)
def test_what_providers_put_around_it_changes_nothing(around: str) -> None:
    for row in ROWS:
        if row["client"] != "transport":
            assert (row["message"], str(classify(row["code"], around.format(row["message"])))) == (
                row["message"],
                row["error_class"],
            )


def test_the_unknown_share_of_the_corpus_is_its_controls() -> None:
    tally = Tally()
    for row in ROWS:
        tally.count(classify(row["code"], row["message"]), row["message"])
    controls = sum(row["error_class"] == "UNKNOWN" for row in ROWS)
    assert tally.unknown_share() == controls / len(ROWS)
    assert len(tally.unknown_texts()) == controls
