"""What the reference venue says of itself at one block: reports, slices, epochs with their arrays, parameters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.exceptions import DecodingError

from keeper.abi import checksummed, interface, uint_at
from keeper.chain import Block
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.twin.ramps import HaircutRamp, MarginRamp, ScanRamp
from keeper.twin.records import CollateralType, Instrument, MarginParameters, Report, ScanParameters, Slice
from keeper.twin.words import opened
from keeper.twin.world import Epoch, Limits, Underlying, World
from keeper.venues.base import needed
from keeper.venues.portfolio import AuctionRules, Line, Published, Series
from keeper.venues.reference_contracts import AUCTIONS, MARGIN, PRICES, PRODUCTS, RISK_ARRAYS, Contracts

NOBODY: Final = "0x" + "0" * 40
STOP_BYTE: Final = 1  # SSTORE2 puts one in front of what a blob holds

Answer = bytes | RpcRefusal


@dataclass(frozen=True, slots=True)
class Rules:
    """What never changes of a deployment."""

    limits: Limits
    auctions: AuctionRules
    start_gas: int  # of each start in a batch


@dataclass(frozen=True, slots=True)
class _Front:
    """What the first batch says of one underlying."""

    report: Report
    report_id: bytes
    margin: MarginRamp
    current: tuple[Any, ...] | None  # id and Epoch struct
    settled: tuple[Any, ...] | None
    draft: tuple[int, int]  # epoch, published to
    expiries: tuple[int, ...]  # live, or over a short while ago


class Facts:
    """Reads the venue, block by block; remembers nothing."""

    def __init__(self, rpc: Rpc, contracts: Contracts) -> None:
        self._rpc = rpc
        self._contracts = contracts

    def rules(self) -> Rules:
        """Return what was fixed at deployment. Raises ReadError."""
        c, block = self._contracts, self._rpc.block()
        names = [(c.margin, MARGIN, n) for n in ("MAX_REPORT_AGE", "MAX_EPOCH_AGE", "MAX_SLICE_AGE")]
        names.append((c.risk_arrays, RISK_ARRAYS, "window"))
        auction = ("buffer", "discountCap", "growth", "bonusPeriod", "startGas")
        names += [(c.auctions, AUCTIONS, n) for n in auction]
        calls = [interface(path).function(name).call(to) for to, path, name in names]
        with needed(f"reference: rules at block {block.number}"):
            report, epoch, slice_, window, *rules, gas = map(uint_at, answered(self._rpc.eth_calls(calls, block)))
        return Rules(Limits(report, epoch, slice_, window), AuctionRules(*rules), gas)

    def world(self, block: Block, limits: Limits, publisher: str) -> tuple[World, tuple[Line, ...], dict[int, str]]:
        """Return the twin's world at `block`, its publication lines, and why underlyings are missing from both."""
        c = self._contracts
        counts = [interface(PRODUCTS).function(n).call(c.products) for n in ("underlyings", "collaterals")]
        with needed(f"reference: products at block {block.number}"):
            underlyings, collaterals = map(uint_at, answered(self._rpc.eth_calls(counts, block)))
        accepted = self._collaterals(block, collaterals)
        # arrays may still count for as long after their expiry as an epoch may be old
        since = block.timestamp - limits.epoch_age - limits.window
        fronts, faults = self._fronts(block, range(underlyings), publisher, since)
        known, lines = self._known(block, fronts, faults)
        return World(block.timestamp, known, accepted, limits), lines, faults

    # --- parts of it -------------------------------------------------------------------------------

    def _collaterals(self, block: Block, count: int) -> tuple[CollateralType, ...]:
        products, read = self._contracts.products, interface(PRODUCTS).function
        kinds, ramps = read("collateral"), read("haircutRamp")
        calls = [read_.call(products, i) for i in range(count) for read_ in (kinds, ramps)]
        with needed(f"reference: collaterals at block {block.number}"):
            answers = answered(self._rpc.eth_calls(calls, block))
            return tuple(
                _collateral(kinds.values(kind)[0], ramps.values(ramp), block.timestamp)
                for kind, ramp in zip(answers[::2], answers[1::2], strict=True)
            )

    def _fronts(
        self, block: Block, underlyings: Sequence[int], publisher: str, since: int
    ) -> tuple[dict[int, _Front], dict[int, str]]:
        c = self._contracts
        prices, products, arrays = interface(PRICES), interface(PRODUCTS), interface(RISK_ARRAYS)
        reads = [
            [
                prices.function("newest").call(c.prices, u),
                products.function("marginParameters").call(c.products, u),
                products.function("marginRamp").call(c.products, u),
                arrays.function("current").call(c.risk_arrays, u),
                arrays.function("settled").call(c.risk_arrays, u),
                arrays.function("draft").call(c.risk_arrays, u, publisher),
                products.function("expiriesAfter").call(c.products, u, since),
            ]
            for u in underlyings
        ]
        answers = iter(self._rpc.eth_calls([call for row in reads for call in row], block))
        fronts, faults = {}, {}
        for u, row in zip(underlyings, reads, strict=True):
            found = [next(answers) for _ in row]
            try:
                fronts[u] = _front(found)
            except (ValueError, DecodingError) as e:
                faults[u] = f"underlying {u} not read: {e}"
        return fronts, faults

    def _known(
        self, block: Block, fronts: Mapping[int, _Front], faults: dict[int, str]
    ) -> tuple[dict[int, Underlying], tuple[Line, ...]]:
        series = self._series(block, fronts, faults)
        versions = self._versions(block, fronts, faults)
        epochs = self._epochs(block, fronts, faults)
        scans = self._scans(block, fronts, versions, faults)
        known, lines = {}, []
        for u, front in fronts.items():
            if u in faults:
                continue
            of_u = series[u]
            known[u] = Underlying(
                report=front.report,
                scan=scans[u, versions[u]].at(front.report.timestamp),
                margin=front.margin.to,
                mm=front.margin.mm(block.timestamp),
                slices={s.expiry: slice_ for s, slice_ in of_u if slice_ is not None},
                current=_epoch(front.current, epochs.get((u, False)), u, scans),
                settled=_epoch(front.settled, epochs.get((u, True)), u, scans),
            )
            live = tuple(s for s, _ in of_u if s.expiry > front.report.timestamp and s.instruments)
            lines.append(
                Line(
                    underlying=u,
                    report_id=front.report_id,
                    version=versions[u],
                    scan=scans[u, versions[u]],
                    series=live,
                    unfitted=tuple(s.expiry for s in live if not s.slice_id),
                    current=_published(front.current),
                    draft=self._draft(block, u, front),
                    draft_to=front.draft[1],
                )
            )
        return known, tuple(lines)

    def _series(
        self, block: Block, fronts: Mapping[int, _Front], faults: dict[int, str]
    ) -> dict[int, list[tuple[Series, Slice | None]]]:
        """Return each expiry with its newest slice; None where there is none yet."""
        c, prices, products = self._contracts, interface(PRICES), interface(PRODUCTS)
        wanted = [(u, expiry) for u, front in fronts.items() for expiry in front.expiries]
        newest, listed = prices.function("newestSlice"), products.function("instruments")
        calls = [
            call
            for u, expiry in wanted
            for call in (newest.call(c.prices, u, expiry), listed.call(c.products, u, expiry))
        ]
        answers = iter(self._rpc.eth_calls(calls, block))
        found: dict[int, list[tuple[Series, Slice | None]]] = {u: [] for u in fronts}
        for u, expiry in wanted:
            slice_answer, list_answer = next(answers), next(answers)
            slice_id, slice_ = b"", None
            try:
                instruments = tuple(Instrument.of(i) for i in listed.values(*answered([list_answer]))[0])
                if not _says(slice_answer, "NoSlice"):
                    fields, slice_id, _ = newest.values(*answered([slice_answer]))
                    slice_ = Slice(*fields)
                found[u].append((Series(expiry, slice_id, instruments), slice_))
            except (ValueError, DecodingError) as e:
                faults.setdefault(u, f"underlying {u}, expiry {expiry} not read: {e}")
        return found

    def _versions(self, block: Block, fronts: Mapping[int, _Front], faults: dict[int, str]) -> dict[int, int]:
        """Return the version of the scan parameters that each underlying's newest report is used with."""
        read = interface(PRODUCTS).function("scanVersionAt")
        calls = [read.call(self._contracts.products, u, front.report.timestamp) for u, front in fronts.items()]
        found = {}
        for u, answer in zip(fronts, self._rpc.eth_calls(calls, block), strict=True):
            try:
                found[u] = read.values(*answered([answer]))[0]
            except (ValueError, DecodingError) as e:
                faults.setdefault(u, f"underlying {u}, version of its scan parameters not read: {e}")
        return found

    def _scans(
        self, block: Block, fronts: Mapping[int, _Front], versions: Mapping[int, int], faults: dict[int, str]
    ) -> dict[tuple[int, int], ScanRamp]:
        read = interface(PRODUCTS).function("scanRamp")
        needed = set(versions.items())
        needed |= {(u, e[1][5]) for u, f in fronts.items() for e in (f.current, f.settled) if e is not None}
        wanted = sorted(needed)
        answers = self._rpc.eth_calls([read.call(self._contracts.products, *w) for w in wanted], block)
        found = {}
        for (u, version), answer in zip(wanted, answers, strict=True):
            try:
                before, to, start = read.values(*answered([answer]))
                found[u, version] = ScanRamp(ScanParameters(*before), ScanParameters(*to), start)
            except (ValueError, DecodingError) as e:
                faults.setdefault(u, f"underlying {u}, scan parameters {version} not read: {e}")
        return found

    def _epochs(
        self, block: Block, fronts: Mapping[int, _Front], faults: dict[int, str]
    ) -> dict[tuple[int, bool], dict[int, tuple[tuple[int, ...], ...]]]:
        """Return the arrays of each current and settled epoch: expiry -> words of its rows."""
        blobs = interface(RISK_ARRAYS).function("blobs")
        wanted = [
            (u, settled)
            for u, front in fronts.items()
            for settled, epoch in ((False, front.current), (True, front.settled))
            if epoch is not None
        ]
        calls = [blobs.packed(self._contracts.risk_arrays, u, settled, fronts[u].expiries) for u, settled in wanted]
        places = []
        for (u, settled), answer in zip(wanted, self._rpc.eth_calls(calls, block), strict=True):
            try:
                pointers = blobs.values(*answered([answer]))[2]
            except (ValueError, DecodingError) as e:
                faults.setdefault(u, f"underlying {u}, its epoch not read: {e}")
                continue
            places += [
                (u, settled, expiry, pointer)
                for expiry, pointer in zip(fronts[u].expiries, pointers, strict=True)
                if pointer != NOBODY
            ]
        return self._arrays(block, places, wanted, faults)

    def _arrays(
        self,
        block: Block,
        places: Sequence[tuple[int, bool, int, str]],
        wanted: Iterable[tuple[int, bool]],
        faults: dict[int, str],
    ) -> dict[tuple[int, bool], dict[int, tuple[tuple[int, ...], ...]]]:
        pointers = sorted({checksummed(place[3]) for place in places})
        codes = dict(zip(pointers, self._rpc.codes(pointers, block), strict=True))
        found: dict[tuple[int, bool], dict[int, tuple[tuple[int, ...], ...]]] = {key: {} for key in wanted}
        for u, settled, expiry, pointer in places:
            code = codes[checksummed(pointer)]
            try:
                found[u, settled][expiry] = opened(answered([code])[0][STOP_BYTE:])[1]
            except ValueError as e:
                faults.setdefault(u, f"underlying {u}, arrays of expiry {expiry} not read: {e}")
        return found

    def _draft(self, block: Block, u: int, front: _Front) -> Published | None:
        epoch, _ = front.draft
        if epoch == 0:
            return None
        read = interface(RISK_ARRAYS).function("epoch")
        with needed(f"reference: draft {epoch} at block {block.number}"):
            (answer,) = answered(self._rpc.eth_calls([read.call(self._contracts.risk_arrays, u, epoch)], block))
            return _published((epoch, read.values(answer)[0]))


