"""Who may import whom, as docs and ADRs promise. Every import counts, also inside functions and under TYPE_CHECKING."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ADAPTERS = ("keeper.venues", "keeper.oracles", "keeper.submit")
BELOW_ADAPTERS = (
    "keeper.rpc",
    "keeper.rpc_http",
    "keeper.rpc_records",
    "keeper.abi",
    "keeper.units",
    "keeper.errors",
    "keeper.chain",
    "keeper.plans",
    "keeper.twin",
    "keeper.signer.keystore",
)
KINDS_OF_VENUES = ("base", "portfolio", "executor_jobs", "VENUES")
"""All that the keeper knows of `keeper.venues`: a protocol is a file and a line in its table, no word elsewhere."""
KNOWS_PROTOCOLS = ("keeper.venues", "keeper.demo")
BELOW_CHAOS = ("keeper.rpc", "keeper.chain", "keeper.errors", "keeper.units")
PROCESS_LIBRARIES = {"apscheduler": ("keeper.jobs", "keeper.app"), "aiohttp": ("keeper.chaos",)}
SIGNER_KNOWS = {"eth_abi", "eth_account", "eth_keys", "eth_typing", "eth_utils", "sqlalchemy", "pydantic", "orjson"}
SIGNER_BELOW = ("keeper.signer", "keeper.errors", "keeper.units", "keeper.config_fields", "keeper.config_faults")
CLOSED: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "engine": (("engine",), {"numpy", "scipy", "numba"}),
    "keeper.twin": (("keeper.twin",), set()),
    "keeper.sending": (("keeper.sending", "keeper.chain", "keeper.errors", "keeper.units", "keeper.plans"), set()),
    "keeper.signer": (SIGNER_BELOW, SIGNER_KNOWS),  # no network code beside the keys
}
"""Packages that stand on a list: what of ours, and which libraries beside the standard one."""
RESERVED = {"setup", "demo", "test", "check", "bench", "abis", "fmt", "chaos", "study", "fuzz", "docs"}
CHAIN_LIBRARIES = {"web3", "eth_abi", "eth_account", "eth_utils", "eth_keyfile", "eth_keys", "rlp"}
KNOWS_CHAIN = (
    "keeper.rpc",
    "keeper.rpc_records",
    "keeper.abi",
    "keeper.signer",
    *ADAPTERS,
    "keeper.demo",
    "keeper.reference",
    "keeper.chaos",
)


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def chaos_allowed(module: str, name: str) -> bool:
    """The proxy is a tool beside the keeper: it stands on few modules, and only the command line on it."""
    if within(module, ("keeper.chaos",)):
        return within(name, ("keeper.chaos", *BELOW_CHAOS))
    return within(module, ("keeper.cli",))


def allowed(module: str, name: str) -> bool:
    top = name.split(".")[0]
    ours = top in ("keeper", "engine")
    if module.startswith("observer"):
        return not ours
    closed = next((package for package in CLOSED if within(module, (package,))), None)
    if closed:
        below, libraries = CLOSED[closed]
        return within(name, below) if ours else top in libraries or top in sys.stdlib_module_names
    adapter = next((package for package in ADAPTERS if within(module, (package,))), None)
    if adapter and ours:
        rules = ("keeper.sending",) if adapter == "keeper.submit" else ()
        return within(name, (adapter, *BELOW_ADAPTERS, *rules))
    if "keeper.chaos" in (".".join(module.split(".")[:2]), ".".join(name.split(".")[:2])) and ours:
        return chaos_allowed(module, name)
    if module == "keeper.loop" and within(name, ADAPTERS):
        return within(name, tuple(f"{package}.base" for package in ADAPTERS))
    if within(name, ("keeper.venues",)) and not within(module, KNOWS_PROTOCOLS):
        return within(name, tuple(f"keeper.venues.{known}" for known in KINDS_OF_VENUES))
    if top in CHAIN_LIBRARIES:
        return within(module, KNOWS_CHAIN)
    if top in {"sqlalchemy", "alembic"}:
        return within(module, ("keeper.journal",))
    if top in PROCESS_LIBRARIES:
        return within(module, PROCESS_LIBRARIES[top])
    return not name.startswith(".")  # relative imports hide who is meant


def violations(module: str, source: str) -> list[str]:
    return [f"{module} imports {name}" for name in imports(source) if not allowed(module, name)]


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted([*(ROOT / "keeper").rglob("*.py"), *(ROOT / "engine").rglob("*.py")]):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path
    for path in (ROOT / "scripts").glob("observer*.py"):
        yield path.stem, path


def test_every_module_keeps_to_its_layer():
    found = [line for module, path in modules() for line in violations(module, path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.margin.perp", "import keeper.units"),
        ("engine.types", "import requests"),
        ("keeper.venues.perp_curie", "from keeper.oracles.base import Quote"),
        ("keeper.oracles.chainlink", "from keeper import journal"),
        ("keeper.submit.public", "from engine.types import MarginReport"),
        ("keeper.decide", "def f():\n    import web3"),
        ("keeper.rpc_pool", "import eth_abi"),
        ("keeper.app", "import sqlalchemy as sa"),
        ("keeper.loop", "from apscheduler.schedulers.background import BackgroundScheduler"),
        ("keeper.loop", "from keeper.venues.perp_curie import PerpCurie"),
        ("keeper.loop", "from keeper.venues import perp_curie"),
        ("keeper.app", "from . import loop"),
        ("keeper.app", "from keeper.venues.reference import Reference"),
        ("keeper.cli.deploy", "from keeper.venues import perp_curie"),
        ("keeper.twin.words", "import numpy as np"),
        ("keeper.twin.words", "from engine.black76 import price"),
        ("keeper.twin.records", "from eth_utils.crypto import keccak"),
        ("keeper.twin.margin", "from keeper.rpc import Rpc"),
        ("keeper.chaos.pool", "from keeper.journal import schema"),
        ("keeper.executors", "from keeper.chaos.proxy import ChaosProxy"),
        ("keeper.rpc", "import aiohttp"),
        ("keeper.signer.server", "import requests"),
        ("keeper.signer.policy", "from keeper.rpc import Rpc"),
        ("keeper.signer.store", "from keeper.journal import Journal"),
        ("keeper.submit.public", "from keeper.signer.store import lane"),
        ("keeper.loop", "from keeper.signer import schema\nimport sqlalchemy"),
        ("keeper.sending.fees", "from keeper.rpc import Rpc"),
        ("keeper.sending.answers", "import requests"),
        ("keeper.venues.reference", "from keeper.sending.priority import Job"),
        ("observer", "if TYPE_CHECKING:\n    from keeper.chain import Block"),
        ("observer_chain", "import engine.types"),
    ],
)
def test_the_rule_itself_flags(module, source):
    assert violations(module, source) != []


def test_the_rule_itself_lets_pass():
    assert violations("keeper.loop", "from keeper.venues.base import Venue\nfrom keeper.decide import decide") == []
    assert violations("keeper.venues.perp_curie", "import web3\nfrom keeper.rpc import Rpc") == []
    assert violations("keeper.submit.endpoints", "from keeper.sending.answers import classify") == []
    assert violations("keeper.twin.words", "from math import isqrt\nfrom keeper.twin.fixed import WAD") == []


def test_the_makefile_has_at_most_ten_targets_and_no_unreserved_name():
    targets = re.findall(r"^([a-z][a-z-]*)(?: [^:=]*)?:(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert 0 < len(targets) <= 10
    assert set(targets) <= RESERVED
