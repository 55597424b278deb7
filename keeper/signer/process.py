"""From a file to a running signer."""

import asyncio
import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from keeper.errors import ConfigError
from keeper.signer.clock import Clock
from keeper.signer.config import SignerFile, load
from keeper.signer.core import Core
from keeper.signer.database import Database
from keeper.signer.hardening import harden
from keeper.signer.keystore import PASSWORD, PASSWORD_FILE, Key, password_given, unlock
from keeper.signer.server import Server, only_one
from keeper.signer.service import Service
from keeper.signer.switch import Switch


def run(path: Path, *, ready: Callable[[], None] = lambda: None, committed: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError, KeystoreError or SignerStoreError before it listens."""
    harden()
    found = load(path)
    if not found.signer.kill_file.parent.is_dir():
        raise ConfigError(
            f"signer.kill_file: expected its folder {found.signer.kill_file.parent} to exist, found none; create it"
        )
    lock = only_one(found.signer.store)
    database = Database(found.signer.store)
    try:
        service = _service(found, database, committed)
        asyncio.run(_serve(found, service, path, ready))
    finally:
        database.close()
        os.close(lock)


async def _serve(found: SignerFile, service: Service, path: Path, ready: Callable[[], None]) -> None:
    server = Server(service, lambda: load(path).policy(), found.signer.socket, found.signer.admin_socket)
    await server.run(ready)


def _service(found: SignerFile, database: Database, committed: Callable[[], None]) -> Service:
    addresses = tuple(key.address for key in found.key)
    core = Core(database, found.policy(), addresses, Clock(), Switch(found.signer.kill_file))
    lease_ms = int(found.signer.lease_seconds * 1000)
    return Service(core, _keys(found), lease_ms=lease_ms, committed=committed)


def _keys(found: SignerFile) -> Mapping[str, Key]:
    """Return the keys by address in mode live; in the others no key enters the process."""
    if found.signer.mode != "live":
        return {}
    secret = password_given()
    os.environ.pop(PASSWORD, None)  # so that no child ever inherits it
    password = _asked() if secret is None else secret.get_secret_value()
    return {key.address: Key(unlock(key.keystore, password, key.address)) for key in found.key}


def _asked() -> str:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"keystore password: expected it in {PASSWORD}, in the file named by {PASSWORD_FILE} or typed at a "
            "terminal, found none of them"
        )
    return getpass.getpass("keystore password: ")
