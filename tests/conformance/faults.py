"""An endpoint that fails chosen calls, as a node does that is behind, pruned or overloaded.

Calls asked through MarginLens are chosen like others. A fault of one of them is one of the whole answer, as nodes fail;
a revert is that call's alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from keeper.lens import PLACE
from keeper.rpc import Rpc, RpcRefusal
from tests.conformance.lens import Question, failed, questions

Fault = Callable[[Any], Any]
REVERT: Final = "a revert"
FAULTS: dict[str, Fault] = {
    "a refusal": lambda _: RpcRefusal(-32000, "missing trie node"),
    REVERT: lambda _: RpcRefusal(3, "execution reverted"),
    "no bytes": lambda _: "0x",
    "a word cut short": lambda answer: answer[: 2 + 62] if isinstance(answer, str) else answer,
}


class FaultyRpc(Rpc):
    """Answers like the node behind it, but for the calls that `watch` chose."""

    def __init__(self, behind: Rpc) -> None:
        super().__init__("http://unused.invalid")
        self._behind = behind
        self.fault: Fault = FAULTS["a refusal"]
        self._numbers: dict[Question, int] = {}
        self._word: bytes | None = None
        self._only: int | None = None

    @property
    def chosen(self) -> int:
        """How many different calls had the word since `watch`."""
        return len(self._numbers)

    def watch(self, word: bytes, only: int | None = None, fault: Fault | None = None) -> None:
        """From now on fail the calls with `word` in their data; `only` the one of this number among them."""
        self.fault = fault or FAULTS["a refusal"]
        self._numbers = {}
        self._word, self._only = word, only

    def call(self, method: str, *params: object) -> Any:
        return self._behind.call(method, *params)

    def batch(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        return [self._answer(item, answer) for item, answer in zip(items, self._behind.batch(items), strict=True)]

    def _answer(self, item: tuple[str, Sequence[Any]], answer: Any) -> Any:
        method, params = item
        if method != "eth_call":
            return answer
        rows = {row for row, question in enumerate(questions(params)) if self._is_chosen(question)}
        if not rows:
            return answer
        if params[0]["to"] == PLACE and self.fault is FAULTS[REVERT]:
            return failed(params, answer, rows)
        return self.fault(answer)

    def _is_chosen(self, question: Question) -> bool:
        if self._word is None or self._word not in question[1]:
            return False
        return self._only in (None, self._numbers.setdefault(question, len(self._numbers)))
