"""What the reference venue itself says at one block: its own views, events and receipts, by raw JSON-RPC batches.

Part of an observer, which shares no code with the keeper: nothing here imports `keeper` or `engine`. Accounts are named
as the keeper's journal names them, in lower case. Amounts are USD wad.

A proof names one scenario row an underlying, and rows of one do not touch what another asks for. So an account's worst
rows are found underlying by underlying: when its book changes, and at every block while it is near its MM, by the rows
found last or by arrays of any age, which know all rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from observer_node import Node, ObserverError, call_data, result, selector
from observer_rules import Statement

ROWS = 18
NO_ROW = 255
NO_ROWS = 2**256 - 1
ANY_SEQUENCE = 2**64 - 1
FOREVER = 2**40 - 1
CALL_GAS = hex(100_000_000)
REVERTED = 3  # the code of an execution that reverted, as Geth and Anvil give it
NEAR = 1.1  # equity below so many times MM: every row is asked, and the arrays in force
AT_ONCE = 64  # questions a request, so that the keeper's come in between
BOOK = "(int256,uint256[],uint256[])"
BY_SCENARIO = selector(f"byScenario({BOOK},uint256)")
BY_OLD_ARRAYS = selector(f"byArraysRegardless({BOOK})")
BY_ARRAYS, BY_SETTLED = selector(f"byArrays({BOOK})"), selector(f"bySettledArrays({BOOK})")
FIRST_WORD = f"{32:064x}"
"""Where the one argument, a tuple, begins."""
START = selector("startAuction((uint256,uint64,uint40,bool,uint256))")


@dataclass(frozen=True, slots=True)
class Held:
    """An account's book as the venue gave it, and what of it the observer looks at."""

    body: str  # the encoded struct, hexadecimal
    legs: int
    traded: tuple[int, ...]  # underlyings of its positions
    underlyings: tuple[int, ...]  # that may ask for margin: its tokens' too

    @property
    def shape(self) -> tuple[int, tuple[int, ...]]:
        return self.legs, self.underlyings


@dataclass(frozen=True, slots=True)
class View:
    """One account at one block."""

    held: Held
    auction: int  # 0: none
    rows: int  # the worst known, packed as the contract takes them
    proof: Statement | None  # by those rows; None where the contract refuses to say
    old: Statement | None  # by arrays of any age: all rows, of prices a while ago
    newest: Statement | None = None  # by the newest arrays; asked only where it may be short
    settled: Statement | None = None  # asked only where the newest show less than MM

    @property
    def by_proof(self) -> bool:
        return _short(self.proof)

    @property
    def by_arrays(self) -> bool:
        return _short(self.newest) and _short(self.settled)

    @property
    def near(self) -> bool:
        """Whether equity is not far above the larger of two MM, or one of them cannot be read."""
        if self.proof is None or self.old is None:
            return True
        return self.proof.equity < max(self.proof.mm, self.old.mm) * NEAR

    @property
    def in_doubt(self) -> bool:
        """Whether another row might show a shortfall that matters: who is known to be short needs none."""
        return self.near and not self.auction and not self.by_proof

    @property
    def below(self) -> bool:
        return self.by_proof or self.by_arrays

    @property
    def said(self) -> Statement | None:
        """What a start would rest on: the proof, and the newest arrays where they alone show a shortfall."""
        return self.newest if self.by_arrays and not self.by_proof else self.proof or self.newest


def _short(said: Statement | None) -> bool:
    return said is not None and said.equity < said.mm


Question = tuple[str, str]
"""Contract and call data."""


