"""One file a way to send. A new one is a file beside this and a line in the table."""

from collections.abc import Callable
from typing import Final

from keeper.rpc import Rpc
from keeper.submit.base import Route
from keeper.submit.public import PublicRoute

ROUTES: Final[dict[str, Callable[[Rpc], Route]]] = {
    "public": PublicRoute,
}
