"""One adapter a price source. A new one is a file beside this and a line in the table."""

from collections.abc import Callable
from typing import Final

from keeper.oracles.base import Oracle
from keeper.oracles.chainlink import Chainlink
from keeper.rpc import Rpc

ORACLES: Final[dict[str, Callable[[Rpc], Oracle]]] = {
    "chainlink": Chainlink,
}
