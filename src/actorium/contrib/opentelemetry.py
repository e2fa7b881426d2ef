"""`OpenTelemetry`: traces and metrics of a runtime, through the OpenTelemetry API (extra `otel`).

    telemetry = OpenTelemetry(sample_ratio=0.1)
    runtime = Runtime(
        [Account], store="sqlite:///bank.db", instruments=[telemetry], caller_headers=telemetry.caller_headers
    )

A trace begins at `send`: in the caller's span if there is one, else for a share of the commands. Its `traceparent`
(w3.org/TR/trace-context) is one of the command's headers. Headers are stored with the events and inherited
along the flow. So the spans of projections, reactions, outlets, sagas and of the commands that they send belong to the
same trace, also after a restart and in another service.

Span and metric names follow the semantic conventions for messaging and databases where they exist
(opentelemetry.io/docs/specs/semconv). Span attributes hold the ids of streams, never the fields of commands or events.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from math import isnan
from time import time_ns
from typing import Any, Literal

import msgspec

from actorium.actors.commands import command_type_of
from actorium.application import Runtime
from actorium.errors import ConfigurationError, RuntimeClosed
from actorium.runtime.commands.inherited import inherited
from actorium.runtime.instrument import Instrument, ObservedAnswer, ObservedBatch, ObservedCommand
from actorium.store.errors import from_extra
from actorium.store.events import Event, RecordedEvent, event_type_of

with from_extra("otel", "actorium.contrib.opentelemetry", "opentelemetry"):
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation, get_meter_provider
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, get_tracer_provider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_HEADER = "traceparent"
_NS = 1_000_000_000
_SPANS_MAX = 10_000  # open spans of steps, and of commands that are on their way
_OF_METRICS = ("actor_hydrated", "saga_ended")
_OUTSIDE = Context()  # nothing of the caller's: a new trace


class _Process(msgspec.Struct):
    """A traced command between its mailbox and its reply."""

    command: ObservedCommand
    span: Span
    began_ns: int


class OpenTelemetry(Instrument):
    """Traces and metrics of one runtime; pass it in `instruments`, and its `caller_headers` too.

    sample_ratio: the share, 0 to 1, of the flows that begin without a trace and start one. A flow that begins inside a
        trace belongs to it, and is recorded if that trace is sampled.
    details: also record the decision and the commit of each traced command as spans of their own.
    metrics: record metrics too; they measure every command, so each command costs more, traced or not.
    tracer_provider, meter_provider: by default the global ones.

    A sampler of the tracer provider applies too. Choosing here costs less: an unsampled command makes no span at all.
    Raises ConfigurationError for a ratio that is not between 0 and 1.
    """

    def __init__(
        self,
        *,
        sample_ratio: float = 1.0,
        details: bool = False,
        metrics: bool = True,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        if not 0 <= sample_ratio <= 1:
            raise ConfigurationError(f"OpenTelemetry(sample_ratio={sample_ratio!r}): give a share from 0 to 1")
        self._sample_ratio = sample_ratio
        self._tracer = (tracer_provider or get_tracer_provider()).get_tracer("actorium")
        self._meter = (meter_provider or get_meter_provider()).get_meter("actorium")
        if not metrics:
            self.header = _HEADER
            self.ignores = _OF_METRICS if details else (*_OF_METRICS, "batch_committed")
        self._details = details
        self._metrics = metrics
        self._begun: dict[str, Span] = {}  # by traceparent: sent, and not yet in a mailbox
        self._processes: dict[str, _Process] = {}
        self._steps: dict[tuple[str, str, str], Span] = {}
        self._commands = self._histogram("messaging.process.duration", "From the mailbox to the reply.")
        self._commits = self._histogram("db.client.operation.duration", "The duration of a commit of events.")
        self._hydrations = self._histogram("actorium.hydration.duration", "The time to rebuild an actor.")
        self._handled = self._histogram("actorium.event.handling.duration", "The time of one call of a handler.")
        self._sagas = self._histogram("actorium.saga.duration", "From the start of a saga to its end.")

    def _histogram(self, name: str, description: str) -> Histogram:
        return self._meter.create_histogram(name, unit="s", description=description)

    def follow(self, runtime: Runtime) -> None:
        """Export the load and the lag of a runtime as observable gauges too; call it once."""

        def load(options: CallbackOptions) -> Iterable[Observation]:
            try:
                yield Observation(runtime.statistics().in_flight)
            except RuntimeClosed:
                return

        def lag(options: CallbackOptions) -> Iterable[Observation]:
            try:
                processors = runtime.statistics().processors
            except RuntimeClosed:
                return
            for one in processors:
                yield Observation(one.lag_events, {"actorium.processor": one.name})

        self._meter.create_observable_gauge("actorium.commands.in_flight", [load], unit="{command}")
        self._meter.create_observable_gauge("actorium.processor.lag", [lag], unit="{event}")

    # --- commands -------------------------------------------------------------------------------------------------

    def caller_headers(self) -> Mapping[str, str] | None:
        """Begin the span of a command that is sent now, and return its traceparent; None if it is not traced.

        Pass it to `Runtime(…, caller_headers=…)`.
        """
        if inherited() is not None:
            return None  # the trace of the event that is being handled goes on
        current = trace.get_current_span().get_span_context()
        if current.is_valid:
            if not current.trace_flags.sampled:
                return None
            span = self._tracer.start_span("send")
        elif random.random() < self._sample_ratio:
            span = self._tracer.start_span("send", _OUTSIDE)
        else:
            return None
        context = span.get_span_context()
        if not (context.is_valid and span.is_recording()):
            return None  # no tracer provider is installed, or its sampler has refused
        # As the propagator writes it, in half the time.
        header = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        if len(self._begun) >= _SPANS_MAX:  # the oldest was refused before it reached a mailbox
            self._begun.pop(next(iter(self._begun))).end()
        self._begun[header] = span
        if context.trace_state:
            return {_HEADER: header, "tracestate": context.trace_state.to_header()}
        return {_HEADER: header}

    def commands_received(self, commands: Sequence[ObservedCommand]) -> None:
        """Find the spans that `send` has begun, and begin one for each other traced command."""
        for command in commands:
            header = command.headers.get(_HEADER)
            if header is None or command.command_id in self._processes:
                continue
            span = self._begun.pop(header, None)
            if span is not None:
                span.update_name(f"send {command_type_of(type(command.command))}")
            else:
                parent = _context_of(command.headers)
                if parent is None:
                    continue
                name = f"process {command_type_of(type(command.command))}"
                span = self._tracer.start_span(name, parent, kind=SpanKind.CONSUMER)
            self._processes[command.command_id] = _Process(command, span, time_ns() if self._details else 0)

    def commands_answered(self, answers: Sequence[ObservedAnswer]) -> None:
        """End the spans of commands, and record their durations."""
        for answer in answers:
            command = answer.command
            if self._metrics:
                attributes = {"messaging.system": "actorium", "messaging.operation.name": answer.outcome}
                self._commands.record(answer.took_s, attributes)
            process = self._processes.get(command.command_id)
            if process is None or process.command is not command:
                continue
            del self._processes[command.command_id]
            described = {
                "messaging.system": "actorium",
                "messaging.message.id": command.command_id,
                "actorium.stream.id": command.command.to,
                "actorium.outcome": answer.outcome,
            }
            if answer.error is not None:
                described["error.type"] = type(answer.error).__name__
            process.span.set_attributes(described)
            if answer.outcome == "failed" and answer.error is not None:
                process.span.set_status(Status(StatusCode.ERROR, str(answer.error)))
            process.span.end()

    def batch_committed(self, batch: ObservedBatch) -> None:
        """Record a commit, and its share in each traced command: the decision before it, and the commit itself."""
        attributes = {"db.operation.name": "append"}
        if batch.error is not None:
            attributes["error.type"] = type(batch.error).__name__
        if self._metrics:
            self._commits.record(batch.took_s, attributes)
        if not (self._details and self._processes):
            return
        ended_ns = time_ns()
        began_ns = ended_ns - round(batch.took_s * _NS)
        for command_id in batch.command_ids:
            process = self._processes.get(command_id)
            if process is None:
                continue
            context = trace.set_span_in_context(process.span, _OUTSIDE)
            decide = self._tracer.start_span("decide", context, start_time=process.began_ns)
            decide.end(max(began_ns, process.began_ns))
            commit = self._tracer.start_span(
                "commit",
                context,
                kind=SpanKind.CLIENT,
                attributes={**attributes, "db.operation.batch.size": batch.appends, "actorium.events": batch.events},
                start_time=max(began_ns, process.began_ns),
            )
            _mark(commit, batch.error)
            commit.end(ended_ns)

    # --- what follows ---------------------------------------------------------------------------------------------

    def event_handled(
        self, processor: str, event: RecordedEvent[Event], took_s: float, error: BaseException | None
    ) -> None:
        """Record a handler's call as a span of the event's trace."""
        if self._metrics:
            self._handled.record(took_s, {"actorium.processor": processor})
        parent = _context_of(event.metadata.headers)
        if parent is None:
            return
        ended_ns = time_ns()
        span = self._tracer.start_span(
            f"handle {processor}",
            parent,
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "actorium",
                "messaging.operation.type": "process",
                "messaging.message.id": event.event_id,
                "actorium.event.type": event_type_of(type(event.event)),
                "actorium.position": event.position,
            },
            start_time=ended_ns - round(took_s * _NS),
        )
        _mark(span, error)
        span.end(ended_ns)

    def step_issued(self, saga_type: str, saga_id: str, key: str, commands: int, headers: Mapping[str, str]) -> None:
        """Begin the span of a saga's step."""
        parent = _context_of(headers)
        if parent is None:
            return
        attributes = {"actorium.saga.type": saga_type, "actorium.saga.id": saga_id, "actorium.saga.step": key}
        span = self._tracer.start_span(f"step {saga_type}.{key}", parent, attributes=attributes)
        if len(self._steps) >= _SPANS_MAX:  # the oldest step waits for a person or a distant timer
            self._steps.pop(next(iter(self._steps))).end()
        self._steps[saga_type, saga_id, key] = span

    def step_ended(self, saga_type: str, saga_id: str, key: str, error: str) -> None:
        """End the span of a saga's step."""
        span = self._steps.pop((saga_type, saga_id, key), None)
        if span is not None:
            if error:
                span.set_status(Status(StatusCode.ERROR, error))
            span.end()

    def saga_ended(self, saga_type: str, saga_id: str, outcome: Literal["completed", "undone"], took_s: float) -> None:
        """Record the duration of a saga."""
        if not isnan(took_s):
            self._sagas.record(took_s, {"actorium.saga.type": saga_type, "actorium.outcome": outcome})

    def actor_hydrated(self, stream_type: str, stream_id: str, version: int, took_s: float) -> None:
        """Record the duration of a hydration."""
        self._hydrations.record(took_s, {"actorium.stream.type": stream_type})


