"""What a process runs: its releases, and limits chosen by the seed. Many bugs appear only at sizes that the defaults
never reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actorium.actors.passivation import Passivation
from actorium.application import Runtime
from actorium.runtime.settings import Settings
from actorium.simulation.chance import Chance

_CHOICES = {
    "mailbox_limit": (2, 10, 1_000),
    "max_in_flight": (3, 50, 10_000),
    "turn_budget": (1, 3, 64),
    "max_batch_events": (1, 4, 50, 2_000),
    "max_running_intents": (1, 3, 1_000),
    "tail_events": (1, 8, 4_096),
    "poll_s": (2.0, 15.0, 60.0),
}
_MAX_LIVE = (2, 8, 100_000)


def varied_settings(chance: Chance) -> Settings:
    """Return the settings of a seed."""
    picked: dict[str, Any] = {
        name: values[chance.bits(f"setting {name}", 0) % len(values)] for name, values in _CHOICES.items()
    }
    max_live = _MAX_LIVE[chance.bits("setting max_live", 0) % len(_MAX_LIVE)]
    return Settings(**picked, passivation=Passivation(max_live=max_live))


class Release(msgspec.Struct):
    """The factory of a process's runtime, and a runtime that describes its classes and is never started."""

    make: Callable[..., Runtime]
    model: Runtime
