"""The market of the reference demo: a report of every price and surface a block, one block at a fixed wall interval.

Chain time advances by an hour's fraction a block, keeper or no keeper; between two hours' closes prices go in a
straight line. What the reporters sign for a block lies in the keeper's inbox when the block comes, and the keeper
relays it in the next one. Without an inbox the driver relays it in the same block, at the least fee there is: anybody
else's transactions come first, and find the prices they were decided on.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keeper.demo.reference_board import START
from keeper.demo.reference_reports import Sources, drop
from keeper.demo.reference_scene import Scene
from keeper.demo.reference_world import DRIVER, RELAY_GAS
from keeper.demo.replay import missed, wait
from keeper.demo.transactions import Batch, Transaction
from keeper.errors import KeeperError
from keeper.reference.inbox import Signed
from keeper.rpc import Rpc

log = logging.getLogger(__name__)

HOUR_S = 3_600
BLOCKS_PER_HOUR = 4
BLOCK_SECONDS = 0.72
BLOCKS_AFTER = 4
KEPT = 3  # blocks for which a file stays in the inbox
HOURS = 23


def replay(
    rpc: Rpc,
    scene: Scene,
    *,
    hours: int = HOURS,
    block_seconds: float = BLOCK_SECONDS,
    blocks_per_hour: int = BLOCKS_PER_HOUR,
    inbox: Path | None = None,
    on_block: Callable[[int], None] | None = None,
) -> int:
    """Run the hours and BLOCKS_AFTER blocks more; returns the last block's number.

    `block_seconds` 0 mines as fast as it can. `on_block` gets each block's number after it was mined.
    Raises TransactionFailed when a report reverts.
    """
    market = _Market(rpc, Sources(rpc, scene.manifest), inbox)
    rpc.call("evm_setAutomine", False)
    deadline, number, step = time.monotonic(), rpc.block().number, HOUR_S // blocks_per_hour
    for block in range(1, hours * blocks_per_hour + BLOCKS_AFTER + 1):
        said = market.said(START + block * step)
        deadline = wait(deadline, block_seconds)
        number = market.mine(START + block * step, said, keep_from=START + (block - KEPT) * step)
        if on_block is not None:
            on_block(number)
    return number


@dataclass(frozen=True, slots=True)
class _Market:
    """How what the reporters say gets to the chain."""

    rpc: Rpc
    sources: Sources
    inbox: Path | None

    def said(self, at: int) -> tuple[list[Signed], list[tuple[Transaction, str]]]:
        """Return what is signed for this time; it is in the pool already where the driver relays."""
        if self.inbox is not None:
            return self.sources.signed(at), []
        batch = Batch(self.rpc, modest=True)
        for call in self.sources.calls(at):
            batch.add(DRIVER, call, f"reports of {at}", gas=RELAY_GAS)
        return [], batch.send()

    def mine(self, at: int, said: tuple[list[Signed], list[tuple[Transaction, str]]], *, keep_from: int) -> int:
        """Make the block of this time; returns its number."""
        records, sent = said
        if self.inbox is not None:
            drop(self.inbox, records, keep_from)
        self.rpc.call("evm_setNextBlockTimestamp", hex(at))
        self.rpc.call("evm_mine")
        number = self.rpc.block().number
        if missed(self.rpc, sent):
            log.warning("block %d was full: the reports of %d come with the next one", number, at)
        return number


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m keeper.demo.reference_replay --rpc URL --deployment FILE`."""
    parser = argparse.ArgumentParser(description="Replay March 2020 on an Anvil with the reference demo's venue.")
    parser.add_argument("--rpc", required=True, help="Anvil's URL")
    parser.add_argument("--deployment", required=True, type=Path, help="the scene's JSON file")
    parser.add_argument("--block-seconds", type=float, default=BLOCK_SECONDS, help="wall time between blocks")
    parser.add_argument("--blocks-per-hour", type=int, default=BLOCKS_PER_HOUR, help="blocks an hour of chain time")
    parser.add_argument("--inbox", type=Path, help="the keeper's, for it to relay from; without it the market relays")
    parser.add_argument("--hours", type=int, default=HOURS, help="only the first so many hours of the path")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        scene = Scene.from_json(options.deployment.read_text())
        pace = {"block_seconds": options.block_seconds, "blocks_per_hour": options.blocks_per_hour}
        last = replay(Rpc(options.rpc, timeout_s=30.0), scene, hours=options.hours, inbox=options.inbox, **pace)
    except (KeeperError, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"replay: {type(error).__name__}: {error}\n")
        return 1
    log.info("the path is over at block %d", last)
    return 0


if __name__ == "__main__":
    sys.exit(main())
