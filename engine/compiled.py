"""How kernels are compiled: one decorator, and a cache that a changed source file cannot leave stale.

numba caches a kernel by the file it stands in and does not notice that a callee in another file has changed; the
cache folder is therefore named by a hash of every source of the engine. A kernel is written once, as plain Python:
with NUMBA_DISABLE_JIT=1 the same function runs interpreted.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, cast

import numba
from numba import config, njit

F = TypeVar("F", bound=Callable[..., object])

INTERPRETED: Final = bool(vars(config)["DISABLE_JIT"])
"""Kernels run as plain Python; what exists only compiled (vector registers) gives way to its plain twin."""
FAST: Final = frozenset({"contract", "nsz", "nnan", "ninf", "arcp", "afn"})
"""Fast-math of branch-free kernels whose input was checked to be finite. Never `reassoc`: it would undo the range
reduction of exp and log."""


def _sources_hash(folder: Path) -> str:
    digest = hashlib.sha256(f"{numba.__version__} {vars(config)['BOUNDSCHECK']}".encode())
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    """Return a folder of this source state beside the sources or, where they are read-only, in the user's cache."""
    sources = Path(__file__).parent
    name = f"kernels-{_sources_hash(sources)}"
    if os.access(sources, os.W_OK):
        return sources / "__pycache__" / name
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "keeper" / name


if not os.environ.get("NUMBA_CACHE_DIR"):
    vars(config)["CACHE_DIR"] = str(_cache_folder())


def kernel(function: F) -> F:
    """Compile a kernel: IEEE arithmetic, division by zero gives inf, no GIL, cached."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))


def fast_kernel(function: F) -> F:
    """Compile a branch-free kernel for vector units (FAST); its caller has refused non-finite input."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy", fastmath=set(FAST))(function))


def inlined(function: F) -> F:
    """Compile a branch-free scalar function (FAST) into whatever kernel calls it."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy", fastmath=set(FAST), forceinline=True)(function))
