"""Try a protocol's adapter against the protocol itself, rule by rule: docs/add-a-protocol.md."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any, Final

from keeper.venues import VENUES
from tests.conformance.contract import Broken, Trial, World, undone
from tests.conformance.rules import RULES
from tests.conformance.worlds import WORLDS

EPILOG: Final = f"""
WORLD is MODULE:FUNCTION, where the function takes nothing and is a context manager that starts a world
(tests/conformance/contract.py, World), or one of those that the kit knows: {", ".join(WORLDS)}.

The adapter is VENUES[world.name]; with --adapter MODULE:CLASS it is that class, for this run alone, so that it can be
tried before its line stands in keeper/venues/__init__.py and from outside this repository.

rules: {", ".join(RULES)}

examples:
  python -m tests.conformance perp_curie
  python -m tests.conformance my_kit.world:world --adapter my_kit.adapter:Mine
  python -m tests.conformance my_kit.world:world --adapter my_kit.adapter:Mine --rule agree --rule corners

exit code: 0 every rule is kept, 1 a rule is broken, 2 the command line is wrong
"""


def main(words: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(words)
    world = WORLDS.get(asked.world) or _named(asked.world, "WORLD")
    with world() as started:
        if asked.adapter:
            VENUES[started.name] = _named(asked.adapter, "--adapter")
        if started.name not in VENUES:
            sys.exit(f"{started.name}: expected a line of VENUES, found none; add it or name --adapter MODULE:CLASS")
        broken = [str(fault) for fault in (_tried(started, rule) for rule in asked.rule or RULES) if fault]
    sys.stdout.write(f"{len(asked.rule or RULES)} rules, {len(broken)} broken\n")
    return 1 if broken else 0


def _tried(world: World, rule: str) -> Broken | None:
    """Try one rule from the world as it started, and say how it went."""
    with undone(world.rpc):
        try:
            Trial(world, lambda rpc: VENUES[world.name](rpc, world.address)).run(rule, RULES[rule])
        except Broken as fault:
            sys.stdout.write(f"BROKEN  {fault}\n")
            return fault
    sys.stdout.write(f"kept    {rule}\n")
    return None


def _named(place: str, what: str) -> Any:
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        known = f" or one of {', '.join(WORLDS)}" if what == "WORLD" else ""
        sys.stderr.write(f"{what}: expected MODULE:NAME that can be imported{known}, found {place!r} ({error})\n")
        raise SystemExit(2) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("world", metavar="WORLD", help="the protocol on a chain of its own")
    parser.add_argument("--adapter", metavar="MODULE:CLASS", help="instead of the world's line in VENUES")
    parser.add_argument("--rule", action="append", choices=RULES, metavar="RULE", help="only this one; may be repeated")
    return parser


if __name__ == "__main__":
    sys.exit(main())
