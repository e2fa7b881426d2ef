"""Sinks of outlets for RabbitMQ and Kafka: `pip install 'actorium[rabbitmq]'` or `'actorium[kafka]'`.

An event is accepted once the broker has confirmed it. Until then, the outlet offers it again under the same id and
offers nothing else, so events arrive at least once, in the order of the log. A sink connects with its first event.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from actorium.errors import ConfigurationError
from actorium.runtime.arguments import is_seconds
from actorium.runtime.errors import ServiceUnavailable
from actorium.store.errors import from_extra
from actorium.store.raised import error_text
from actorium.types import CloudEvent

_CONFIRM_S = 10.0
_CLOSE_S = 5.0

C = TypeVar("C")


class BrokerSink(ABC, Generic[C]):
    """A sink that publishes to a broker over a connection `C`."""

    _library_name = ""
    _extra = ""
    _connect_name = ""
    _not_options: frozenset[str]

    def __init__(self, address: Any, place: Any, confirm_s: float, options: dict[str, Any]) -> None:
        if not (isinstance(address, str) and address):
            raise ConfigurationError(f"{type(self).__name__}({address!r}): must be the address of a broker")
        shown = f"{type(self).__name__}({_shown(address)!r})"
        if not (isinstance(place, str) and place):
            raise ConfigurationError(f"{shown}: {place!r} must be the name of its topic or exchange")
        if not is_seconds(confirm_s) or confirm_s == 0:
            raise ConfigurationError(f"{shown}: confirm_s={confirm_s!r} must be a number of seconds above 0")
        with from_extra(self._extra, shown, self._library_name):
            self._library = import_module(self._library_name)
        known = _options_of(getattr(self._library, self._connect_name)) - self._not_options
        if unknown := sorted(options.keys() - known):
            raise ConfigurationError(f"{shown}: no option {unknown[0]!r}; options: {', '.join(sorted(known))}")
        self._address = address
        self._confirm_s = confirm_s
        self._options = options
        self._connection: C | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect. Call it once the runtime has stopped, or use the sink with `async with`."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._disconnect(connection)
        except Exception:  # the connection is broken; what was confirmed is safe
            pass

    async def __call__(self, event: CloudEvent) -> None:
        """Publish an event; return once the broker has confirmed it. Raises ServiceUnavailable if it has not."""
        try:
            async with asyncio.timeout(self._confirm_s):
                if self._connection is None:
                    self._connection = await self._connect()
                await self._publish(self._connection, event)
        except TimeoutError as late:
            await self._failed()
            raise self._unavailable(f"it did not confirm {event.id} within {self._confirm_s:g} s") from late
        except Exception as raised:
            await self._failed()
            raise self._unavailable(error_text(raised)) from raised

    def _unavailable(self, reason: str) -> ServiceUnavailable:
        return ServiceUnavailable(f"the broker {_shown(self._address)} did not take an event: {reason}")

    async def _failed(self) -> None:
        """Do what an error requires of the connection."""

    @abstractmethod
    async def _connect(self) -> C:
        """Return a new connection."""

    @abstractmethod
    async def _disconnect(self, connection: C) -> None:
        """End a connection."""

    @abstractmethod
    async def _publish(self, connection: C, event: CloudEvent) -> None:
        """Publish an event, and return once the broker has confirmed it."""


class RabbitSink(BrokerSink[tuple[Any, Any]]):
    """Publishes to an exchange of RabbitMQ: `Outlet("bank", sink=RabbitSink("amqp://…", exchange="bank"), …)`.

    url: the URL of the server, with user, password and virtual host.
    exchange: a durable topic exchange, which is created if there is none. The routing key is the event's type, the
        message id is the event's id, and messages are persistent.
    required: wait until a queue takes the event; otherwise an event that no queue wants is confirmed and gone.
    confirm_s: how many seconds a confirmation may take.
    options: passed to `aio_pika.connect`, such as `ssl_context`. What it reads from the URL belongs there:
        `amqp://host/?heartbeat=10`.

    Raises ConfigurationError without aio-pika, or if an argument is wrong.
    """

    _library_name = "aio_pika"
    _extra = "rabbitmq"
    _connect_name = "connect"
    # The URL says the first six. aio-pika ignores them beside a URL.
    _not_options = frozenset(
        {"host", "port", "login", "password", "virtualhost", "ssl", "url", "loop", "connection_class"}
    )

    def __init__(
        self, url: str, *, exchange: str, required: bool = True, confirm_s: float = _CONFIRM_S, **options: Any
    ) -> None:
        super().__init__(url, exchange, confirm_s, options)
        self._exchange = exchange
        self._required = required

    async def _connect(self) -> tuple[Any, Any]:
        connection = await self._library.connect(self._address, **self._options)
        try:
            # Without `on_return_raises`, a message that no queue takes counts as published.
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            kind = self._library.ExchangeType.TOPIC
            return connection, await channel.declare_exchange(self._exchange, kind, durable=True)
        except BaseException:
            await connection.close()
            raise

    async def _disconnect(self, connection: tuple[Any, Any]) -> None:
        await connection[0].close()

    async def _failed(self) -> None:
        await self.close()  # an error closes the channel

    async def _publish(self, connection: tuple[Any, Any], event: CloudEvent) -> None:
        message = self._library.Message(
            event.as_json(),
            message_id=event.id,
            type=event.type,
            content_type=event.content_type,
            correlation_id=event.correlationid or None,
            delivery_mode=self._library.DeliveryMode.PERSISTENT,
        )
        await connection[1].publish(message, event.type, mandatory=self._required)


class KafkaSink(BrokerSink[Any]):
    """Publishes to a topic of Kafka: `Outlet("bank", sink=KafkaSink("host:9092", topic="bank"), …)`.

    servers: the addresses of servers, separated by commas.
    topic: the topic. The key is the stream's id, so the events of a stream are in one partition, in order; the header
        `ce_id` is the event's id.
    confirm_s: how many seconds a confirmation by all in-sync replicas may take.
    options: passed to `aiokafka.AIOKafkaProducer`, such as `security_protocol`.

    Raises ConfigurationError without aiokafka, or if an argument is wrong.
    """

    _library_name = "aiokafka"
    _extra = "kafka"
    _connect_name = "AIOKafkaProducer"
    # The sink sets the first three, and sends bytes outside transactions.
    _not_options = frozenset(
        {"bootstrap_servers", "acks", "enable_idempotence", "key_serializer", "value_serializer", "transactional_id"}
        | {"transaction_timeout_ms", "loop", "api_version"}
    )

    def __init__(self, servers: str, *, topic: str, confirm_s: float = _CONFIRM_S, **options: Any) -> None:
        super().__init__(servers, topic, confirm_s, options)
        self._topic = topic

    async def _connect(self) -> Any:
        # All in-sync replicas have an event before it is confirmed, and the producer's own retries do not double it.
        # The producer connects again by itself.
        producer = self._library.AIOKafkaProducer(
            bootstrap_servers=self._address, acks="all", enable_idempotence=True, **self._options
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _disconnect(self, connection: Any) -> None:
        await connection.stop()

    async def _publish(self, connection: Any, event: CloudEvent) -> None:
        headers = {"content-type": event.content_type, "ce_id": event.id, "ce_type": event.type}
        await connection.send_and_wait(
            self._topic,
            event.as_json(),
            key=event.subject.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )


def _options_of(function: Callable[..., Any]) -> set[str]:
    """Return the names of a function's parameters, but not of `**` ones."""
    parameters = signature(function).parameters.values()
    return {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}


def _shown(address: str) -> str:
    """Return an address without its user and password."""
    scheme, separator, rest = address.partition("://") if "://" in address else ("", "", address)
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
