"""`logger`: structured log lines that can never hurt who writes them."""

from __future__ import annotations

from typing import Any

import structlog

from actorium.store.raised import let_through


class Logger:
    """A structlog logger by name; a line that cannot be written is lost, not raised.

    A closed or full output must not end an actor, a processor or the runtime, which all say what they do in passing.
    The library never configures structlog: that is the application's.
    """

    __slots__ = ("_log",)

    def __init__(self, name: str) -> None:
        self._log = structlog.get_logger(name)

    def info(self, event: str, **values: Any) -> None:
        """Write a line of what happened."""
        self._write(self._log.info, event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Write a line of what went wrong and is being dealt with."""
        self._write(self._log.warning, event, values)

    def error(self, event: str, **values: Any) -> None:
        """Write a line of what went wrong and wants a person to look."""
        self._write(self._log.error, event, values)

    def critical(self, event: str, **values: Any) -> None:
        """Write a line of what ends the runtime."""
        self._write(self._log.critical, event, values)

    def _write(self, write: Any, event: str, values: dict[str, Any]) -> None:
        try:
            write(event, **values)
        except BaseException as raised:  # nowhere is left to say it
            let_through(raised)


def logger(name: str) -> Logger:
    """Return the logger of a part of the library: `actorium.runtime`, `actorium.store` …"""
    return Logger(name)
