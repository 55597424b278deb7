"""The keystores' password on its way to the signer's process: through a pipe that only that process inherits."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import SecretStr

from keeper.signer.keystore import PASSWORD, PASSWORD_FILE


class Handover:
    """What a signer's process is started with, as often as it must be.

    A password from a file is not kept: each start reads the file again. One from the environment is kept here and
    nowhere else: it is in no child's environment, in no representation, and cannot be pickled.
    """

    __slots__ = ("_environ", "_secret")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: value for name, value in environ.items() if name != PASSWORD}
        self._secret = SecretStr(environ[PASSWORD]) if PASSWORD in environ else None

    def __repr__(self) -> str:
        return "Handover(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("a Handover cannot be pickled or copied: it may hold a password")

    @contextmanager
    def given(self) -> Iterator[tuple[Mapping[str, str], tuple[int, ...]]]:
        """Give the environment and the descriptors to start one process with; they are closed here afterwards."""
        if self._secret is None:
            yield self._environ, ()
            return
        reading, writing = os.pipe()  # neither end is inherited unless it is named
        try:
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                pipe.write(self._secret.get_secret_value())
            yield {**self._environ, PASSWORD_FILE: f"/dev/fd/{reading}"}, (reading,)
        finally:
            os.close(reading)

    def forget(self) -> None:
        self._secret = None
