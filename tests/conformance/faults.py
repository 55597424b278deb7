"""An endpoint that fails chosen calls, as a node does that is behind, pruned or overloaded."""

from collections.abc import Callable, Sequence
from typing import Any

from keeper.rpc import Rpc, RpcRefusal

Fault = Callable[[Any], Any]
FAULTS: dict[str, Fault] = {
    "a refusal": lambda _: RpcRefusal(-32000, "missing trie node"),
    "no bytes": lambda _: "0x",
    "a word cut short": lambda answer: answer[: 2 + 62] if isinstance(answer, str) else answer,
}


class FaultyRpc(Rpc):
    """Answers like the node behind it, but for the calls that `watch` chose."""

    def __init__(self, behind: Rpc) -> None:
        super().__init__("http://unused.invalid")
        self._behind = behind
        self.fault: Fault = FAULTS["a refusal"]
        self.chosen = 0  # calls with the word since `watch`
        self._word: bytes | None = None
        self._only: int | None = None

    def watch(self, word: bytes, only: int | None = None, fault: Fault | None = None) -> None:
        """From now on fail the calls with `word` in their data; `only` the one of this number among them."""
        self.chosen = 0
        self.fault = fault or FAULTS["a refusal"]
        self._word, self._only = word, only

    def call(self, method: str, *params: object) -> Any:
        return self._behind.call(method, *params)

    def batch(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        return [self._answer(item, answer) for item, answer in zip(items, self._behind.batch(items), strict=True)]

    def _answer(self, item: tuple[str, Sequence[object]], answer: Any) -> Any:
        method, params = item
        message = params[0] if method == "eth_call" else None
        if not isinstance(message, dict) or self._word is None:
            return answer
        if self._word not in bytes.fromhex(message["data"][2:]):
            return answer
        number, self.chosen = self.chosen, self.chosen + 1
        return self.fault(answer) if self._only in (None, number) else answer
