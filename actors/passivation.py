"""`Passivation`: how long an idle actor keeps its state in memory."""

from __future__ import annotations

import msgspec

from actorium.store.errors import ConfigurationError


class Passivation(msgspec.Struct, frozen=True):
    """The passivation policy: unload actors after `idle_s` seconds without mail, or when more than `max_live` are live.

    idle_s: the idle time in seconds, above 0; None for no limit.
    max_live: the largest number of live actors, 1 or more; None for no limit.

    Above the limit, the least recently used actors are unloaded first, with a second chance: an actor used since the
    last check is skipped once. An actor with mail or with an append in flight is never unloaded, so the limit can be
    exceeded by at most the number of commands in flight.

    Raises:
        ConfigurationError: an option is out of range.
    """

    idle_s: float | None = 300.0
    max_live: int | None = 100_000

    def __post_init__(self) -> None:
        if self.idle_s is not None and self.idle_s <= 0:
            raise ConfigurationError(
                f"Passivation(idle_s={self.idle_s!r}): must be a number of seconds above 0, or None for no limit"
            )
        if self.max_live is not None and self.max_live < 1:
            raise ConfigurationError(
                f"Passivation(max_live={self.max_live!r}): must be 1 or more, or None for no limit"
            )
