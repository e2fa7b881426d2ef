"""Metrics are counted from real runs, exported in Prometheus' own format, and named in the dashboard."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from support.bank import Add, Tally
from support.read_models import Sums, Switch
from support.stores import FaultyStore
from support.transfers import Transfer, ask, open_accounts, runtime_of, saga_in
from support.virtual_time import settled, virtual

from actorium import Rejected, Runtime
from actorium.contrib.prometheus import Prometheus
from actorium.errors import StoreUnavailable

DASHBOARD = Path(__file__).parents[2] / "docs" / "how-to" / "grafana-dashboard.json"


@pytest.fixture
def metrics() -> Prometheus:
    return Prometheus(CollectorRegistry())


async def scraped(metrics: Prometheus) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples of one scrape over ASGI, by name and labels."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(metrics.app), base_url="http://metrics") as client:
        text = (await client.get("/", headers={"accept": "text/plain"})).text
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


@virtual
async def test_commands_are_observed_by_name_and_outcome(metrics: Prometheus) -> None:
    async with Runtime([Tally], store="memory://", instruments=[metrics]) as runtime:
        metrics.follow(runtime)
        await runtime.send(Add("t"), command_id="once")
        await runtime.send(Add("t"), command_id="once")
        with pytest.raises(Rejected):
            await runtime.send(Add("t", needs=100))
        await settled()
        samples, hydrations = await scraped(metrics), runtime.statistics().hydrations
    count = "actorium_command_duration_seconds_count"
    assert samples[count, (("command", "Add"), ("outcome", "acknowledged"))] == 2
    assert samples[count, (("command", "Add"), ("outcome", "rejected"))] == 1
    assert samples["actorium_duplicate_commands_total", ()] == 1
    assert samples["actorium_log_position", ()] == 1
    assert samples["actorium_hydration_duration_seconds_count", (("aggregate", "Tally"),)] == hydrations


@virtual
async def test_commits_are_observed_and_failed_ones_counted(metrics: Prometheus) -> None:
    store = FaultyStore()
    store.faults.extend(["slow", "before"])
    async with Runtime([Tally], store=store, instruments=[metrics]) as runtime:
        await runtime.send(Add("t", events=3))
        with pytest.raises(StoreUnavailable):
            await runtime.send(Add("t"))
        samples = await scraped(metrics)
    assert samples["actorium_commit_events_sum", ()] == 3
    assert samples["actorium_commit_duration_seconds_sum", ()] == pytest.approx(0.05)
    assert samples["actorium_commit_failures_total", ()] == 1


@virtual
async def test_processors_are_observed_and_their_lag_is_a_gauge(metrics: Prometheus) -> None:
    Switch.off()
    async with Runtime([Tally, Sums], store="memory://", instruments=[metrics]) as runtime:
        metrics.follow(runtime)
        processor = runtime.processors[Sums]
        await runtime.send(Add("t", events=2), wait_for=[Sums])
        processor.pause()
        await settled()
        await runtime.send(Add("t", events=3))
        await settled()
        samples = await scraped(metrics)
    name = ("processor", processor.name)
    assert samples["actorium_event_handling_duration_seconds_count", (("outcome", "handled"), name)] == 2
    assert samples["actorium_processor_lag_events", (name,)] == 3
    assert samples["actorium_processor_running", (name,)] == 0
    assert samples["actorium_processor_parked", (name,)] == 0


@virtual
async def test_sagas_are_observed_by_outcome(metrics: Prometheus) -> None:
    async with runtime_of(Transfer, instruments=[metrics]) as runtime:
        await open_accounts(runtime, alice=100, bob=0, bob_closed=0)
        await saga_in(runtime, Transfer, await ask(runtime, "alice", "bob"), "completed")
        await saga_in(runtime, Transfer, await ask(runtime, "alice", "bob_closed"), "undone")
        await settled()
        samples = await scraped(metrics)
    count = "actorium_saga_duration_seconds_count"
    for outcome in ("completed", "undone"):
        assert samples[count, (("outcome", outcome), ("saga", "Transfer"))] == 1
    assert samples["actorium_saga_step_failures_total", (("saga", "Transfer"),)] == 1


@virtual
async def test_a_runtime_that_does_not_run_is_down(metrics: Prometheus) -> None:
    runtime = Runtime([Tally], store="memory://", instruments=[metrics])
    metrics.follow(runtime)
    before = await scraped(metrics)
    async with runtime:
        during = await scraped(metrics)
    after = await scraped(metrics)
    assert [one["actorium_up", ()] for one in (before, during, after)] == [0, 1, 0]
    assert ("actorium_log_position", ()) not in after


def expressions() -> Iterator[str]:
    """Return the expressions of all panels of the dashboard, and of its variables."""
    dashboard = msgspec.json.decode(DASHBOARD.read_bytes())
    yield from (variable["query"] for variable in dashboard["templating"]["list"])
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@virtual
async def test_the_dashboard_shows_only_metrics_that_exist(metrics: Prometheus) -> None:
    """A counter or histogram without a sample still has its name in the export."""
    async with Runtime([Tally, Sums], store="memory://", instruments=[metrics]) as runtime:
        metrics.follow(runtime)
        exported = {family.name for family in metrics.registry.collect()}
    shown = {name for expression in expressions() for name in re.findall(r"actorium_\w+", expression)}
    assert len(shown) > 15
    assert {re.sub("_(total|bucket|count|sum)$", "", name) for name in shown} <= exported
