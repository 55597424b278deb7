"""The demo: a venue on a local chain, a real crash, the keeper as a process of its own, and a witness that shares no
code."""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
from eth_account import Account

from keeper.demo.anvil import REPO, start_anvil
from keeper.demo.curie_play import CURIE
from keeper.demo.play import Play, Prepared
from keeper.demo.processes import Children, children_of
from keeper.demo.reference_play import REFERENCE
from keeper.demo.view import View
from keeper.errors import KeeperError
from keeper.journal import Journal
from keeper.rpc import Rpc

PLAYS: Mapping[str, Play] = {play.name: play for play in (REFERENCE, CURIE)}
START_S = 60.0
CATCH_UP_S = 300.0
"""The observer skips no block; where the machine is slow it is behind when the path is over."""
POLL_S = 0.1
CALM_POLL_S = 0.01
CALM_BLOCKS = 5
SLOWEST = 3.0
"""How much longer than on the machine the pace was found on a block may take."""
NEVER = ("missed", "reverted", "duplicates", "status_disagreements", "engine_apart")
REQUIRED_DIFF = 1e-9


@dataclass(frozen=True, slots=True)
class Options:
    """What a demo run may vary."""

    play: Play = REFERENCE
    folder: Path = REPO / "build" / "demo"
    mode: str = "live"
    block_seconds: float | None = None  # the venue's own by default
    hours: int | None = None  # only the first so many hours of the path
    kill_at_hour: int | None = None  # SIGKILL the keeper in the first block of this hour and start it again


