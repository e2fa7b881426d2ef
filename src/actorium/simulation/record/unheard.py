"""`unheard`: a run whose faults the library does not write into the application's log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorium.store.log import Logger


@contextmanager
def unheard() -> Iterator[None]:
    """Have the library write no log lines meanwhile: thousands of faults a minute were asked for, and are in the trace.

    What the user's own code logs is written as ever.
    """

    def say_nothing(self: Logger, write: Any, event: str, values: dict[str, Any]) -> None:
        """Neither write the line nor put it together, which takes its time."""

    before = Logger._write
    Logger._write = say_nothing  # type: ignore[method-assign]
    try:
        yield
    finally:
        Logger._write = before  # type: ignore[method-assign]
