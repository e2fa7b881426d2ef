"""`Status`: the state of an actor in its life cycle."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """The state of an actor in its life cycle."""

    COLD = "cold"  # no state in memory, no mail
    HYDRATING = "hydrating"  # its stream is being read
    IDLE = "idle"  # state in memory, no mail
    READY = "ready"  # on the ready queue, with mail
    CHECKING = "checking"  # the command ids of its mail are being looked up
    RECOVERING = "recovering"  # an append failed; waits for the outcome of those in flight
    FAILED = "failed"  # could not be hydrated; refuses mail until supervision allows another try
