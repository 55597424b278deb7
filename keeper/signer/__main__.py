"""`python -m keeper.signer FILE`: the signer without the rest of the keeper in its memory."""

import argparse
import logging
import sys
from pathlib import Path

from keeper.errors import KeeperError
from keeper.signer.hardening import end_with_parent
from keeper.signer.logs import log_to_stderr
from keeper.signer.process import run


def main(arguments: list[str] | None = None) -> int:
    """Run the signer of a configuration file; return the exit code."""
    parser = argparse.ArgumentParser(prog="keeper signer run", description="Hold the keys and sign what policy allows.")
    parser.add_argument("config", type=Path, metavar="FILE")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when the process that started it ends")
    found = parser.parse_args(arguments)
    if found.with_parent is not None:
        end_with_parent(found.with_parent)
    lines = log_to_stderr()
    try:
        run(found.config, ready=lambda: logging.getLogger("keeper.signer").info("listening"))
    except KeeperError as error:
        sys.stderr.write(f"error: {error}\n")
        return int(error.exit_code)
    finally:
        lines.finish(timeout_s=1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
