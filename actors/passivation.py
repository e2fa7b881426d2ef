"""`Passivation`: how long an idle actor keeps its state in memory."""

from __future__ import annotations

import msgspec

from actorium.store.errors import ConfigurationError


class Passivation(msgspec.Struct, frozen=True):
    """The lifespan of live actors: unloaded after `idle_s` seconds without mail, or when more than `max_live` live.

    None switches the one or the other off. Over the limit, the ones unloaded are those not used for longest, by
    second chance: an actor used since it was last looked at is passed over once. An actor with mail or with an append
    in flight is never unloaded, so the limit can be passed by at most the commands in flight.
    """

    idle_s: float | None = 300.0
    max_live: int | None = 100_000

    def __post_init__(self) -> None:
        if self.idle_s is not None and self.idle_s <= 0:
            raise ConfigurationError(f"Passivation(idle_s={self.idle_s!r}): seconds above 0, or None for never")
        if self.max_live is not None and self.max_live < 1:
            raise ConfigurationError(f"Passivation(max_live={self.max_live!r}): 1 or more, or None for no limit")