def _front(found: Sequence[Answer]) -> _Front:
    """Return the first batch's words as records. Raises ValueError or DecodingError."""
    newest, margin, moving, current, settled, draft, expiries = found
    prices, products, arrays = interface(PRICES), interface(PRODUCTS), interface(RISK_ARRAYS)

    def words(answer: Answer, read: Callable[[bytes], tuple[Any, ...]]) -> tuple[Any, ...]:
        return read(answered([answer])[0])

    fields, report_id, _ = words(newest, prices.function("newest").values)
    report = Report(*fields)
    before, start = words(moving, products.function("marginRamp").values)
    written = words(margin, products.function("marginParameters").values)[0]
    drafted = words(draft, arrays.function("draft").values)[0]
    return _Front(
        report=report,
        report_id=report_id,
        margin=MarginRamp(MarginParameters(*written), MarginParameters(*before), start),
        current=None if _says(current, "NoEpoch") else words(current, arrays.function("current").values),
        settled=None if _says(settled, "NoEpoch") else words(settled, arrays.function("settled").values),
        draft=(drafted[0], drafted[1]),
        expiries=tuple(words(expiries, products.function("expiriesAfter").values)[0]),
    )


def _collateral(fields: Sequence[Any], ramp: Sequence[Any], time: int) -> CollateralType:
    token, decimals, underlying, haircut, cap = fields
    return CollateralType(int(token, 16), decimals, underlying, haircut, cap, HaircutRamp(haircut, *ramp).mm(time))


def _epoch(
    struct: tuple[Any, ...] | None,
    arrays: Mapping[int, tuple[tuple[int, ...], ...]] | None,
    u: int,
    scans: Mapping[tuple[int, int], ScanRamp],
) -> Epoch | None:
    if struct is None or arrays is None:
        return None
    _, (_, _, _, _, reported_at, version, price) = struct
    return Epoch(price, reported_at, scans[u, version].at(reported_at), arrays)


def _published(struct: tuple[Any, ...] | None) -> Published | None:
    if struct is None:
        return None
    number, (report_id, _, _, completed_at, reported_at, version, price) = struct
    return Published(number, report_id, price, reported_at, completed_at, version)


def _says(answer: Answer, error: str) -> bool:
    """Say whether the call reverted with this named error: an answer, not a failure to read."""
    if not isinstance(answer, RpcRefusal):
        return False
    selectors = {path: interface(path).error(error) for path in (PRICES, RISK_ARRAYS)}
    return answer.revert[:4] in [s for s in selectors.values() if s is not None]
