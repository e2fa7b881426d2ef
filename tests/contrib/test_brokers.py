"""Outlets publish to Kafka and RabbitMQ: in order, at least once, each event confirmed before the next.

The Kafka server is the one in librdkafka. RabbitMQ has no server in a Python package: set ACTORIUM_TEST_RABBITMQ to the
URL of one, such as `amqp://guest:guest@localhost/`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aio_pika
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer
from structlog.testing import capture_logs
from support.shop_parts import CreditReserved, Customer, CustomerOpened, OpenCustomer, ReserveCredit

from actorium import Outlet, Retry, Runtime
from actorium.contrib.brokers import KafkaSink, RabbitSink
from actorium.errors import ConfigurationError, ServiceUnavailable
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource
from actorium.testing.nats_server import free_port
from actorium.types import CloudEvent

TEST_S = 90
RABBITMQ = os.environ.get("ACTORIUM_TEST_RABBITMQ", "")
needs_rabbitmq = pytest.mark.skipif(not RABBITMQ, reason="ACTORIUM_TEST_RABBITMQ does not name a RabbitMQ server")


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """The address of a Kafka server, which lives as long as the client that it belongs to."""
    client = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "replaced", "log_level": 0})
    (broker,) = client.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    del client


def timed(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on a real event loop, for a limited time."""

    def run(request: pytest.FixtureRequest) -> None:
        async def limited() -> None:
            async with asyncio.timeout(TEST_S):
                await test(*(request.getfixturevalue(name) for name in names))

        asyncio.run(limited())

    names = test.__code__.co_varnames[: test.__code__.co_argcount]
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@asynccontextmanager
async def publishing(sink: Any, store: MemoryStore) -> AsyncIterator[Runtime]:
    outlet = Outlet(
        "shop",
        types=[CustomerOpened, CreditReserved],
        sink=sink,
        source="/shop",
        start="beginning",
        retry=Retry(attempts=1, backoff_s=0.05, backoff_max_s=0.2),
    )
    async with Runtime([Customer, outlet], store=store) as runtime:
        yield runtime
        while runtime.processors[outlet].position < runtime.statistics().position:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def reserve(runtime: Runtime, first: int) -> None:
    """Send ten commands for each of three customers."""
    for name in ("a", "b", "c"):
        if first == 0:
            await runtime.send(OpenCustomer(name, 1_000))
        for number in range(first, first + 10):
            await runtime.send(ReserveCredit(name, f"o-{number}", 1))


WANTED = {f"{name}": [f"Customer/{name}/{version}" for version in range(1, 22)] for name in ("a", "b", "c")}


