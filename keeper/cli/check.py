"""`keeper check-config`: everything that would stop `keeper run`, found before it runs."""

from pathlib import Path
from typing import Annotated

import typer

from keeper.app import configured, open_app, open_chain, signer_answer
from keeper.cli.show import AsJson, emit, table
from keeper.errors import ConfigError
from keeper.loop import look
from keeper.stages import Stages

File = Annotated[Path, typer.Argument(help="The configuration to check.", metavar="FILE")]
Offline = Annotated[bool, typer.Option("--offline", help="Check the file alone; connect to nothing.")]


def check_config(file: File, offline: Offline = False, json: AsJson = False) -> None:
    """Check a configuration: keys and ranges, then chain id, contracts, feeds, key and journal.

    The first thing that is wrong is printed with what was expected and what to do; nothing is signed or sent.
    """
    config = configured(file)
    passed = [("file", f"{file}: every key known and in range")]
    if not offline:
        open_chain(config)
        passed.append(("chain", f"id {config.chain.chain_id}, every configured contract has code"))
        passed.append(("signer", signer_answer(config)))
        with open_app(config, signing=False) as app:
            passed.append(("journal", "open, of this chain and venue"))
            seen = look(app.world.heads.newest(), app.world, Stages())
        faults = seen.sight.faults()
        if faults:
            raise ConfigError(f"[[oracle]]: {'; '.join(faults)}")
        passed.append(("venue", f"{len(seen.verdicts)} accounts read at block {seen.head.block.number}"))
    if json:
        emit({"ok": True, "checks": [{"check": what, "found": found} for what, found in passed]})
    else:
        table(f"{file}: good", ("check", "found"), passed)
