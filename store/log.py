"""`logger`: structured log lines that never raise."""

from __future__ import annotations

from typing import Any

import structlog

from actorium.store.raised import let_through, traceback_text


class Logger:
    """A structlog logger by name; a line that cannot be written is lost, and nothing is raised.

    `traceback=` takes an exception, or None; its traceback is formatted when the line is written.

    A closed or full output must not stop an actor, a processor or the runtime when they log.
    The library never configures structlog: that is up to the application.
    """

    __slots__ = ("_log",)

    def __init__(self, name: str) -> None:
        self._log = structlog.get_logger(name)

    def info(self, event: str, **values: Any) -> None:
        """Log an event in normal operation."""
        self._write("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Log a problem that the library handles."""
        self._write("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        """Log a problem that needs a person."""
        self._write("error", event, values)

    def critical(self, event: str, **values: Any) -> None:
        """Log a problem that ends the runtime."""
        self._write("critical", event, values)

    def _write(self, level: str, event: str, values: dict[str, Any]) -> None:
        try:
            if "traceback" in values:
                error = values["traceback"]
                values["traceback"] = "" if error is None else traceback_text(error)
            getattr(self._log, level)(event, **values)
        except BaseException as raised:  # no other place to report it
            let_through(raised)


def logger(name: str) -> Logger:
    """Return the logger of a part of the library: `actorium.runtime`, `actorium.store` …"""
    return Logger(name)
