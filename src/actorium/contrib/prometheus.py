"""`Prometheus`: the metrics of a runtime for Prometheus, through prometheus_client (extra `prometheus`).

    metrics = Prometheus()
    runtime = Runtime([Account], store="sqlite:///bank.db", instruments=[metrics])
    metrics.follow(runtime)
    app.mount("/metrics", metrics.app)

Durations are histograms in seconds, observed as things happen. Counters and gauges are read from
`runtime.statistics()` at each scrape, so they cost nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isnan
from typing import Any, Literal

from actorium.actors.commands import Command, command_type_of
from actorium.application import Runtime
from actorium.errors import RuntimeClosed
from actorium.runtime.instrument import Instrument, ObservedAnswer, ObservedBatch
from actorium.runtime.statistics import RuntimeStatistics
from actorium.store.errors import from_extra
from actorium.store.events import Event, RecordedEvent

with from_extra("prometheus", "actorium.contrib.prometheus", "prometheus_client"):
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, make_asgi_app
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

# From half a millisecond, a commit on a fast disk, to ten seconds, a caller's patience.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Sagas wait for people and timers: up to a day.
_SAGA_SECONDS = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0, 86_400.0)
_EVENTS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000)


class Prometheus(Instrument):
    """The metrics of one runtime; pass it in `instruments`, then call `follow` with the runtime.

    registry: where the metrics are registered. Use one registry, and one instance, for each runtime.

    The labels are names in the program: of commands, aggregates, processors and sagas. Ids are never labels.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self._commands = Histogram(
            "actorium_command_duration_seconds",
            "From the acceptance of a command to its reply.",
            ("command", "outcome"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._by_class: dict[tuple[type[Command], str], Callable[[float], None]] = {}  # a look-up by labels is slow
        self._commits = Histogram(
            "actorium_commit_duration_seconds",
            "The duration of a commit of events in the store.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._commit_events = Histogram(
            "actorium_commit_events", "The events of a commit.", buckets=_EVENTS, registry=registry
        )
        self._failed_commits = Counter(
            "actorium_commit_failures", "Commits that the store did not confirm.", registry=registry
        )
        self._hydrations = Histogram(
            "actorium_hydration_duration_seconds",
            "The duration of rebuilding an actor from the log.",
            ("aggregate",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._handled = Histogram(
            "actorium_event_handling_duration_seconds",
            "The duration of a handler's call with one event.",
            ("processor", "outcome"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._sagas = Histogram(
            "actorium_saga_duration_seconds",
            "From the start of a saga to its end.",
            ("saga", "outcome"),
            buckets=_SAGA_SECONDS,
            registry=registry,
        )
        self._step_failures = Counter(
            "actorium_saga_step_failures", "Steps of sagas that failed.", ("saga",), registry=registry
        )
        self._stuck = Counter(
            "actorium_sagas_stuck", "Sagas that failed and wait for a person.", ("saga",), registry=registry
        )
        self._late = Counter(
            "actorium_sagas_late", "Sagas that ran longer than their alarm time.", ("saga",), registry=registry
        )

    def follow(self, runtime: Runtime) -> None:
        """Export the statistics of a runtime too; call it once, before or after the runtime's start."""
        self.registry.register(_Statistics(runtime))

    @property
    def app(self) -> Any:
        """An ASGI application that answers a scrape; mount it at `/metrics`."""
        return make_asgi_app(self.registry)

    def commands_answered(self, answers: Sequence[ObservedAnswer]) -> None:
        """Observe the durations of commands."""
        found = self._by_class
        for answer in answers:
            key = (type(answer.command.command), answer.outcome)
            observe = found.get(key)
            if observe is None:
                observe = found[key] = self._commands.labels(command_type_of(key[0]), key[1]).observe
            observe(answer.took_s)

    def batch_committed(self, batch: ObservedBatch) -> None:
        """Observe a commit."""
        if batch.error is not None:
            self._failed_commits.inc()
            return
        self._commits.observe(batch.took_s)
        self._commit_events.observe(batch.events)

    def event_handled(
        self, processor: str, event: RecordedEvent[Event], took_s: float, error: BaseException | None
    ) -> None:
        """Observe the duration of a handler's call."""
        self._handled.labels(processor, "handled" if error is None else "failed").observe(took_s)

    def actor_hydrated(self, stream_type: str, stream_id: str, version: int, took_s: float) -> None:
        """Observe the duration of a hydration."""
        self._hydrations.labels(stream_type).observe(took_s)

    def step_ended(self, saga_type: str, saga_id: str, key: str, error: str) -> None:
        """Count the steps that failed."""
        if error:
            self._step_failures.labels(saga_type).inc()

    def saga_ended(self, saga_type: str, saga_id: str, outcome: Literal["completed", "undone"], took_s: float) -> None:
        """Observe the duration of a saga."""
        if not isnan(took_s):
            self._sagas.labels(saga_type, outcome).observe(took_s)

    def saga_stuck(self, saga_type: str, saga_id: str, key: str, reason: str) -> None:
        """Count it."""
        self._stuck.labels(saga_type).inc()

    def saga_late(self, saga_type: str, saga_id: str, alarm_after_s: float) -> None:
        """Count it."""
        self._late.labels(saga_type).inc()


class _Statistics(Collector):
    """Reads the statistics of a runtime at each scrape; while it does not run, only `actorium_up` is exported."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        try:
            statistics = self._runtime.statistics()
        except RuntimeClosed:
            yield GaugeMetricFamily("actorium_up", "Whether the runtime accepts commands.", value=0)
            return
        yield GaugeMetricFamily("actorium_up", "Whether the runtime accepts commands.", value=1)
        yield from _counters(statistics)
        yield from _gauges(statistics)
        yield from _processors(statistics)

    def describe(self) -> Iterator[Metric]:
        """Return nothing: names are not checked while the runtime does not run."""
        return iter(())


def _counters(statistics: RuntimeStatistics) -> Iterator[Metric]:
    for name, text, value in (
        ("refused_commands", "Commands refused with Overloaded.", statistics.refused),
        ("duplicate_commands", "Commands answered with an earlier effect.", statistics.duplicates),
        ("committed_events", "Events committed.", statistics.writer.events),
        ("hydrations", "Actors rebuilt from the log.", statistics.hydrations),
        ("passivations", "Idle actors unloaded.", statistics.passivations),
        ("snapshots", "Snapshots written.", statistics.snapshots),
        ("snapshots_skipped", "Snapshots skipped because too many were waiting.", statistics.snapshots_skipped),
    ):
        yield CounterMetricFamily(f"actorium_{name}", text, value=value)


def _gauges(statistics: RuntimeStatistics) -> Iterator[Metric]:
    for name, text, value in (
        ("commands_in_flight", "Commands delivered and not yet answered.", statistics.in_flight),
        ("senders_waiting", "Senders that wait for room.", statistics.waiting_for_room),
        ("expected_wait_seconds", "The expected wait of a command sent now.", statistics.expected_wait_s),
        ("appends_waiting", "Appends that wait for the next commit.", statistics.writer.waiting_requests),
        ("live_actors", "Actors in memory.", statistics.live_actors),
        ("ready_actors", "Actors that have mail.", statistics.ready_actors),
        ("failed_actors", "Actors that refuse mail for a while.", statistics.failed_actors),
        ("log_position", "The end of the log.", statistics.position),
    ):
        yield GaugeMetricFamily(f"actorium_{name}", text, value=value)


def _processors(statistics: RuntimeStatistics) -> Iterator[Metric]:
    lag_events = GaugeMetricFamily(
        "actorium_processor_lag_events", "The events between a processor and the end of the log.", labels=("processor",)
    )
    lag_s = GaugeMetricFamily(
        "actorium_processor_lag_seconds", "The age of a processor's first unfinished event.", labels=("processor",)
    )
    parked = GaugeMetricFamily(
        "actorium_processor_parked", "The streams that wait behind a dead letter.", labels=("processor",)
    )
    running = GaugeMetricFamily(
        "actorium_processor_running",
        "Whether a processor runs; 0: it waits or has failed.",
        labels=("processor",),
    )
    for one in statistics.processors:
        lag_events.add_metric((one.name,), one.lag_events)
        lag_s.add_metric((one.name,), one.lag_s)
        parked.add_metric((one.name,), one.parked)
        running.add_metric((one.name,), int(one.state == "running"))
    yield from (lag_events, lag_s, parked, running)
