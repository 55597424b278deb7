"""A PostgreSQL for tests: the named one, or a private server where `initdb` is found, or a skip that says why.

It listens on a Unix socket in a folder of its own and is gone afterwards.
"""

import getpass
import importlib.util
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

NAMED = "KEEPER_TEST_POSTGRES_URL"


def tools() -> Path | None:
    """Return the folder of `initdb`, on the path or in a distribution's versioned folders, newest first."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda f: int(f.parent.name), reverse=True)
    candidates = [*([Path(found).resolve().parent] if found else []), *folders]
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


def _user() -> str:
    """Return who may run it: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return getpass.getuser()
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@contextmanager
def server() -> Iterator[str]:
    """Give the SQLAlchemy URL of a server; skip the test if there can be none."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("PostgreSQL: psycopg is not installed (pip install 'psycopg[binary]')")
    if named := os.environ.get(NAMED):
        yield named
        return
    if tools() is None:
        pytest.skip(f"PostgreSQL: no initdb found and {NAMED} is not set")
    with private() as owned:
        yield owned.url


class Private:
    """A server of our own, whose processes a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = _user()
        self.home = Path(tempfile.mkdtemp(prefix="keeper-postgres-"))
        if os.getuid() == 0:
            shutil.chown(self.home, self._user)
        self.url = f"postgresql+psycopg://keeper@/postgres?host={self.home}"
        self._run("initdb", "-U", "keeper", "-A", "trust", "-E", "UTF8", "--no-locale")

    def _run(self, tool: str, *arguments: str) -> None:
        as_user = {"user": self._user, "extra_groups": []} if os.getuid() == 0 else {}
        command = [str(self._folder / tool), "-D", str(self.home / "data"), *arguments]
        output = self.home / f"{tool}.out"
        with output.open("wb") as written:  # a pipe would be inherited by the server and never end
            done = subprocess.run(command, cwd=self.home, stdout=written, stderr=written, timeout=120, **as_user)
        assert done.returncode == 0, output.read_text()

    def start(self) -> None:
        options = f"-k {self.home} -c listen_addresses=''"
        self._run("pg_ctl", "-w", "-l", str(self.home / "data" / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """SIGKILL for the postmaster and all its children: what is not on the disk is gone."""
        postmaster = int((self.home / "data" / "postmaster.pid").read_text().split()[0])
        children = [pid for pid, parent in _parents().items() if parent == postmaster]
        with ExitStack() as watched:
            ends = [watched.enter_context(_end_of(pid)) for pid in (postmaster, *children)]
            for pid in (postmaster, *children):
                os.kill(pid, signal.SIGKILL)
            for end in ends:
                select.select([end], [], [])
        # where nobody buries the dead their pids look taken, and the server would not start beside its own ghost
        for lock in (self.home / "data" / "postmaster.pid", *self.home.glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)


def _parents() -> dict[int, int]:
    """Return pid → parent's pid of every process (Linux)."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return found


@contextmanager
def _end_of(pid: int) -> Iterator[int]:
    """Yield a descriptor that is readable once the process has ended, buried or not, whoever its parent is (Linux)."""
    end = os.pidfd_open(pid)
    try:
        yield end
    finally:
        os.close(end)


@contextmanager
def private() -> Iterator[Private]:
    """Give a running server of our own, or skip the test if there can be none."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("PostgreSQL: psycopg is not installed (pip install 'psycopg[binary]')")
    folder = tools()
    if folder is None:
        pytest.skip("PostgreSQL: no initdb found, and a named server is not ours to kill")
    owned = Private(folder)
    try:
        owned.start()
        try:
            yield owned
        finally:
            owned.stop()
    finally:
        owned.remove()


@contextmanager
def schema(url: str, name: str) -> Iterator[str]:
    """Give the URL of an empty schema, dropped afterwards."""
    parsed = sa.make_url(url)
    engine = sa.create_engine(parsed, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sa.schema.CreateSchema(name))
            own = parsed.update_query_dict({"options": f"-c search_path={name}"})
            yield own.render_as_string(hide_password=False)
            connection.execute(sa.schema.DropSchema(name, cascade=True))
    finally:
        engine.dispose()