def run_demo(options: Options, view: View) -> dict[str, Any]:
    """Run the whole demo and return the summary, also written to <folder>/summary.json."""
    folder, play = options.folder, options.play
    _clear(folder)
    begun = time.monotonic()
    with ExitStack() as stack:
        genesis = play.start - play.preparation_s
        anvil = stack.enter_context(start_anvil(timestamp=genesis, gas_limit=play.setup_gas))
        view.say(f"Anvil on {anvil.url}")
        prepared, password = _prepare(anvil.url, folder, options)
        view.say(prepared.said)
        children = stack.enter_context(children_of(folder, password))
        children.start("observer", _observer_arguments(anvil.url, folder, play))
        keeper = ["-m", "keeper", "run", "--json", "--config", str(folder / "keeper.toml")]
        children.start("keeper", keeper)
        _await_first_tick(children, folder, view)
        block_seconds = options.block_seconds or pace(play, _calm_block_s(Rpc(anvil.url), children, folder))
        view.say(f"a block every {block_seconds:.2f} s")
        children.start("replay", _replay_arguments(anvil.url, folder, options, block_seconds))
        _watch(children, keeper, options, view)
        if children.finish("keeper", ask=True) != 0:
            children.require_running("keeper")
        (folder / "stop").touch()
        if children.finish("observer", ask=False, within=CATCH_UP_S) != 0:
            children.require_running("observer")
    summary = _summary(folder, play, prepared)
    summary |= {"block_seconds": round(block_seconds, 3), "seconds": round(time.monotonic() - begun, 1)}
    (folder / "summary.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    return summary


def pace(play: Play, calm_block_s: float) -> float:
    """Return the wall time between blocks that this machine keeps up with, seconds.

    Four processes share the machine and a block waits for none of them, so a slower or busier one than the play's pace
    was found on would miss accounts for no fault of the keeper. `calm_block_s` is what a block without news took here:
    beyond the play's own time blocks come as much slower, at most SLOWEST times.
    """
    return play.block_seconds * min(max(calm_block_s / play.calm_block_s, 1.0), SLOWEST)


def shortcomings(play: Play, summary: Mapping[str, Any]) -> list[str]:
    """Return what a full live run must show and this one did not."""
    found = []
    for count, least in play.at_least.items():
        if summary[count] < least:
            found.append(f"{count}: expected at least {least}, found {summary[count]}")
    for count in NEVER:
        if summary.get(count):
            found.append(f"{count}: expected 0, found {summary[count]}")
    if not summary["max_rel_diff"] <= REQUIRED_DIFF:
        found.append(f"max_rel_diff: expected at most {REQUIRED_DIFF}, found {summary['max_rel_diff']}")
    return found


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        if stale.is_file():
            stale.unlink()


def _prepare(url: str, folder: Path, options: Options) -> tuple[Prepared, str]:
    key, password = Account.create(), secrets.token_hex(16)
    keystore = folder / "keystore.json"
    # a throwaway key with a random password: a light derivation spares the keeper a second at each start
    keystore.write_bytes(orjson.dumps(key.encrypt(password, kdf="scrypt", iterations=4096)))
    keystore.chmod(0o600)
    prepared = options.play.prepare(url, folder, options.mode, key.address)
    if options.play.block_gas != options.play.setup_gas:
        Rpc(url, timeout_s=30.0).call("evm_setBlockGasLimit", hex(options.play.block_gas))
    return prepared, password


def _observer_arguments(url: str, folder: Path, play: Play) -> list[str]:
    paths = {"deployment": "deployment.json", "journal": "keeper.db", "out": "observer.json"}
    paths |= {"progress": "progress.json", "until-file": "stop"}
    arguments = [play.observer, "--rpc", url]
    for option, name in paths.items():
        arguments += [f"--{option}", str(folder / name)]
    return arguments


def _replay_arguments(url: str, folder: Path, options: Options, block_seconds: float) -> list[str]:
    play = options.play
    arguments = ["-m", play.replay, "--rpc", url, "--deployment", str(folder / "deployment.json")]
    arguments += ["--block-seconds", f"{block_seconds:.3f}"]
    arguments += ["--blocks-per-hour", str(play.blocks_per_hour)]
    arguments += play.replayed_with(folder, options.mode)
    return arguments if options.hours is None else [*arguments, "--hours", str(options.hours)]


def _await_first_tick(children: Children, folder: Path, view: View) -> None:
    view.say("keeper starting")
    deadline = time.monotonic() + START_S
    while b'"block"' not in (folder / "keeper.out").read_bytes():
        children.require_running("keeper", "observer")
        if time.monotonic() > deadline:
            raise KeeperError(f"demo: the keeper did not finish a tick within {START_S:.0f} s; see {folder}/keeper.log")
        time.sleep(POLL_S)


def _calm_block_s(rpc: Rpc, children: Children, folder: Path) -> float:
    """Make blocks in which nothing happens while the observer looks at its first; return the keeper's median time."""
    spent = []
    for _ in range(CALM_BLOCKS):
        begun = time.monotonic()
        rpc.call("evm_mine")
        number = rpc.block().number
        while _ticked(folder) < number:
            children.require_running("keeper", "observer")
            if time.monotonic() - begun > START_S:
                raise KeeperError(
                    f"demo: block {number} was not worked through within {START_S:.0f} s; see {folder}/*.log"
                )
            time.sleep(CALM_POLL_S)
        spent.append(time.monotonic() - begun)
    return median(spent)


def _ticked(folder: Path) -> int:
    """Return the last block the keeper has printed a tick of, 0 for none."""
    lines = (folder / "keeper.out").read_bytes().splitlines()
    return max((orjson.loads(line).get("block", 0) for line in lines if whole(line)), default=0)


def whole(line: bytes) -> bool:
    """Say whether a line of the keeper's is an object printed to its end."""
    return line.startswith(b"{") and line.endswith(b"}")


def _watch(children: Children, keeper: Sequence[str], options: Options, view: View) -> None:
    """Show progress until the replay ends; kill and restart the keeper once if the options say so."""
    kill_at = None
    first: int | None = None
    if options.kill_at_hour is not None:
        kill_at = options.kill_at_hour * options.play.blocks_per_hour
    while children.ended("replay") is None:
        time.sleep(POLL_S)
        children.require_running("keeper", "observer")
        seen = _progress(options.folder)
        if seen is None:
            continue
        view.show(seen)
        first = first or int(seen["block"])
        if kill_at is not None and seen["block"] - first >= kill_at:
            children.kill("keeper")
            children.start("keeper", keeper)
            view.say(f"keeper killed (SIGKILL) and started again at block {seen['block']}")
            kill_at = None
    if children.ended("replay") != 0:
        children.require_running("replay")


def _progress(folder: Path) -> dict[str, Any] | None:
    path = folder / "progress.json"
    return orjson.loads(path.read_bytes()) if path.exists() else None


def _summary(folder: Path, play: Play, prepared: Prepared) -> dict[str, Any]:
    """Join what the witness counted on the chain with what the keeper says of itself."""
    witnessed = orjson.loads((folder / "observer.json").read_bytes())
    with Journal.open(f"sqlite:///{folder / 'keeper.db'}", chain_id=prepared.chain_id, venue=play.venue) as journal:
        counts = journal.counts()
        spent = journal.latency(limit=100_000)
    own = {"ticks": counts.ticks, "skipped_heads": counts.skipped_heads, "unknown": counts.unknown}
    return {
        **{name: witnessed[name] for name in play.counted},
        **own,
        "bad_debt_usd": witnessed["bad_debt_usd"],
        "max_rel_diff": witnessed["max_rel_diff"],
        "latency_ms": latency(spent),
        "most_liquidatable_in_one_hour": witnessed["most_liquidatable_in_one_hour"],
        "comparisons": witnessed["comparisons"],
        "duplicates": witnessed["duplicates"],
        "unsettled_bad_debt_usd": witnessed["unsettled_bad_debt_usd"],
        "status_disagreements": witnessed["journal"]["status_disagreements"],
        "reasons": witnessed["reasons"],
        "missed_detail": witnessed["missed_detail"],
        **crosschecked((folder / "keeper.out").read_bytes().splitlines()),
    }


def crosschecked(lines: Iterable[bytes]) -> dict[str, Any]:
    """Return how far the keeper's two computations of margins were apart, from what it printed of its ticks.

    `engine_max_diff` is the largest share of its band, so beyond 1 it is out of it; nothing where there is one only.
    """
    ticks = [orjson.loads(line).get("crosscheck") for line in lines if whole(line)]
    found = [tick for tick in ticks if tick]
    shares = [tick["largest_usd"] / tick["its_band_usd"] for tick in found if tick.get("largest_usd") is not None]
    if not found:
        return {}
    apart, compared = (sum(tick[name] for tick in found) for name in ("apart", "compared"))
    return {"engine_max_diff": max(shares, default=None), "engine_apart": apart, "engine_compared": compared}


def latency(spent: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return p50, p95 and p99 by stage, milliseconds."""
    stages = dict.fromkeys(stage for tick in spent for stage in tick)
    quantiles = {}
    for stage in stages:
        p50, p95, p99 = np.percentile([tick[stage] for tick in spent if stage in tick], [50, 95, 99])
        quantiles[stage] = {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "p99": round(float(p99), 2)}
    return quantiles
