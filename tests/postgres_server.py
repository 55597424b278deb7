"""A PostgreSQL for tests: the named one, or a private server where `initdb` is found, or a skip that says why.

It listens on a Unix socket in a folder of its own and is gone afterwards.
"""

import getpass
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    folder = tools()
    if folder is None:
        pytest.skip(f"PostgreSQL: no initdb found and {NAMED} is not set")
    with _private(folder) as url:
        yield url


@contextmanager
def _private(folder: Path) -> Iterator[str]:
    user = _user()
    home = Path(tempfile.mkdtemp(prefix="keeper-postgres-"))
    if os.getuid() == 0:
        shutil.chown(home, user)

    def run(tool: str, *arguments: str) -> None:
        as_user = {"user": user, "extra_groups": []} if os.getuid() == 0 else {}
        command = [str(folder / tool), "-D", str(home / "data"), *arguments]
        with (home / f"{tool}.out").open("wb") as output:  # a pipe would be inherited by the server and never end
            done = subprocess.run(command, cwd=home, stdout=output, stderr=output, timeout=120, **as_user)
        assert done.returncode == 0, (home / f"{tool}.out").read_text()

    try:
        run("initdb", "-U", "keeper", "-A", "trust", "-E", "UTF8", "--no-locale")
        run("pg_ctl", "-w", "-l", str(home / "data" / "log"), "-o", f"-k {home} -c listen_addresses=''", "start")
        try:
            yield f"postgresql+psycopg://keeper@/postgres?host={home}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


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
