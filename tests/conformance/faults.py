"""An endpoint that fails chosen reads, as a node does that is behind, pruned or overloaded.

Calls asked through MarginLens are chosen like others. A fault of one of them is one of the whole answer, as nodes fail;
a revert is that call's alone.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from keeper.lens import PLACE
from keeper.rpc import Rpc, RpcRefusal
from tests.conformance.lens import Question, failed, questions

Fault = Callable[[Any], Any]
REFUSAL, REVERT, CUT_SHORT = "a refusal", "a revert", "a word cut short"
FAULTS: dict[str, Fault] = {
    REFUSAL: lambda _: RpcRefusal(-32000, "missing trie node"),
    REVERT: lambda _: RpcRefusal(3, "execution reverted"),
    "no bytes": lambda _: "0x",
    CUT_SHORT: lambda answer: answer[: 2 + 62] if isinstance(answer, str) else answer,
}


class FaultyRpc(Rpc):
    """Answers like the node behind it, but for the calls that `watch` chose."""

    def __init__(self, behind: Rpc) -> None:
        super().__init__("http://unused.invalid")
        self._behind = behind
        self.fault: Fault = FAULTS[REFUSAL]
        self._known: dict[str, Any] = {}
        self._numbers: dict[Question, int] = {}
        self._word: bytes | None = None
        self._only: int | None = None
        self._without: Collection[bytes] = ()

    @property
    def chosen(self) -> tuple[Question, ...]:
        """The different calls that were chosen since `watch`, first asked first."""
        return tuple(self._numbers)

    def watch(
        self, word: bytes, only: int | None = None, fault: Fault | None = None, without: Collection[bytes] = ()
    ) -> None:
        """From now on fail the calls with `word` in their data, and none of the words `without`; `only` the one of
        this number among them. A read of a contract's code is a call without data."""
        self.fault = fault or FAULTS[REFUSAL]
        self._numbers = {}
        self._word, self._only, self._without = word, only, without

    def call(self, method: str, *params: object) -> Any:
        return self._behind.call(method, *params)

    def batch(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        return [self._answer(item, answer) for item, answer in zip(items, self._truths(items), strict=True)]

    def _truths(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        """Return the node's answers, asking it once for what does not change: a rule reads one block over and over."""
        keys = [repr(item) for item in items]
        new = [row for row, key in enumerate(keys) if key not in self._known]
        found = dict(zip(new, self._behind.batch([items[row] for row in new]) if new else (), strict=True))
        self._known |= {keys[row]: answer for row, answer in found.items() if "latest" not in keys[row]}
        return [found[row] if row in found else self._known[key] for row, key in enumerate(keys)]

    def _answer(self, item: tuple[str, Sequence[Any]], answer: Any) -> Any:
        method, params = item
        if method == "eth_getCode":
            return self.fault(answer) if self._is_chosen((params[0].lower(), b"")) else answer
        if method != "eth_call":
            return answer
        rows = {row for row, question in enumerate(questions(params)) if self._is_chosen(question)}
        if not rows:
            return answer
        if params[0]["to"] == PLACE and self.fault is FAULTS[REVERT]:
            return failed(params, answer, rows)
        return self.fault(answer)

    def _is_chosen(self, question: Question) -> bool:
        data = question[1]
        if self._word is None or self._word not in data or any(word in data for word in self._without):
            return False
        return self._only in (None, self._numbers.setdefault(question, len(self._numbers)))
