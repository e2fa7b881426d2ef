"""`RuntimeStatistics`: counters and gauges of a runtime."""

from __future__ import annotations

import msgspec

from actorium.runtime.instrument import Instrument
from actorium.runtime.processors.processor_statistics import ProcessorStatistics
from actorium.runtime.services.statistics import ServiceStatistics
from actorium.store.writers.group_commit_writer import WriterStatistics


class RuntimeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a runtime's counters and current load; counters start at 0 when the runtime starts.

    acknowledged, rejected, failed: replies sent; `failed` counts every error except Rejected.
    duplicates: commands answered with an earlier effect; the other counters include them.
    dropped: commands whose caller left before they were decided.
    refused: commands refused with Overloaded.
    in_flight: commands delivered and not yet answered.
    waiting_for_room: senders that wait for room.
    expected_wait_s: seconds that a command sent now is expected to wait, from the measured throughput; 0 if unknown.
    live_actors: actors in memory.
    ready_actors: actors that have mail.
    failed_actors: actors that refuse mail for a while.
    snapshots: snapshots written.
    snapshots_skipped: snapshots skipped because too many were waiting.
    stuck_sagas: how often a saga got stuck.
    late_sagas: how often a saga ran longer than its class's `alarm_after_s`.
    position: the end of the log.
    processors: the state of each projection, reaction, outlet and saga class.
    service: the connections with other services; None without any.
    """

    acknowledged: int
    rejected: int
    failed: int
    duplicates: int
    dropped: int
    refused: int
    in_flight: int
    waiting_for_room: int
    expected_wait_s: float
    live_actors: int
    ready_actors: int
    failed_actors: int
    hydrations: int
    passivations: int
    snapshots: int
    snapshots_skipped: int
    stuck_sagas: int
    late_sagas: int
    position: int
    writer: WriterStatistics
    processors: tuple[ProcessorStatistics, ...] = ()
    service: ServiceStatistics | None = None


class Counters(Instrument):
    """An instrument in every runtime that counts rare events, at no noticeable cost."""

    def __init__(self) -> None:
        self.stuck_sagas = self.late_sagas = 0

    def saga_stuck(self, saga_type: str, saga_id: str, key: str, reason: str) -> None:
        """Count it."""
        self.stuck_sagas += 1

    def saga_late(self, saga_type: str, saga_id: str, alarm_after_s: float) -> None:
        """Count it."""
        self.late_sagas += 1
