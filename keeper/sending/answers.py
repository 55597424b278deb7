"""What a node's answer to eth_sendRawTransaction means.

Wording is a fact about one client's version (keeper/sending/answer_facts.py); what no fact knows is UNKNOWN, is
counted, and is treated as possibly live.
"""

import re
import unicodedata
from collections import Counter
from typing import Final

from keeper.sending.answer_classes import ACTIONS, Action, AnswerClass, Liveness, Step
from keeper.sending.answer_facts import FACTS

__all__ = ["ACTIONS", "Action", "AnswerClass", "Liveness", "Step", "Tally", "classify", "normalised"]

LONGEST = 400
"""Characters of an answer that are looked at: a phrase comes first, what follows are figures."""
KEPT_UNKNOWN = 20

UNAVAILABLE_STATUS: Final = frozenset({401, 402, 403, 404, 408, 413, 425, 429, 502, 503, 504, 520, 522, 524})
"""HTTP statuses of something before the node: whatever the body says, the node did not say it."""

_WRAPPER = re.compile(
    r"(?:json-?)?(?:rpc )?error: code = \w+ desc =\s*"
    r"|(?:err|(?:(?:json-?)?rpc |provider ?|returned |internal |server )?error|submit transaction to pool failed"
    r"|(?:failed|unable) to (?:send|submit|broadcast)(?: raw)?(?: (?:transaction|tx))?)\s*:\s*"
    r"|\{[^{}]*?\"message\"\s*:\s*\""
    r"|[\"'`{\[]+\s*"
)
_CLAUSE = re.compile(r":\s+|\bdesc = |\"message\"\s*:\s*\"")
_ENDS = r"(?=$|\s*[:;,.!(\[{\"'}\])]|\s+-)"
_CLOSING = " \t\"'`}]"


def classify(code: int | None, message: str, http_status: int | None = None) -> AnswerClass:
    """Return what an error answer means. Case, white space, known wrappers and figures do not matter.

    `http_status` outside 200 says that a gateway or limiter answered, unless the text is one a node uses: a
    429 whose body says `already known` is a 429. `code` decides only where it repeats an HTTP status; clients
    use the same JSON-RPC code for opposite things (-32005: rate limit, block gas limit).
    """
    if http_status in UNAVAILABLE_STATUS or code in UNAVAILABLE_STATUS:
        return AnswerClass.NODE_UNAVAILABLE
    found = _by_fact(normalised(message))
    if found is AnswerClass.UNKNOWN and http_status is not None and http_status >= 500 and code is None:
        return AnswerClass.NODE_UNAVAILABLE  # not a JSON-RPC answer at all
    return found


def normalised(message: str) -> str:
    """Return the text in one case and spacing, without the wrappers providers put around a node's words."""
    text = unicodedata.normalize("NFKC", message[: 4 * LONGEST]).casefold().replace("’", "'")
    text = " ".join(text.split())
    while (wrapper := _WRAPPER.match(text)) is not None:
        text = text[wrapper.end() :]
    return text[:LONGEST].rstrip(_CLOSING)


def _by_fact(text: str) -> AnswerClass:
    """Return the class of the first clause any fact knows; clauses are tried from the left.

    So `execution reverted: nonce too low` is a contract that reverts, not a node that counts nonces.
    """
    if (match := _ALONE.fullmatch(text)) is not None:
        return _class_of(match)
    for start in (0, *(clause.end() for clause in _CLAUSE.finditer(text))):
        if (match := _IN_CLAUSE.match(text, start)) is not None:
            return _class_of(match)
    return AnswerClass.UNKNOWN


def _class_of(match: re.Match[str]) -> AnswerClass:
    return FACTS[int(str(match.lastgroup)[1:])].error_class


def _pattern(*, alone: bool) -> re.Pattern[str]:
    """Return one expression for all facts, a group each; where two match, the earlier fact counts."""
    phrases = [f"(?P<f{row}>{fact.phrase})" for row, fact in enumerate(FACTS) if fact.alone == alone]
    return re.compile(f"(?:{'|'.join(phrases)}){'' if alone else _ENDS}")


_ALONE = _pattern(alone=True)
_IN_CLAUSE = _pattern(alone=False)


class Tally:
    """Counts answers by class; the share of unknown ones is the metric that says when the facts have aged."""

    def __init__(self) -> None:
        self._counts: Counter[AnswerClass] = Counter()
        self._unknown: dict[str, None] = {}

    def count(self, found: AnswerClass, text: str = "") -> None:
        """Count one answer. The last few distinct unknown texts are kept, normalised and cut short, to be reported."""
        self._counts[found] += 1
        if found is AnswerClass.UNKNOWN:
            self._unknown.pop(normalised(text), None)
            self._unknown[normalised(text)] = None
            for oldest in list(self._unknown)[:-KEPT_UNKNOWN]:
                del self._unknown[oldest]

    def counts(self) -> dict[AnswerClass, int]:
        return dict(self._counts)

    def unknown_texts(self) -> tuple[str, ...]:
        """Return the last distinct texts no fact knew, oldest first."""
        return tuple(self._unknown)

    def unknown_share(self) -> float:
        """Return unknown answers as a share of all that were not accepted, 0 when there were none."""
        refused = self._counts.total() - self._counts[AnswerClass.ACCEPTED]
        return self._counts[AnswerClass.UNKNOWN] / refused if refused else 0.0
