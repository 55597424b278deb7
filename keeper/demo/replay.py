"""The market of the demo: replays a price path on Anvil, one block at a fixed wall interval, keeper or no keeper.

Each block advances chain time by an hour's fraction. Prices are pushed at the hour and again at half past, so no
feed is older than its 3600 s limit; an arbitrageur drags the pool after the index, at most STEP_TICKS a block.
Anvil takes whole seconds only for interval mining at run time, so this process calls evm_mine itself, by a
monotonic clock. Its transactions offer the least fee there is: anybody else's in the same block come first.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.demo.curie import USDC_DECIMALS, push_prices
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020, PricePath
from keeper.demo.pool import WHOLE, arbitrage, open_position, pool_price
from keeper.demo.traders import POSITION_GAS, late_sellers
from keeper.demo.transactions import Batch, Transaction, TransactionFailed, call, check, receipts
from keeper.errors import KeeperError
from keeper.rpc import Rpc
from keeper.units import to_float

log = logging.getLogger(__name__)

HOUR_S = 3_600
BLOCKS_PER_HOUR = 3
BLOCK_SECONDS = 0.42
BLOCKS_AFTER = 6
LATE_SALE_USD = 4_300.0  # the first hour to close below it is 01:00 on 13 March, an hour before the rebound
LATE_USE = 0.85
"""Share of their free collateral that the late sellers put up as initial margin.

