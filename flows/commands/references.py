"""Finding a user's declarations by reference: `package.module:attribute` or `file.py:attribute`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ...features.errors import DeclarationError

_T = TypeVar("_T")


def absolute(reference: str) -> str:
    """Return the reference so that it means the same from any directory.

    >>> absolute("shop.features:catalog")
    'shop.features:catalog'
    """
    place, colon, attribute = reference.rpartition(":")
    return f"{Path(place).absolute()}{colon}{attribute}" if place.endswith(".py") else reference


def load(reference: str, *kinds: type[_T]) -> _T:
    """Import what a reference names.

    Parameters
    ----------
    reference
        ``package.module:attribute`` (the working directory is searched too) or
        ``path/to/file.py:attribute``.
    kinds
        One of which it must be.

    Raises
    ------
    DeclarationError
        If there is no such module, file or attribute, it is something else, or importing it
        fails; the message names the reference and the reason.

    Examples
    --------
    >>> from nextbest.features import Catalog
    >>> load("shop", Catalog)
    Traceback (most recent call last):
        ...
    nextbest.features.errors.DeclarationError: shop: expected `package.module:attribute` or \
`path/to/file.py:attribute`
    """
    place, colon, attribute = reference.rpartition(":")
    if not (colon and place and attribute.isidentifier()):
        raise DeclarationError(
            reference, "expected `package.module:attribute` or `path/to/file.py:attribute`"
        )
    try:
        module = _file(Path(place)) if place.endswith(".py") else _module(place)
    except DeclarationError as error:
        raise DeclarationError(reference, str(error)) from error
    except Exception as error:  # whatever the user's module raises
        raise DeclarationError(reference, f"{type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    kind = " or ".join(each.__name__ for each in kinds)
    if found is None:
        known = ", ".join(n for n, v in vars(module).items() if isinstance(v, kinds[0]))
        hint = f"; there is {known}" if known else f", nor any other {kind}"
        raise DeclarationError(reference, f"no {attribute!r} in it{hint}")
    if not isinstance(found, kinds):
        raise DeclarationError(
            reference, f"{attribute!r} is a {type(found).__name__}, not a {kind}"
        )
    return found


def _module(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    return importlib.import_module(name)


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    path = path.absolute()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # as `python file.py` would
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
