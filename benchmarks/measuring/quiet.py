"""No log in the middle of a measurement."""

from __future__ import annotations

import logging
import sys

import structlog


def be_quiet() -> None:
    """Have the runtime log what ends it, and nothing else: a log in the middle of a measurement is measured, too."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