Curie counts no unrealised profit as collateral, so a rich short still cannot sell more than this allows.
"""
LATE_DISTANCE = 0.01
"""How far from the index the pool may be when they sell: further, and their entry is a loss at once."""
IM = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """What one block brings: a price, whether it is pushed, whether the late sellers trade."""

    hour: int
    btc_usd: float
    push: bool
    late_sale: bool


def steps(path: PricePath, blocks_per_hour: int) -> Iterator[Step]:
    """Yield one step a block. The path's first price is the opening one and is already on chain."""
    if blocks_per_hour < 2:
        raise ValueError(f"blocks_per_hour: expected 2 or more, found {blocks_per_hour}; feeds would time out")
    pushes = {0, blocks_per_hour // 2}
    sold = False
    for hour, (_, btc_usd) in enumerate(path[1:], start=1):
        for block in range(blocks_per_hour):
            late = not sold and btc_usd < LATE_SALE_USD and block == blocks_per_hour - 1
            sold |= late
            yield Step(hour, btc_usd, block in pushes, late)
    for block in range(BLOCKS_AFTER):
        yield Step(len(path), path[-1][1], block % blocks_per_hour in pushes, False)


def replay(
    rpc_url: str,
    deployment: Deployment,
    path: PricePath = BTC_MARCH_2020,
    *,
    block_seconds: float = BLOCK_SECONDS,
    blocks_per_hour: int = BLOCKS_PER_HOUR,
    on_block: Callable[[int], None] | None = None,
) -> int:
    """Run the path and BLOCKS_AFTER blocks more; returns the last block's number.

    `block_seconds` 0 mines as fast as it can. `on_block` gets each block's number after it was mined.
    Raises TransactionFailed when a price push reverts; a failed arbitrage or late sale is only logged.
    """
    rpc = Rpc(rpc_url, timeout_s=30.0)
    number = rpc.block().number
    with _own_mining(rpc, HOUR_S // blocks_per_hour):
        deadline, left_out = time.monotonic(), False
        for step in steps(path, blocks_per_hour):
            sent = _queue(rpc, deployment, step, again=left_out)
            deadline = wait(deadline, block_seconds)
            rpc.call("evm_mine")
            number = rpc.block().number
            left_out = missed(rpc, sent)
            log.debug("block %d: hour %d, BTC %.2f", number, step.hour, step.btc_usd)
            if on_block is not None:
                on_block(number)
    return number


@contextmanager
def _own_mining(rpc: Rpc, block_time_s: int) -> Iterator[None]:
    """Mine nothing on demand and advance chain time by `block_time_s` a block; as before when done."""
    automine = rpc.call("anvil_getAutomine")
    rpc.call("evm_setAutomine", False)
    rpc.call("anvil_setBlockTimestampInterval", block_time_s)
    try:
        yield
    finally:
        rpc.call("anvil_removeBlockTimestampInterval")
        rpc.call("evm_setAutomine", automine)


def wait(deadline: float, block_seconds: float) -> float:
    """Sleep until the next deadline and return it; a late block moves the later ones, none is made up for."""
    following = max(deadline + block_seconds, time.monotonic())
    time.sleep(max(following - time.monotonic(), 0.0))
    return following


def _queue(rpc: Rpc, deployment: Deployment, step: Step, *, again: bool) -> list[tuple[Transaction, str]]:
    """Send the driver's transactions for the next block; `again` pushes a price that a full block left out."""
    batch = Batch(rpc, modest=True)
    if step.push or again:
        push_prices(batch, deployment, step.btc_usd)
    pool_usd = pool_price(rpc, deployment.markets[0].pool)
    trade = arbitrage(deployment, pool_usd, step.btc_usd)
    if trade is not None:
        what = f"arbitrage to {step.btc_usd:.2f}"
        batch.add(deployment.arbitrageur, trade, what, gas=POSITION_GAS, optional=True)
    if step.late_sale and abs(pool_usd / step.btc_usd - 1) < LATE_DISTANCE:
        _queue_late_sales(rpc, batch, deployment, step.btc_usd)
    return batch.send()


def _queue_late_sales(rpc: Rpc, batch: Batch, deployment: Deployment, btc_usd: float) -> None:
    """Queue, for each late seller, the sale of base that takes LATE_USE of its free collateral."""
    for account in late_sellers(deployment.accounts):
        amount = round(_free_collateral_usd(rpc, deployment, account) * LATE_USE / IM / btc_usd * WHOLE)
        if amount > 0:
            message = open_position(deployment, sell=True, amount=amount)
            batch.add(account, message, f"late sale of {account}", gas=POSITION_GAS, optional=True)


def _free_collateral_usd(rpc: Rpc, deployment: Deployment, account: str) -> float:
    message = call(deployment.contracts.vault, "getFreeCollateral(address)", account)
    returned = rpc.call("eth_call", {"to": message.to, "data": "0x" + message.data.hex()}, "latest")
    return to_float(int(returned, 16), USDC_DECIMALS)


def missed(rpc: Rpc, sent: list[tuple[Transaction, str]]) -> bool:
    """Return whether a needed transaction was left out of the block just mined. Raises when one reverted."""
    found = receipts(rpc, sent)
    for (transaction, _), receipt in zip(sent, found, strict=True):
        try:
            check(rpc, transaction, receipt)
        except TransactionFailed as failure:
            if receipt is not None and not transaction.optional:
                raise
            log.warning("%s", failure)
    return any(receipt is None and not t.optional for (t, _), receipt in zip(sent, found, strict=True))


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m keeper.demo.replay --rpc URL --deployment FILE`."""
    parser = argparse.ArgumentParser(description="Replay March 2020 on an Anvil with a deployed demo world.")
    parser.add_argument("--rpc", required=True, help="Anvil's URL")
    parser.add_argument("--deployment", required=True, type=Path, help="the deployment's JSON file")
    parser.add_argument("--block-seconds", type=float, default=BLOCK_SECONDS, help="wall time between blocks")
    parser.add_argument("--blocks-per-hour", type=int, default=BLOCKS_PER_HOUR, help="blocks an hour of chain time")
    parser.add_argument("--hours", type=int, help="only the first so many hours of the path")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        deployment = Deployment.from_json(options.deployment.read_text())
        pace = {"block_seconds": options.block_seconds, "blocks_per_hour": options.blocks_per_hour}
        hours = len(BTC_MARCH_2020) if options.hours is None else options.hours + 1
        last = replay(options.rpc, deployment, BTC_MARCH_2020[:hours], **pace)
    except (KeeperError, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"replay: {type(error).__name__}: {error}\n")
        return 1
    log.info("the path is over at block %d", last)
    return 0


if __name__ == "__main__":
    sys.exit(main())
