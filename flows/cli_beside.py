"""What the command line says beside a command: of its variables, and of others' errors."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping

from ..features.errors import SettingsError
from .settings import Settings
from .variables import OTHERS, PREFIX, unknown


def tell_unknown(environ: Mapping[str, str] | None = None) -> None:
    """Say on standard error which variables look like settings and are none.

    Parameters
    ----------
    environ
        Default: the variables of this process.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__} | OTHERS.keys()
    for name in unknown(os.environ if environ is None else environ, known):
        sys.stderr.write(f"nextbest: {name} is not a setting and is not looked at\n")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say what is to be done about errors of other libraries that are matters of settings.

    Raises
    ------
    SettingsError
        In the place of such an error.

    Examples
    --------
    >>> with explained():
    ...     raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: the machine code of kernels can be kept nowhere: set \
NUMBA_CACHE_DIR to a directory that this user can write
    """
    try:
        yield
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        raise SettingsError(
            "the machine code of kernels can be kept nowhere: set NUMBA_CACHE_DIR to a directory "
            "that this user can write"
        ) from None