async def consumed(address: str, topic: str, count: int) -> list[tuple[str, CloudEvent]]:
    """Return so many messages of a topic: the header with the id, and the event."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    found = []
    try:
        while len(found) < count:
            message = await consumer.getone()
            assert message.value is not None
            event = msgspec.json.decode(message.value, type=CloudEvent)
            assert message.key == event.subject.encode()
            found.append((dict(message.headers)["ce_id"].decode(), event))
    finally:
        await consumer.stop()
    return found


def new_name() -> str:
    return f"shop-{SystemSource().new_id()}"


def ids_by_customer(found: list[tuple[str, CloudEvent]]) -> dict[str, list[str]]:
    by_customer: dict[str, list[str]] = {}
    for id, event in found:
        assert id == event.id
        by_customer.setdefault(event.subject, []).append(id)
    return by_customer


@timed
async def test_kafka_gets_each_event_of_a_stream_once_in_order_over_a_restart(kafka: str) -> None:
    topic, store = new_name(), MemoryStore()
    for first in (0, 10):
        async with KafkaSink(kafka, topic=topic) as sink, publishing(sink, store) as runtime:
            await reserve(runtime, first)
    assert ids_by_customer(await consumed(kafka, topic, 63)) == WANTED


@timed
async def test_an_outlet_waits_for_kafka_and_says_why(kafka: str) -> None:
    topic, store, port = new_name(), MemoryStore(), free_port()
    with capture_logs() as lines:
        async with KafkaSink(f"127.0.0.1:{port}", topic=topic, confirm_s=2) as sink, publishing(sink, store) as runtime:
            await reserve(runtime, 0)
            (processor,) = runtime.statistics().processors
            while not processor.error:
                await asyncio.sleep(0.05)
                (processor,) = runtime.statistics().processors
            assert (processor.state, processor.position) == ("waiting", 0)
            assert f"the broker 127.0.0.1:{port} did not take an event" in processor.error
            async with forwarding(port, kafka):
                while processor.position < runtime.statistics().position:
                    await asyncio.sleep(0.05)
                    (processor,) = runtime.statistics().processors
    assert "processor_waits" in {line["event"] for line in lines}
    found = ids_by_customer(await consumed(kafka, topic, 33))
    assert found == {name: ids[:11] for name, ids in WANTED.items()}


@asynccontextmanager
async def forwarding(port: int, to: str) -> AsyncIterator[None]:
    """Pass connections to a port on to another server."""
    host, _, other = to.rpartition(":")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(other))
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def queue_of(exchange: str) -> tuple[Any, Any]:
    """Return a new queue that takes everything of an exchange, and its connection."""
    connection = await aio_pika.connect(RABBITMQ)
    channel = await connection.channel()
    declared = await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(exchange, durable=True)
    await queue.bind(declared, "#")
    return queue, connection


@needs_rabbitmq
@timed
async def test_rabbitmq_gets_each_event_once_in_order_over_a_restart() -> None:
    exchange, store = new_name(), MemoryStore()
    queue, connection = await queue_of(exchange)
    for first in (0, 10):
        async with RabbitSink(RABBITMQ, exchange=exchange) as sink, publishing(sink, store) as runtime:
            await reserve(runtime, first)
    found = []
    while message := await queue.get(fail=False, no_ack=True):
        event = msgspec.json.decode(message.body, type=CloudEvent)
        assert (message.routing_key, message.content_type) == (event.type, CloudEvent.content_type)
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        found.append((message.message_id, event))
    assert ids_by_customer(found) == WANTED
    await queue.delete()
    await connection.close()


@needs_rabbitmq
@timed
async def test_an_event_that_no_queue_of_rabbitmq_takes_is_not_confirmed() -> None:
    event = CloudEvent(
        id="1", source="/shop", type="Opened", time=datetime.now(UTC), subject="a", data={}, schemaversion=1
    )
    exchange = new_name()
    async with RabbitSink(RABBITMQ, exchange=exchange) as sink:
        with pytest.raises(ServiceUnavailable, match="NO_ROUTE"):
            await sink(event)
    async with RabbitSink(RABBITMQ, exchange=exchange, required=False) as sink:
        await sink(event)


def test_a_time_for_confirmations_is_positive_and_secrets_are_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"^RabbitSink\('amqp://host/'\): confirm_s=0 must be a number of"):
        RabbitSink("amqp://user:secret@host/", exchange="shop", confirm_s=0)
    with pytest.raises(ConfigurationError, match=r"^RabbitSink\('amqp://host/'\)"):
        RabbitSink("amqp://user:se://cret@host/", exchange="shop", confirm_s=0)


@pytest.mark.parametrize("confirm_s", [-1, float("nan"), float("inf"), "1", None])
def test_a_wrong_time_for_confirmations_is_refused(confirm_s: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a number of seconds above 0"):
        KafkaSink("host:9092", topic="shop", confirm_s=confirm_s)


@pytest.mark.parametrize("wrong", ["", None, 5])
def test_a_sink_without_an_address_or_a_topic_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"KafkaSink\(.*\): must be the address of a broker"):
        KafkaSink(wrong, topic="shop")
    with pytest.raises(ConfigurationError, match=r"RabbitSink\('amqp://host/'\): .* must be the name of its topic or"):
        RabbitSink("amqp://host/", exchange=wrong)


@pytest.mark.parametrize("wrong", ["heartbeatt", "heartbeat", "password", "host"])
def test_an_option_that_rabbitmq_would_not_get_is_refused(wrong: str) -> None:
    said = rf"RabbitSink\('amqp://host/'\): no option '{wrong}'; options: client_properties, ssl_context, ssl_"
    with pytest.raises(ConfigurationError, match=said):
        RabbitSink("amqp://host/", exchange="shop", **{wrong: 1})
    RabbitSink("amqp://host/?heartbeat=10", exchange="shop", timeout=3)


@pytest.mark.parametrize("wrong", ["linger", "acks", "value_serializer"])
def test_an_option_that_kafka_would_not_get_is_refused(wrong: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"KafkaSink\('host:9092'\): no option '{wrong}'; options: client_id, "
    ):
        KafkaSink("host:9092", topic="shop", **{wrong: 1})
    KafkaSink("host:9092", topic="shop", linger_ms=5)
