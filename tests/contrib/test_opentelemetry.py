"""Traces that the OpenTelemetry SDK really records: one trace per flow, over sagas, processors and restarts."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from structlog.testing import LogCapture
from support.bank import Add, Added, Tally
from support.read_models import Sums, Switch
from support.stores import FaultyStore
from support.transfers import Account, Ask, Desk, Transfer, ask, open_accounts, runtime_of, saga_in
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, Event, RecordedEvent, Rejected, Runtime, react
from actorium.contrib.opentelemetry import OpenTelemetry, add_trace_ids, flow_context
from actorium.errors import StoreUnavailable

CHILD = Path(__file__).resolve().parents[1] / "support" / "traced_child.py"


class Traces:
    """A tracer provider, and the spans that it has recorded."""

    def __init__(self, **options: object) -> None:
        self.provider = TracerProvider(**options)  # type: ignore[arg-type]
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("web")

    def telemetry(self, sample_ratio: float = 1.0, **options: bool) -> OpenTelemetry:
        return OpenTelemetry(tracer_provider=self.provider, sample_ratio=sample_ratio, **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def of(self, trace_id: int) -> list[str]:
        """The names of the spans of a trace, sorted."""
        return sorted(one.name for one in self.spans if one.context.trace_id == trace_id)

    def named(self, name: str) -> ReadableSpan:
        """The only span with this name."""
        (span,) = [one for one in self.spans if one.name == name]
        return span


@pytest.fixture
def traces() -> Traces:
    return Traces()


@virtual
async def test_a_command_within_a_span_belongs_to_its_trace(traces: Traces) -> None:
    telemetry = traces.telemetry(sample_ratio=0, details=True)
    async with Runtime(
        [Tally], store="memory://", instruments=[telemetry], caller_headers=telemetry.caller_headers
    ) as runtime:
        await runtime.send(Add("t"))  # outside of any trace, and the ratio is 0
        with traces.tracer.start_as_current_span("POST /tallies") as request:
            await runtime.send(Add("t"), command_id="c1")
        await settled()
    assert traces.of(request.get_span_context().trace_id) == ["POST /tallies", "commit", "decide", "send Add"]
    assert len(traces.spans) == 4
    send, commit = traces.named("send Add"), traces.named("commit")
    assert send.parent is not None
    assert send.parent.span_id == request.get_span_context().span_id
    assert commit.parent is not None
    assert commit.parent.span_id == send.context.span_id
    assert send.attributes is not None
    assert (send.attributes["messaging.message.id"], send.attributes["actorium.outcome"]) == ("c1", "acknowledged")


@virtual
async def test_without_details_and_metrics_only_traced_commands_are_observed(traces: Traces) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    quiet = OpenTelemetry(
        tracer_provider=traces.provider, meter_provider=meters, sample_ratio=0, details=False, metrics=False
    )
    async with Runtime([Tally], store="memory://", instruments=[quiet], caller_headers=quiet.caller_headers) as runtime:
        await runtime.send(Add("t"))
        with traces.tracer.start_as_current_span("request"):
            await runtime.send(Add("t"), command_id="c1")
        await settled()
    assert sorted(one.name for one in traces.spans) == ["request", "send Add"]
    assert traces.named("send Add").attributes == {
        "messaging.system": "actorium",
        "messaging.message.id": "c1",
        "actorium.stream.id": "t",
        "actorium.outcome": "acknowledged",
    }
    assert reader.get_metrics_data() is None


@virtual
async def test_the_state_of_a_trace_travels_too(traces: Traces) -> None:
    telemetry = traces.telemetry(sample_ratio=0)
    remote = trace.SpanContext(1, 2, True, trace.TraceFlags(1), trace.TraceState([("vendor", "x")]))
    async with Runtime(
        [Tally], store="memory://", instruments=[telemetry], caller_headers=telemetry.caller_headers
    ) as runtime:
        with trace.use_span(trace.NonRecordingSpan(remote)):
            await runtime.send(Add("t"))
        recorded = await anext(runtime.events())
    assert recorded.metadata.headers["tracestate"] == "vendor=x"
    assert recorded.metadata.headers["traceparent"].startswith(f"00-{1:032x}-")


@virtual
async def test_the_ratio_decides_for_commands_that_begin_a_flow(traces: Traces) -> None:
    for ratio in (0.0, 1.0):
        telemetry = traces.telemetry(ratio)
        async with Runtime(
            [Tally], store="memory://", instruments=[telemetry], caller_headers=telemetry.caller_headers
        ) as runtime:
            for number in range(5):
                await runtime.send(Add(f"t{number}"))
            await settled()
    assert len({one.context.trace_id for one in traces.spans}) == 5
    with pytest.raises(ConfigurationError, match="a share from 0 to 1"):
        traces.telemetry(1.5)


@virtual
async def test_a_trace_that_its_sampler_refuses_leaves_nothing() -> None:
    traces = Traces(sampler=ALWAYS_OFF)
    telemetry = traces.telemetry()
    async with Runtime(
        [Tally], store="memory://", instruments=[telemetry], caller_headers=telemetry.caller_headers
    ) as runtime:
        await runtime.send(Add("t"))
        with traces.tracer.start_as_current_span("POST /tallies"):
            await runtime.send(Add("t"))
        recorded = await anext(runtime.events())
    assert traces.spans == ()
    assert recorded.metadata.headers == {}


@virtual
async def test_a_rejection_is_an_outcome_and_a_failed_commit_an_error(traces: Traces) -> None:
    store = FaultyStore()
    telemetry = traces.telemetry(details=True)
    async with Runtime(
        [Tally], store=store, instruments=[telemetry], caller_headers=telemetry.caller_headers
    ) as runtime:
        with pytest.raises(Rejected):
            await runtime.send(Add("t", needs=100))
        await settled()
        rejected = traces.named("send Add")
        store.faults.append("before")
        with pytest.raises(StoreUnavailable):
            await runtime.send(Add("u"))
        await settled()
    assert rejected.attributes is not None
    assert rejected.attributes["error.type"] == "Rejected"
    assert rejected.status.is_ok
    assert not traces.named("commit").status.is_ok
    failed = [one for one in traces.spans if one.name == "send Add"][-1]
    assert not failed.status.is_ok


@virtual
async def test_processors_reactions_and_their_commands_go_on_with_the_trace(traces: Traces) -> None:
    Switch.off()
    telemetry = traces.telemetry()

    @react(on_replay="skip")
    async def copy(event: Added, recorded: RecordedEvent[Event]) -> None:
        with traces.tracer.start_as_current_span("mail", flow_context()):
            pass
        if recorded.stream_id == "t":
            await runtime.send(Add("copy"))

    runtime = Runtime(
        [Tally, Sums, copy], store="memory://", instruments=[telemetry], caller_headers=telemetry.caller_headers
    )
    async with runtime:
        with traces.tracer.start_as_current_span("request") as request:
            await runtime.send(Add("t"), wait_for=[Sums])
        await settled()
        sums, reaction = (runtime.processors[one].name for one in (Sums, copy))
    assert traces.of(request.get_span_context().trace_id) == sorted(
        ["request", "send Add", "process Add", "mail", "mail"] + [f"handle {sums}"] * 2 + [f"handle {reaction}"] * 2
    )


@pytest.mark.asyncio
async def test_one_trace_covers_a_request_its_saga_and_its_participants_over_a_kill(
    traces: Traces, log_url: str
) -> None:
    command = [sys.executable, CHILD, log_url]
    killed = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, timeout=120)
    assert killed.returncode < 0
    trace_id = int(killed.stdout.splitlines()[-1], 16)
    async with Runtime([Account, Desk, Transfer], store=log_url, instruments=[traces.telemetry()]) as runtime:
        await saga_in(runtime, Transfer, "Desk/desk/1", "completed")
    names = traces.of(trace_id)
    for name in ("step Transfer.credit", "process Deposit"):
        assert name in names, names


@virtual
async def test_the_steps_of_a_saga_are_spans_that_say_why_they_failed(traces: Traces) -> None:
    async with runtime_of(Transfer, instruments=[traces.telemetry()]) as runtime:
        await open_accounts(runtime, alice=100, bob_closed=0)
        with traces.tracer.start_as_current_span("request") as request:
            headers: dict[str, str] = {}
            span = request.get_span_context()
            headers["traceparent"] = f"00-{span.trace_id:032x}-{span.span_id:016x}-01"
            ack = await runtime.send(Ask("desk", "alice", "bob_closed", 10), headers=headers)
        await saga_in(runtime, Transfer, f"Desk/desk/{ack.version}", "undone")
        await ask(runtime, "alice", "bob_closed")  # not traced
        await settled()
    credit = traces.named("step Transfer.credit")
    assert not credit.status.is_ok
    assert traces.named("step Transfer.debit").status.is_ok
    assert credit.context.trace_id == span.trace_id
    assert {one.context.trace_id for one in traces.spans} == {span.trace_id}


@virtual
async def test_log_lines_of_a_handler_carry_the_ids_of_its_trace(traces: Traces) -> None:
    captured = LogCapture()
    structlog.configure(processors=[add_trace_ids, captured])
    log = structlog.get_logger("shop")
    telemetry = traces.telemetry(sample_ratio=0)

    @react(on_replay="skip")
    async def note(event: Added) -> None:
        log.info("noted")

    async with Runtime(
        [Tally, note], store="memory://", instruments=[telemetry], caller_headers=telemetry.caller_headers
    ) as runtime:
        with traces.tracer.start_as_current_span("request") as request:
            log.info("asked")
            await runtime.send(Add("t"))
        await settled()
        await runtime.send(Add("t"))
        await settled()
    lines = [one for one in captured.entries if one["event"] in ("asked", "noted")]
    trace_id = trace.format_trace_id(request.get_span_context().trace_id)
    assert [one.get("trace_id") for one in lines] == [trace_id, trace_id, None]


@virtual
async def test_durations_and_gauges_are_metrics() -> None:
    reader = InMemoryMetricReader()
    telemetry = OpenTelemetry(meter_provider=MeterProvider([reader]))
    async with runtime_of(Transfer, instruments=[telemetry]) as runtime:
        telemetry.follow(runtime)
        await open_accounts(runtime, alice=100, bob=0)
        await saga_in(runtime, Transfer, await ask(runtime), "completed")
        await settled()
        data = reader.get_metrics_data()
    assert data is not None
    metrics = {
        one.name for resource in data.resource_metrics for scope in resource.scope_metrics for one in scope.metrics
    }
    assert metrics == {
        "messaging.process.duration",
        "db.client.operation.duration",
        "actorium.hydration.duration",
        "actorium.event.handling.duration",
        "actorium.saga.duration",
        "actorium.commands.in_flight",
        "actorium.processor.lag",
    }
