"""Switches logging off during a measurement."""

from __future__ import annotations

import logging
import sys

import structlog


def be_quiet() -> None:
    """Log only fatal errors of the runtime: log output during a measurement would be measured, too."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
