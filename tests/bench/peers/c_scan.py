"""The same sums in C, compiled by gcc for this machine and this number of scenarios, and called through ctypes."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fno-associative-math", "-shared", "-fPIC")


def available() -> bool:
    return shutil.which("gcc") is not None


def _compiled(name, scenarios):
    source = Path(__file__).with_suffix(".c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "scan.so"
        subprocess.run(["gcc", *FLAGS, f"-DSCENARIOS={scenarios}", str(source), "-o", str(library), "-lm"], check=True)
        function = getattr(ctypes.CDLL(str(library)), name)
    function.restype = None

    def call(accounts, *columns):
        function(ctypes.c_int64(accounts), *(ctypes.c_void_p(column.ctypes.data) for column in columns))

    return call


def worst(scenarios):
    """Return a function of start, instrument, quantity, arrays that returns least P&L and its scenario."""
    call = _compiled("worst", scenarios)

    def run(start, *columns):
        pnl, index = np.empty(start.size - 1), np.empty(start.size - 1, np.int64)
        call(start.size - 1, start, *columns, pnl, index)
        return pnl, index

    return run


def worst_by_expiry(scenarios):
    """Return a function of the columns of engine.scan.worst_by_expiry that returns what that returns."""
    call = _compiled("worst_by_expiry", scenarios)

    def run(account_start, *columns):
        accounts = account_start.size - 1
        pnl, index, basis = np.empty(accounts), np.empty(accounts, np.int64), np.empty(accounts)
        call(accounts, account_start, *columns, pnl, index, basis)
        return pnl, index, basis

    return run