class Venue:
    """The venue's views, asked for many accounts at once."""

    def __init__(self, node: Node, contracts: Mapping[str, str], tokens: int, caller: str) -> None:
        """`tokens` beside the settlement token are accepted; `caller` is whose starts are tried."""
        self._node = node
        self._at = contracts
        self._caller = caller
        terms = [self.words("products", "collateralTerms(uint256)", "latest", index) for index in range(tokens)]
        self._followed = [underlying for underlying, *_ in terms]  # which underlying each token is priced by
        self._rows: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, tuple[int, ...]]] = {}

    # --- one block -------------------------------------------------------------------------------------

    def views(self, number: int, accounts: Mapping[str, int]) -> dict[str, View]:
        """Return every account at block `number`, by name."""
        tag = hex(number)
        views = self._asked(self._books(accounts, tag), tag)
        searched = [name for name, view in views.items() if self._shapes.get(name) != view.held.shape or view.in_doubt]
        found = self.searched({name: views[name] for name in searched}, tag)
        views |= found
        self._rows |= {name: view.rows for name, view in views.items()}
        self._shapes = {name: view.held.shape for name, view in views.items()}
        return self._with_settled(views, tag)

    def _books(self, accounts: Mapping[str, int], tag: str) -> dict[str, tuple[Held, int]]:
        """Return each account's book and auction."""
        asked = [
            question
            for number in accounts.values()
            for question in (
                (self._at["venue"], call_data("book(uint256)", number)),
                (self._at["auctions"], call_data("auction(uint256)", number)),
            )
        ]
        answers = iter(self._answers(asked, tag))
        found = {}
        for name in accounts:
            book, auction = next(answers), next(answers)
            if book is None or auction is None:
                raise ObserverError(f"{name} at {tag}: expected its book and auction, found a revert")
            found[name] = self._held(book), int(auction[2:66], 16)
        return found

    def _held(self, book: str) -> Held:
        body = book[2 + 64 :]  # behind the offset of the one tuple
        words = [int(body[at : at + 64], 16) for at in range(0, len(body), 64)]
        first = words[1] // 32
        legs = words[first + 1 : first + 1 + words[first]]
        first = words[2] // 32
        followed = {self._followed[held >> 128] for held in words[first + 1 : first + 1 + words[first]]}
        traded = {leg >> 248 for leg in legs}
        return Held(body, len(legs), tuple(sorted(traded)), tuple(sorted(traded | followed)))

    def _asked(self, books: Mapping[str, tuple[Held, int]], tag: str) -> dict[str, View]:
        """Ask each account by the rows found last and by old arrays, those that may be short by arrays as well."""
        rows = {name: self._rows.get(name, NO_ROWS) for name in books}
        proofs = self._statements([self._by_scenario(held, rows[name]) for name, (held, _) in books.items()], tag)
        old = self._statements([self._by_arrays(held, BY_OLD_ARRAYS) for held, _ in books.values()], tag)
        views = {
            name: View(held, auction, rows[name], proof, at_hand)
            for (name, (held, auction)), proof, at_hand in zip(books.items(), proofs, old, strict=True)
        }
        doubtful = [name for name, view in views.items() if view.near]
        asked = [self._by_arrays(views[name].held, BY_ARRAYS) for name in doubtful]
        for name, newest in zip(doubtful, self._statements(asked, tag), strict=True):
            views[name] = replace(views[name], newest=newest)
        return views

    def searched(self, views: Mapping[str, View], tag: str) -> dict[str, View]:
        """Return the views by the worst rows there are: each underlying's own, then all together."""
        places = [
            (name, u, row)
            for name, view in views.items()
            for u in view.held.underlyings
            for row in (*range(ROWS), NO_ROW)
        ]
        asked = [self._by_scenario(views[name].held, _with(NO_ROWS, u, row)) for name, u, row in places]
        worst: dict[str, dict[int, tuple[tuple[int, int], int]]] = {name: {} for name in views}
        for (name, u, row), said in zip(places, self._statements(asked, tag), strict=True):
            rank = (_weight(said), row)
            worst[name][u] = max(worst[name].get(u, rank), rank)
        rows = {name: _packed({u: row for u, (_, row) in of.items()}) for name, of in worst.items()}
        return self.by_rows(views, rows, tag)

    def by_rows(self, views: Mapping[str, View], rows: Mapping[str, int], tag: str) -> dict[str, View]:
        """Return those of the views that have rows here, by these."""
        views = {name: view for name, view in views.items() if name in rows}
        proofs = self._statements([self._by_scenario(views[name].held, rows[name]) for name in views], tag)
        return {
            name: replace(view, rows=rows[name], proof=proof)
            for (name, view), proof in zip(views.items(), proofs, strict=True)
        }

    def _with_settled(self, views: dict[str, View], tag: str) -> dict[str, View]:
        short = [name for name, view in views.items() if _short(view.newest)]
        asked = [self._by_arrays(views[name].held, BY_SETTLED) for name in short]
        for name, said in zip(short, self._statements(asked, tag), strict=True):
            views[name] = replace(views[name], settled=said)
        return views

    # --- would the chain accept it? --------------------------------------------------------------------

    def startable(self, views: Mapping[str, View], accounts: Mapping[str, int], tag: str) -> set[str]:
        """Return who is below MM, in no auction, and whose start the chain would accept on top of this block."""
        short = [name for name, view in views.items() if view.below and not view.auction]
        asked = []
        for name in short:
            view = views[name]
            words = (accounts[name], ANY_SEQUENCE, FOREVER, int(not view.by_proof), view.rows)
            asked.append((self._at["auctions"], START + "".join(f"{word:064x}" for word in words)))
        return {name for name, said in zip(short, self._answers(asked, tag), strict=True) if said is not None}

    # --- asking ----------------------------------------------------------------------------------------

    def words(self, contract: str, signature: str, tag: str, *arguments: int) -> list[int]:
        """Return the words a view answers, signed. Raises ObserverError where it reverts."""
        (said,) = self._answers([(self._at[contract], call_data(signature, *arguments))], tag)
        if said is None:
            raise ObserverError(f"{contract}.{signature} at {tag}: expected an answer, found a revert")
        return _signed(said)

    def _by_arrays(self, held: Held, path: str) -> Question:
        return self._at["margin"], path + FIRST_WORD + held.body

    def _by_scenario(self, held: Held, rows: int) -> Question:
        return self._at["margin"], f"{BY_SCENARIO}{64:064x}{rows:064x}{held.body}"

    def _statements(self, questions: Sequence[Question], tag: str) -> list[Statement | None]:
        answers = self._answers(questions, tag)
        return [None if said is None else Statement(*_signed(said)) for said in answers]

    def _answers(self, questions: Sequence[Question], tag: str) -> list[str | None]:
        """Return each answer, None where the contract reverted. Raises ObserverError for anything else."""
        calls = [
            ("eth_call", [{"from": self._caller, "to": to, "data": data, "gas": CALL_GAS}, tag])
            for to, data in questions
        ]
        found: list[str | None] = []
        for first in range(0, len(calls), AT_ONCE):
            for reply in self._node.batch(calls[first : first + AT_ONCE]):
                reverted = reply.get("error", {}).get("code") == REVERTED
                found.append(None if reverted else str(result(reply, f"a view at {tag}")))
        return found


def _signed(said: str) -> list[int]:
    raw = bytes.fromhex(said[2:])
    return [int.from_bytes(raw[at : at + 32], "big", signed=True) for at in range(0, len(raw), 32)]


def _weight(said: Statement | None) -> tuple[int, int]:
    return (-1, -1) if said is None else (said.mm, said.im)


def _with(rows: int, underlying: int, row: int) -> int:
    return rows & ~(0xFF << 8 * underlying) | row << 8 * underlying


def _packed(rows: Mapping[int, int]) -> int:
    packed = NO_ROWS
    for underlying, row in rows.items():
        packed = _with(packed, underlying, row)
    return packed
