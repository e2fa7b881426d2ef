"""Reports to a saga, as commands for its stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actorium.actors.commands import Command
from actorium.store.events import Event, RecordedEvent


class Happened(Command):
    """An event that this saga follows was recorded; `at_us` is the current time, in microseconds since the epoch."""

    recorded: RecordedEvent[Event]
    at_us: int


class Answered(Command):
    """A command of an intent took effect, or failed for the reason in `error`.

    `index` is the command's place in the intent; -1 speaks for all that are still waited for, and `effects` are the
    places of those that did something all the same. `took_effect` says so of an effect that failed. `state` is what an
    effect made of the saga's fields: those that it changed. `attempts` is how often it was tried.
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
    """An operator acts on a stuck saga: "retry", "skip" or "complete"."""

    action: str
    reason: str
    at_us: int
