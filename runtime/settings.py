"""`Settings`: the limits of a runtime, each with its reason."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from actorium.actors.passivation import Passivation
from actorium.runtime.retry import Retry
from actorium.store.errors import ConfigurationError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and times of one runtime; the defaults suit a service of one process.

    mailbox_limit: commands that may wait for one aggregate.
    max_in_flight: commands accepted and not answered yet, over all aggregates.
    max_wait_s: how long a command may be expected to wait behind others; it is refused where that is longer, or longer
        than a third of its timeout.
    max_payload_bytes: size of one command, and of the events of one decision with their metadata.
    default_timeout_s: how long `send`, `tell`, `get` and `query` wait where the call does not say.
    turn_budget: commands one actor decides before the next actor has its turn.
    max_batch_events, max_batch_bytes: size of one commit.
    max_snapshot_bytes: states that may wait to be written as snapshots; what is beyond is left out.
    unreadable_types: what `start` does about events in the log that no registered class reads, or whose class has
        other fields under the same `schema_version`, and about sagas there whose class is not registered and of which
        none is live: "refuse" or "warn".
    passivation: when idle actors leave memory.
    handler_retry: how often a projection's handler is tried before its event is parked.
    max_running_intents: steps of sagas, and submitted commands, that are carried out side by side.
    max_waiting_intents: those that are due and wait for their turn in memory; what is beyond waits in a table.
    max_queries: statements of queries over tables that run side by side; the others wait, within their timeouts.
    max_parked: dead letters of one processor at which it goes no further: its handler is broken, not one event.
    drain_s: how long `stop` lets accepted commands finish.
    close_s: how long `stop` then waits for the commit in flight, and for the store to close, before StoreHangs.
    hydration_backoff_s, hydration_backoff_max_s: how long an actor that cannot be hydrated refuses mail, doubled each
        time up to the maximum.
    poll_s: how often a subscriber at the end of the log looks by itself, should a notification have been lost.
    tail_events, tail_bytes: committed events kept in memory at most, for subscribers that have not seen them yet.
    development: check every decision for changes of the state, and every snapshot value by value, not only the first
        ones of each class. Costs a copy of the state per command.
    """

    mailbox_limit: int = 1_000
    max_in_flight: int = 10_000
    max_wait_s: float = 5.0
    max_payload_bytes: int = 1_048_576
    default_timeout_s: float = 30.0
    turn_budget: int = 64
    max_batch_events: int = 2_000
    max_batch_bytes: int = 8_388_608
    max_snapshot_bytes: int = 16_777_216
    unreadable_types: Literal["refuse", "warn"] = "refuse"
    passivation: Passivation = Passivation()
    max_running_intents: int = 1_000
    max_waiting_intents: int = 10_000
    max_queries: int = 8
    max_parked: int = 1_000
    drain_s: float = 10.0
    close_s: float = 5.0
    handler_retry: Retry = Retry()
    hydration_backoff_s: float = 0.1
    hydration_backoff_max_s: float = 30.0
    poll_s: float = 1.0
    tail_events: int = 4_096
    tail_bytes: int = 16_777_216
    development: bool = False

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < math.inf:
                raise ConfigurationError(f"Settings({name}={value!r}): a finite number above 0")
        if self.hydration_backoff_max_s < self.hydration_backoff_s:
            raise ConfigurationError(
                f"Settings(hydration_backoff_s={self.hydration_backoff_s!r}, "
                f"hydration_backoff_max_s={self.hydration_backoff_max_s!r}): the maximum is not below the first"
            )
        if self.unreadable_types not in ("refuse", "warn"):
            raise ConfigurationError(f'Settings(unreadable_types={self.unreadable_types!r}): "refuse" or "warn"')
