"""The demo: a real protocol, a real crash, the keeper as a process of its own, and a witness that shares no code."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from eth_account import Account

from keeper.demo.anvil import REPO, start_anvil
from keeper.demo.config import write_config
from keeper.demo.curie import deploy
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.replay import BLOCK_SECONDS, BLOCKS_PER_HOUR
from keeper.demo.traders import open_book
from keeper.demo.view import View
from keeper.errors import KeeperError
from keeper.journal import Journal

PREPARATION_S = 3600
"""Chain time the deployment and the opening of the book may take before the path begins."""
START_S = 60.0
STOP_S = 60.0
POLL_S = 0.1
AT_LEAST = {"liquidatable": 25, "most_liquidatable_in_one_hour": 10, "liquidated": 20, "comparisons": 1}
REQUIRED_DIFF = 1e-9


@dataclass(frozen=True, slots=True)
class Options:
    """What a demo run may vary."""

    folder: Path = REPO / "build" / "demo"
    mode: str = "live"
    block_seconds: float = BLOCK_SECONDS
    blocks_per_hour: int = BLOCKS_PER_HOUR
    hours: int | None = None  # only the first so many hours of the path
    kill_at_hour: int | None = None  # SIGKILL the keeper in the first block of this hour and start it again


@dataclass(slots=True)
class Children:
    """The demo's processes and their log files, in the folder."""

    folder: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, arguments: Sequence[str]) -> None:
        with (self.folder / f"{name}.out").open("ab") as out, (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments], stdout=out, stderr=log, env=dict(self.environment), cwd=REPO
            )

    def ended(self, name: str) -> int | None:
        return self.running[name].poll()

    def require_running(self, *names: str) -> None:
        for name in names:
            code = self.ended(name)
            if code is not None:
                tail = (self.folder / f"{name}.log").read_text(errors="replace")[-1500:]
                raise KeeperError(f"demo: the {name} process ended with {code}; its log says:\n{tail}")

    def kill(self, name: str) -> None:
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def finish(self, name: str, *, ask: bool, within: float = STOP_S) -> int:
        """Wait for a process to end, asking it by SIGTERM first if `ask`; return its exit code."""
        process = self.running[name]
        if ask and process.poll() is None:
            process.terminate()
        try:
            return process.wait(within)
        except subprocess.TimeoutExpired as e:
            process.kill()
            raise KeeperError(f"demo: the {name} process did not end within {within:.0f} s") from e

    def stop_all(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def _children(folder: Path, password: str) -> Iterator[Children]:
    children = Children(folder, {**os.environ, "KEEPER_KEYSTORE_PASSWORD": password, "PYTHONUNBUFFERED": "1"})
    try:
        yield children
    finally:
        children.stop_all()


def run_demo(options: Options, view: View) -> dict[str, Any]:
    """Run the whole demo and return the summary, also written to <folder>/summary.json."""
    folder = options.folder
    _clear(folder)
    begun = time.monotonic()
    with ExitStack() as stack:
        anvil = stack.enter_context(start_anvil(timestamp=BTC_MARCH_2020[0][0] - PREPARATION_S))
        view.say(f"Anvil on {anvil.url}")
        deployment, password = _prepare(anvil.url, folder, options)
        view.say(f"Perp Curie deployed, {len(deployment.accounts)} leveraged accounts open")
        children = stack.enter_context(_children(folder, password))
        children.start("observer", _observer_arguments(anvil.url, folder))
        keeper = ["-m", "keeper", "run", "--json", "--config", str(folder / "keeper.toml")]
        children.start("keeper", keeper)
        _await_first_tick(children, folder, view)
        children.start("replay", _replay_arguments(anvil.url, folder, options))
        _watch(children, keeper, options, view)
        if children.finish("keeper", ask=True) != 0:
            children.require_running("keeper")
        (folder / "stop").touch()
        if children.finish("observer", ask=False) != 0:
            children.require_running("observer")
    summary = _summary(folder, deployment, time.monotonic() - begun)
    (folder / "summary.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    return summary


def shortcomings(summary: Mapping[str, Any]) -> list[str]:
    """Return what a full live run must show and this one did not."""
    found = []
    for count, least in AT_LEAST.items():
        if summary[count] < least:
            found.append(f"{count}: expected at least {least}, found {summary[count]}")
    for count in ("missed", "reverted", "duplicates", "status_disagreements"):
        if summary[count]:
            found.append(f"{count}: expected 0, found {summary[count]}")
    if not summary["max_rel_diff"] <= REQUIRED_DIFF:
        found.append(f"max_rel_diff: expected at most {REQUIRED_DIFF}, found {summary['max_rel_diff']}")
    return found


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        if stale.is_file():
            stale.unlink()


def _prepare(url: str, folder: Path, options: Options) -> tuple[Deployment, str]:
    key, password = Account.create(), secrets.token_hex(16)
    deployment = open_book(url, deploy(url, keeper_address=key.address))
    (folder / "deployment.json").write_text(deployment.to_json())
    keystore = folder / "keystore.json"
    # a throwaway key with a random password: a light derivation spares the keeper a second at each start
    keystore.write_bytes(orjson.dumps(key.encrypt(password, kdf="scrypt", iterations=4096)))
    keystore.chmod(0o600)
    write_config(folder, url, deployment, options.mode)
    return deployment, password


def _observer_arguments(url: str, folder: Path) -> list[str]:
    paths = {"deployment": "deployment.json", "journal": "keeper.db", "out": "observer.json"}
    paths |= {"progress": "progress.json", "until-file": "stop"}
    arguments = ["scripts/observer.py", "--rpc", url]
    for option, name in paths.items():
        arguments += [f"--{option}", str(folder / name)]
    return arguments


def _replay_arguments(url: str, folder: Path, options: Options) -> list[str]:
    arguments = ["-m", "keeper.demo.replay", "--rpc", url, "--deployment", str(folder / "deployment.json")]
    arguments += ["--block-seconds", str(options.block_seconds), "--blocks-per-hour", str(options.blocks_per_hour)]
    return arguments if options.hours is None else [*arguments, "--hours", str(options.hours)]


def _await_first_tick(children: Children, folder: Path, view: View) -> None:
    view.say("keeper starting")
    deadline = time.monotonic() + START_S
    while b'"block"' not in (folder / "keeper.out").read_bytes():
        children.require_running("keeper", "observer")
        if time.monotonic() > deadline:
            raise KeeperError(f"demo: the keeper did not finish a tick within {START_S:.0f} s; see {folder}/keeper.log")
        time.sleep(POLL_S)


def _watch(children: Children, keeper: Sequence[str], options: Options, view: View) -> None:
    """Show progress until the replay ends; kill and restart the keeper once if the options say so."""
    kill_at = None
    first: int | None = None
    if options.kill_at_hour is not None:
        kill_at = options.kill_at_hour * options.blocks_per_hour
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


def _summary(folder: Path, deployment: Deployment, seconds: float) -> dict[str, Any]:
    """Join what the witness counted on the chain with what the keeper says of itself."""
    witnessed = orjson.loads((folder / "observer.json").read_bytes())
    with Journal.open(f"sqlite:///{folder / 'keeper.db'}", chain_id=deployment.chain_id, venue="perp_curie") as journal:
        counts = journal.counts()
        spent = journal.latency(limit=100_000)
    own = {"ticks": counts.ticks, "skipped_heads": counts.skipped_heads, "unknown": counts.unknown}
    named = ("blocks", "accounts", "liquidatable", "liquidated", "missed", "reverted", "parameter_updates")
    return {
        **{name: witnessed[name] for name in named},
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
        "seconds": round(seconds, 1),
    }


def latency(spent: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return p50, p95 and p99 by stage, milliseconds."""
    stages = dict.fromkeys(stage for tick in spent for stage in tick)
    quantiles = {}
    for stage in stages:
        p50, p95, p99 = np.percentile([tick[stage] for tick in spent if stage in tick], [50, 95, 99])
        quantiles[stage] = {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "p99": round(float(p99), 2)}
    return quantiles
