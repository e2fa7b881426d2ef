"""The user's application code: where it is imported from, and how its errors are reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actorium.store.errors import ConfigurationError
from actorium.store.raised import let_through
from actorium.user_code.lines import described


def look_here() -> str:
    """Make modules in the current directory importable, as Python does for a script there; return the directory."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return here


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Turn an error of the user's code into a ConfigurationError that says what failed, and in which file and line.

    what: the beginning of the message: "shop.app cannot be imported".
    """
    try:
        yield
    except SyntaxError as error:
        raise ConfigurationError(f"{what}: {type(error).__name__}: {error}") from error  # the error contains its line
    except BaseException as raised:
        let_through(raised)
        raise ConfigurationError(f"{what}: {described(raised)}") from raised
