"""An application whose log the environment names, for the command line."""

from __future__ import annotations

import os
from typing import Any

from support.correcting import bank

from actorium import Runtime


def runtime() -> Runtime:
    """Return the bank over the log in the environment variable BANK_LOG."""
    return bank(os.environ["BANK_LOG"])


def without_log() -> Runtime:
    """Return the bank over an empty log in memory."""
    return bank("memory://")


def is_first(recorded: Any) -> bool:
    """Return whether an event is the first of its stream."""
    return bool(recorded.version == 1)