def flow_context() -> Context:
    """Return the trace of the event that is being handled, for spans of your own in a reaction or an async step.

    `with tracer.start_as_current_span("mail", flow_context()): …`. Outside such code it is the current context.
    """
    handled = inherited()
    context = None if handled is None else _context_of(handled.headers)
    return trace.set_span_in_context(trace.get_current_span()) if context is None else context


def add_trace_ids(logger: Any, method: str, values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for structlog that adds `trace_id` and `span_id` to the lines that belong to a trace.

    It takes them from the current span or, in a reaction or an async step, from the event that is being handled.
    """
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        span = trace.get_current_span(flow_context()).get_span_context()
    if span.is_valid:
        values["trace_id"] = trace.format_trace_id(span.trace_id)
        values["span_id"] = trace.format_span_id(span.span_id)
    return values


def _context_of(headers: Mapping[str, str]) -> Context | None:
    """Return the context that headers name; None if they name none, or one that is not sampled."""
    header = headers.get(_HEADER)
    if header is None:
        return None
    context = _PROPAGATOR.extract(headers, _OUTSIDE)
    span = trace.get_current_span(context).get_span_context()
    return context if span.is_valid and span.trace_flags.sampled else None


def _mark(span: Span, error: BaseException | None) -> None:
    if error is not None:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR, str(error)))
