"""`Settings`: the limits of a runtime, each with its reason."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from actorium.actors.passivation import Passivation
from actorium.runtime.retry import Retry
from actorium.store.errors import ConfigurationError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and timeouts of a runtime; the defaults suit a service that runs in one process.

    mailbox_limit: commands that may wait for one aggregate.
    max_in_flight: commands accepted but not yet answered, over all aggregates.
    max_wait_s: the longest expected wait behind other commands. A command that would wait longer than this, or longer
        than a third of its timeout (in an overload, a twelfth), is refused immediately.
    max_payload_bytes: size of one command, and of the events of one decision with their metadata.
    default_timeout_s: how long `send`, `tell`, `get` and `query` wait by default.
    turn_budget: commands that one actor decides before the next actor gets its turn.
    max_batch_events, max_batch_bytes: size of one commit.
    max_snapshot_bytes: size of the states that may wait to be written as snapshots; more are skipped.
    unreadable_types: "refuse" or "warn": what `start` does if the log holds events that no registered class can read,
        or whose class now has different fields under the same `schema_version`. It also applies to ended sagas without
        a registered class.
    passivation: when idle actors are unloaded from memory.
    handler_retry: how often a projection's handler is tried before its event is parked.
    max_running_intents: saga steps and submitted commands that run concurrently.
    max_waiting_intents: due steps and submitted commands that wait in memory; the rest wait in a table.
    max_queries: concurrent statements of queries over tables; others wait, within their timeouts.
    max_parked: the number of parked events at which a processor stops, because its handler is probably broken.
    drain_s: how long `stop` lets accepted commands finish.
    close_s: how long `stop` then waits for the commit in flight, and for the store to close, before it raises
        StoreHangs.
    hydration_backoff_s, hydration_backoff_max_s: how long an actor that cannot be hydrated refuses mail; doubled each
        time up to the maximum.
    poll_s: how often a subscriber at the end of the log polls it, in case a notification was lost.
    tail_events, tail_bytes: how many committed events are kept in memory for subscribers that have not seen them yet.
    key_cache_s: how long the key of a subject stays in memory. After this time, a subject that another process forgot
        is unreadable here.
    key_cache_size: how many keys of subjects stay in memory.
    second_approver: a case that corrects wrong events needs the approval of a person who did not open it.
    hash_chain: store a hash of the log for every 256 events, by which `actorium verify` finds where a log was changed.
    development: check every decision for changes to the state, and every snapshot value by value, instead of only the
        first ones of each class. Costs a copy of the state per command.
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
    key_cache_s: float = 60.0
    key_cache_size: int = 10_000
    second_approver: bool = True
    hash_chain: bool = False
    development: bool = False

    def __post_init__(self) -> None:
        for name, default in zip(self.__struct_fields__, self.__struct_defaults__, strict=True):
            value = getattr(self, name)
            if isinstance(default, bool):
                if not isinstance(value, bool):
                    raise ConfigurationError(f"Settings({name}={value!r}): must be True or False")
            elif isinstance(default, int | float):
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                    raise ConfigurationError(f"Settings({name}={value!r}): must be a finite number above 0")
            elif not isinstance(value, type(default)):
                raise ConfigurationError(f"Settings({name}={value!r}): must be a {type(default).__name__}")
        if self.hydration_backoff_max_s < self.hydration_backoff_s:
            raise ConfigurationError(
                f"Settings(hydration_backoff_s={self.hydration_backoff_s!r}, "
                f"hydration_backoff_max_s={self.hydration_backoff_max_s!r}): the maximum must not be less than the "
                "initial value"
            )
        if self.unreadable_types not in ("refuse", "warn"):
            raise ConfigurationError(
                f'Settings(unreadable_types={self.unreadable_types!r}): must be "refuse" or "warn"'
            )
