"""Read many accounts in one call through the lens and in batches, in turns, and write build/lens.json.

    python -m tests.lens_study [--accounts N] [--rounds N] [--out FILE]

Figures are the least of all rounds; machines differ, so only the ratio of one run means anything. Exit code 1 where the
two ways differ in any number. Linux.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

import keeper.rpc
from keeper.abi import ABIS, interface
from keeper.chain import Block
from keeper.in_turn import intrinsic_gas
from keeper.lens import GAS, MOST_CALLS, PLACE, LensRpc, code, request
from keeper.rpc import Rpc
from keeper.venues.reference import Reference
from tests.lens_study.world import COLLATERALS, POSITIONS, LensWorld, lens_world, random_books

DEFAULT_OUT: Final = Path(__file__).parents[2] / "build" / "lens.json"
PLENTY: Final = 1_000_000_000
CALLER: Final = "0x" + "55" * 20
CALLS_EACH: Final = 3


@dataclass
class Traffic:
    requests: int = 0
    sent: int = 0  # bytes of JSON
    received: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """One way of reading all accounts."""

    seconds: float  # until all answers were there
    keeper_cpu: float  # seconds, for the same
    node_cpu: float
    decoded: float  # seconds until the accounts were there
    traffic: Traffic


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lens_study", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="where to write the figures")
    asked = parser.parse_args()
    found = study(asked.accounts, asked.rounds)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if found["equal"] else 1


def study(accounts: int, rounds: int) -> dict[str, Any]:
    """Return all figures."""
    with lens_world() as world:
        books = random_books(world.market, accounts, seed=1)
        world.write(books)
        block, names = world.rpc.block(), sorted(books)
        ways = {
            "batches": world.rpc,
            "lens": _lens(world, gas=PLENTY, most_calls=CALLS_EACH * accounts),
            "lens, 50M gas": _lens(world),
        }
        states = [_adapter(world, rpc).read(block, names, CALLER) for rpc in ways.values()]
        figures = {name: _measured(world, rpc, block, names, rounds) for name, rpc in ways.items()}
        gas, calldata = _gas(world, block, names)
    plain, through = figures["batches"], figures["lens"]
    return {
        "accounts": accounts, "positions": POSITIONS, "collaterals": COLLATERALS,
        "equal": all(state == states[0] for state in states),
        "gas": gas, "gas_of_calldata": calldata, "gas_an_account": (gas + calldata) // accounts,
        "accounts_in_50M_gas": GAS * accounts // (gas + calldata),
        "most_calls": MOST_CALLS,
        **{name: asdict(way) for name, way in figures.items()},
        "times_faster": plain.seconds / through.seconds,
        "times_less_keeper_cpu": plain.keeper_cpu / through.keeper_cpu,
    }  # fmt: skip


def _lens(world: LensWorld, **settings: int) -> LensRpc:
    rpc = LensRpc(world.anvil.url, 60.0, **settings)
    assert rpc.probe()
    return rpc


def _adapter(world: LensWorld, rpc: Rpc) -> Reference:
    return Reference(rpc, world.address)


def _measured(world: LensWorld, rpc: Rpc, block: Block, names: list[str], rounds: int) -> Way:
    adapter = _adapter(world, rpc)
    calls = adapter.account_calls(names)
    with metered() as traffic:
        rpc.eth_calls(calls, block)

    def least(clock: Callable[[], float], work: Callable[[], object]) -> float:
        return min(_spent(clock, work) for _ in range(rounds))

    def answers() -> object:
        return rpc.eth_calls(calls, block)

    return Way(
        seconds=least(time.perf_counter, answers),
        keeper_cpu=least(time.process_time, answers),
        node_cpu=least(lambda: _cpu_of(world.anvil.pid), answers),
        decoded=least(time.perf_counter, lambda: adapter._accounts(block, names, {})),
        traffic=traffic,
    )


def _spent(clock: Callable[[], float], work: Callable[[], object]) -> float:
    begun = clock()
    work()
    return clock() - begun


def _cpu_of(pid: int) -> float:
    """Return the CPU time of a process, seconds, to the hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _gas(world: LensWorld, block: Block, names: list[str]) -> tuple[int, int]:
    """Return what the lens uses for all accounts, and what its calldata costs: a node takes both from its cap."""
    data = request(_adapter(world, world.rpc).account_calls(names))
    run = interface("keeper/InTurn").function("run")
    message = {"from": CALLER, "to": CALLER, "gas": hex(2 * PLENTY)}
    message["data"] = "0x" + run.packed(CALLER, [(PLACE, PLENTY, data)], 0).data.hex()
    in_turn = orjson.loads((ABIS / "keeper/InTurn.json").read_bytes())["bytecode"]
    overrides = {CALLER: {"code": in_turn}, PLACE: {"code": code()}}
    answer = world.rpc.call("eth_call", message, hex(block.number), overrides)
    ((ending,),) = run.values(bytes.fromhex(answer[2:]))
    assert ending[0], "expected the lens to succeed"
    return ending[1], intrinsic_gas(data)


@contextmanager
def metered() -> Iterator[Traffic]:
    """Count what goes over the wire meanwhile."""
    traffic, posted = Traffic(), keeper.rpc.posted

    def counted(session: Any, url: str, data: bytes, *rest: Any) -> tuple[bytes, int]:
        raw, status = posted(session, url, data, *rest)
        traffic.requests += 1
        traffic.sent += len(data)
        traffic.received += len(raw)
        return raw, status

    keeper.rpc.posted = counted
    try:
        yield traffic
    finally:
        keeper.rpc.posted = posted


if __name__ == "__main__":
    sys.exit(main())
