"""Reports to a saga, as commands for its stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actorium.actors.commands import Command
from actorium.store.events import Event, RecordedEvent


class Happened(Command):
    """An event that the saga follows was recorded; `at_us` is the current time, in microseconds since the epoch."""

    recorded: RecordedEvent[Event]
    at_us: int


class Answered(Command):
    """A command of an intent took effect, or failed for the reason in `error`.

    `index` is the number of the command within the intent; -1 stands for all commands that are still open, and
    `effects` are then the numbers of those that took effect nevertheless. `took_effect` says whether a failed effect
    did. `state` holds the saga's fields that an effect changed. `attempts` is the number of attempts.
    """

    key: str
    index: int
    at_us: int
    error: str = ""
    details: Mapping[str, Any] = {}
    took_effect: bool = False
    effects: tuple[int, ...] = ()
    state: dict[str, Any] | None = None
    attempts: int = 1


class Broke(Command):
    """The saga's decision on a reply cannot be recorded, even after retries: the saga is stuck."""

    key: str
    reason: str


class Repair(Command):
    """An operator acts on a stuck saga: "retry", "skip", "complete" or "compensate"."""

    action: str
    reason: str
    at_us: int
