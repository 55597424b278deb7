"""A body of JSON-RPC in, a body out, with the faults that concern the envelope: ids, order, one object for many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from keeper.chaos.faults import (
    Cut,
    DuplicateId,
    Reorder,
    Reset,
    SingleForBatch,
    Slow,
    Status,
    Truncate,
    WrongId,
)
from keeper.chaos.faultset import Chosen, FaultSet
from keeper.chaos.journal import ExchangeLog
from keeper.chaos.pipeline import Asked, Pipeline
from keeper.chaos.requests import Request, Transport

WRONG_ID = 987_654_321
PARSE_ERROR = {"jsonrpc": "2.0", "id": None, "error": {"code": -32_700, "message": "parse error"}}


class Unparsable(ValueError):
    """The client sent no JSON-RPC; the proxy answers as a node does."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a client sent in one message."""

    asked: tuple[Asked, ...]
    is_batch: bool

    @property
    def connection_faults(self) -> list[Chosen]:
        """Return those of the connection that meet any item, each once, in the order of their adding."""
        kinds = (Status, Truncate, Reset, Slow, Cut)
        found = {c.id: c for a in self.asked for c in a.chosen if isinstance(c.action, kinds)}
        return [found[key] for key in sorted(found)]

    def cut(self, how: str) -> None:
        for asked in self.asked:
            asked.open.cut = how


class Desk:
    """Opens parcels, has them answered, and writes the answers' body."""

    def __init__(self, pipeline: Pipeline, faults: FaultSet, log: ExchangeLog) -> None:
        self._pipeline = pipeline
        self._faults = faults
        self._log = log

    def receive(self, endpoint: str, body: bytes | str, transport: Transport) -> Parcel:
        """Return the requests with the faults that meet them. Raises Unparsable."""
        try:
            decoded = orjson.loads(body)
            entries = decoded if isinstance(decoded, list) else [decoded]
            requests = [
                Request(endpoint, entry["method"], entry.get("params") or [], entry.get("id"), transport)
                for entry in entries
            ]
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError) as e:
            raise Unparsable(str(e)) from e
        return Parcel(tuple(self.opened(request) for request in requests), isinstance(decoded, list))

    def opened(self, request: Request) -> Asked:
        exchange = self._log.opened(request)
        return Asked(exchange, tuple(self._faults.choose(exchange)))

    def applied(self, parcel: Parcel, chosen: Chosen) -> None:
        self._faults.applied(chosen, [asked.open for asked in parcel.asked])

    def close(self, parcel: Parcel) -> None:
        for asked in parcel.asked:
            self._log.finished(asked.open)

    async def answer(self, parcel: Parcel) -> bytes:
        """Return the body of the answer. Raises RpcUnreachable when the node behind is."""
        batch = self._order(parcel)
        await self._pipeline.resolve(batch)
        answers = [{"jsonrpc": "2.0", "id": a.open.request.id, **(a.open.answer or {"result": None})} for a in batch]
        shaped = self._shape(parcel, answers)
        return orjson.dumps(shaped)

    def _order(self, parcel: Parcel) -> Sequence[Asked]:
        for chosen in self._envelope_faults(parcel):
            if isinstance(chosen.action, Reorder) and len(parcel.asked) > 1:
                self.applied(parcel, chosen)
                return [parcel.asked[i] for i in self._faults.shuffled(chosen, len(parcel.asked))]
        return parcel.asked

    def _shape(self, parcel: Parcel, answers: list[dict[str, Any]]) -> Any:
        for chosen in self._envelope_faults(parcel):
            match chosen.action:
                case WrongId():
                    self.applied(parcel, chosen)
                    answers = [{**entry, "id": WRONG_ID + i} for i, entry in enumerate(answers)]
                case DuplicateId() if len(answers) > 1:
                    self.applied(parcel, chosen)
                    answers = [{**entry, "id": answers[0]["id"]} for entry in answers]
                case SingleForBatch() if parcel.is_batch:
                    self.applied(parcel, chosen)
                    error = {"code": chosen.action.code, "message": chosen.action.message}
                    return {"jsonrpc": "2.0", "id": None, "error": error}
        return answers if parcel.is_batch else answers[0]

    def _envelope_faults(self, parcel: Parcel) -> list[Chosen]:
        kinds = (Reorder, WrongId, DuplicateId, SingleForBatch)
        found = {c.id: c for a in parcel.asked for c in a.chosen if isinstance(c.action, kinds)}
        return [found[key] for key in sorted(found)]
