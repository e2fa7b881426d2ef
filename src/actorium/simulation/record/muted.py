"""`muted`: keeps the faults of a run out of the application's log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorium.store.log import Logger


@contextmanager
def muted() -> Iterator[None]:
    """Suppress the library's log lines inside the block; the trace has the thousands of intended faults a minute.

    Log lines of the user's own code are written as usual.
    """

    def say_nothing(self: Logger, level: str, event: str, values: dict[str, Any]) -> None:
        """Neither write the line nor format it, which would take time."""

    before = Logger._write
    Logger._write = say_nothing  # type: ignore[method-assign]
    try:
        yield
    finally:
        Logger._write = before  # type: ignore[method-assign]
