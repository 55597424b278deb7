"""The market of the reference demo: a report of every price and surface a block, one block at a fixed wall interval.

Chain time advances by an hour's fraction a block, keeper or no keeper; between two hours' closes prices go in a
straight line. What the reporters sign for a block's own time is relayed in it, at the least fee there is: anybody
else's transactions in the same block come first, and find the prices they were decided on.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.reference_reports import Sources
from keeper.demo.reference_scene import Scene
from keeper.demo.reference_world import DRIVER, RELAY_GAS
from keeper.demo.replay import missed, wait
from keeper.demo.transactions import Batch
from keeper.errors import KeeperError
from keeper.rpc import Rpc

log = logging.getLogger(__name__)

HOUR_S = 3_600
BLOCKS_PER_HOUR = 3
BLOCK_SECONDS = 0.42
BLOCKS_AFTER = 6
START = BTC_MARCH_2020[0][0]
HOURS = len(BTC_MARCH_2020) - 1


def replay(
    rpc: Rpc,
    scene: Scene,
    *,
    hours: int = HOURS,
    block_seconds: float = BLOCK_SECONDS,
    blocks_per_hour: int = BLOCKS_PER_HOUR,
    on_block: Callable[[int], None] | None = None,
) -> int:
    """Run the hours and BLOCKS_AFTER blocks more; returns the last block's number.

    `block_seconds` 0 mines as fast as it can. `on_block` gets each block's number after it was mined.
    Raises TransactionFailed when a report reverts.
    """
    sources = Sources(rpc, scene.manifest)
    rpc.call("evm_setAutomine", False)
    deadline, number = time.monotonic(), rpc.block().number
    for block in range(1, hours * blocks_per_hour + BLOCKS_AFTER + 1):
        at = START + block * HOUR_S // blocks_per_hour
        batch = Batch(rpc, modest=True)
        for call in sources.calls(at):
            batch.add(DRIVER, call, f"reports of {at}", gas=RELAY_GAS)
        sent = batch.send()
        deadline = wait(deadline, block_seconds)
        rpc.call("evm_setNextBlockTimestamp", hex(at))
        rpc.call("evm_mine")
        number = rpc.block().number
        if missed(rpc, sent):
            log.warning("block %d was full: the reports of %d come with the next one", number, at)
        if on_block is not None:
            on_block(number)
    return number


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m keeper.demo.reference_replay --rpc URL --deployment FILE`."""
    parser = argparse.ArgumentParser(description="Replay March 2020 on an Anvil with the reference demo's venue.")
    parser.add_argument("--rpc", required=True, help="Anvil's URL")
    parser.add_argument("--deployment", required=True, type=Path, help="the scene's JSON file")
    parser.add_argument("--block-seconds", type=float, default=BLOCK_SECONDS, help="wall time between blocks")
    parser.add_argument("--blocks-per-hour", type=int, default=BLOCKS_PER_HOUR, help="blocks an hour of chain time")
    parser.add_argument("--hours", type=int, default=HOURS, help="only the first so many hours of the path")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        scene = Scene.from_json(options.deployment.read_text())
        pace = {"block_seconds": options.block_seconds, "blocks_per_hour": options.blocks_per_hour}
        last = replay(Rpc(options.rpc, timeout_s=30.0), scene, hours=options.hours, **pace)
    except (KeeperError, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"replay: {type(error).__name__}: {error}\n")
        return 1
    log.info("the path is over at block %d", last)
    return 0


if __name__ == "__main__":
    sys.exit(main())
