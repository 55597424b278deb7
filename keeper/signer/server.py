"""Two unix sockets and the signals: one loop, one request at a time, so decisions never race each other."""

import asyncio
import fcntl
import logging
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from keeper.errors import ConfigError
from keeper.signer import wire
from keeper.signer.answers import admin_answer, answer
from keeper.signer.leases import Session
from keeper.signer.policy import Policy
from keeper.signer.records import Refusal, State
from keeper.signer.service import Service

log = logging.getLogger(__name__)

Answering = Callable[[Session, bytes], bytes]


class Server:
    """Serves until `stop`. Keepers connect to `path`, operators to `admin_path`."""

    def __init__(self, service: Service, reload: Callable[[], Policy], path: Path, admin_path: Path) -> None:
        self._service = service
        self._reload = reload
        self._path = path
        self._admin_path = admin_path
        self._stopping = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listen, call `ready`, and serve. Raises ConfigError when a folder or socket is not private or taken."""
        keepers = await asyncio.start_unix_server(
            self._serving(self._keeper), sock=listening(self._path), limit=wire.MAX_LINE
        )
        admins = await asyncio.start_unix_server(
            self._serving(self._admin), sock=listening(self._admin_path), limit=wire.MAX_LINE
        )
        self._listen_to_signals()
        async with keepers, admins:
            ready()
            await self._stopping.wait()
            for writer in self._open:
                writer.close()
        for path in (self._path, self._admin_path):
            path.unlink(missing_ok=True)

    def _keeper(self, session: Session, line: bytes) -> bytes:
        return answer(self._service, session, line)

    def _admin(self, _session: Session, line: bytes) -> bytes:
        return admin_answer(self._service, self._reload, line)

    def _serving(self, answering: Answering) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            session = Session()
            self._open.add(writer)
            try:
                if own_peer(writer.get_extra_info("socket")):
                    await self._converse(session, answering, reader, writer)
            except ConnectionError:
                pass  # the peer is gone; what it held is freed below
            finally:
                self._service.leases.closed(session)
                self._open.discard(writer)
                writer.close()

        return serve

    async def _converse(
        self, session: Session, answering: Answering, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                refusal = Refusal("message", f"expected a line of at most {wire.MAX_LINE} bytes, found a longer one")
                writer.write(wire.to_line({"id": None, **wire.refused(refusal)}))
                await writer.drain()
                return
            writer.write(answering(session, line))
            await writer.drain()

    def _listen_to_signals(self) -> None:
        """SIGUSR1 drains, SIGUSR2 kills; plain handlers, so that they count in the middle of a batch as well."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        orders: dict[signal.Signals, State] = {signal.SIGUSR1: "drain", signal.SIGUSR2: "killed"}
        for number, state in orders.items():

            def ask(_number: int, _frame: object, state: State = state) -> None:
                self._service.core.switch.ask(state)
                loop.call_soon_threadsafe(self._service.orders.stop, "signal")

            signal.signal(number, ask)


def own_peer(connection: socket.socket) -> bool:
    """Whether the peer runs under our own user (SO_PEERCRED); the socket's mode says so too."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    if uid != os.getuid():
        log.warning("connection of process %d refused: expected user %d, found %d", pid, os.getuid(), uid)
    return bool(uid == os.getuid())


def listening(path: Path) -> socket.socket:
    """Return a socket that listens at `path`, mode 0600. What a killed signer left there is replaced."""
    private_folder(path.parent)
    if path.exists() and not path.is_socket():
        raise ConfigError(f"socket: expected nothing or an old socket at {path}, found a file; move it away")
    if _answers(path):
        raise ConfigError(
            f"socket: expected nobody to listen at {path}, found a running signer; stop it, or name another"
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"socket: expected to listen at {path}, found {error}; shorten or correct the path"
        ) from error
    finally:
        os.umask(before)
    listener.listen(16)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:  # nothing there, or left by a killed process
            return False
    return True


def private_folder(folder: Path) -> None:
    """Create `folder` with mode 0700, or require that nobody else may enter it. Raises ConfigError."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(
            f"{folder}: expected a folder of user {os.getuid()} with mode 0700, found user {found.st_uid}, mode "
            f"{found.st_mode & 0o777:04o}; run chmod 700 {folder}, or name another one"
        )


def only_one(store: Path) -> int:
    """Lock the store until this process ends; return the lock's descriptor. Raises ConfigError if it is taken."""
    lock = store.with_name(store.name + ".lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            f"store: expected {store} to be free, found another signer using it; stop that one"
        ) from error
    return descriptor
