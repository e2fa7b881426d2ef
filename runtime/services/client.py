"""`Client`: sends commands to services from a program that has no log of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

import anyio

from actorium.actors.commands import Ack, Command
from actorium.runtime.arguments import checked_timeout_s
from actorium.runtime.bus.bus import Bus
from actorium.runtime.bus.urls import open_bus
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.services.link import ServiceLink
from actorium.runtime.services.service import RemoteService, checked_name
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError
from actorium.store.source import Source, SystemSource

_TIMEOUT_S = 30.0


class Client:
    """Sends commands to services over a bus: `async with Client("nats://localhost:4222", [customers]) as client: …`.

    bus: a URL, or a Bus.
    services: the services and their commands; the events of an acknowledgement are those that they list.
    name: the name under which it asks, for `Service(accepts={…})`.
    timeout_s: how long `send` waits by default, in seconds.
    source: provides ids; leave it out except in tests.

    Raises ConfigurationError for an invalid argument.
    """

    def __init__(
        self,
        bus: str | Bus,
        services: Sequence[RemoteService],
        *,
        name: str = "client",
        timeout_s: float = _TIMEOUT_S,
        source: Source | None = None,
    ) -> None:
        names: set[str] = set()
        for one in services:
            if not isinstance(one, RemoteService):
                raise ConfigurationError(f"Client(…, services=[{one!r}]): give RemoteService objects")
            if one.name in names:
                raise ConfigurationError(f"Client(…): {one!r} is given twice: put what is used of it in one")
            names.add(one.name)
        codec = EventCodec(event for one in services for event in one.events.values())
        self._link = ServiceLink(
            open_bus(bus), None, checked_name(name, f"Client(name={name!r})"), services, codec, source or SystemSource()
        )
        self._timeout_s = checked_timeout_s(timeout_s)
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._run(started), name="actorium client")
        await asyncio.wait((started, self._running), return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            await self._running
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stop.set()
        if self._running is not None:
            await asyncio.wait((self._running,))

    async def send(
        self,
        command: Command,
        *,
        command_id: str | None = None,
        timeout_s: float | None = None,
        expected_version: int | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Ack:
        """Send a command to the service that handles it, and return its acknowledgement.

        command_id: a command sent again with the same id takes effect only once.
        timeout_s: how long to wait, in seconds.
        expected_version: the version that the stream must have.
        correlation_id, causation_id, headers: stored with the events.

        Raises the errors of `Runtime.send`; ServiceUnavailable means that nothing was done.
        """
        if self._running is None or self._running.done():
            raise RuntimeClosed("the client is not open: use it inside `async with Client(…)`")
        if not self._link.handles(type(command)):
            raise ConfigurationError(
                f"no service of this client handles {type(command).__name__}: add it to RemoteService(…, commands=[…])"
            )
        timeout_s = self._timeout_s if timeout_s is None else checked_timeout_s(timeout_s)
        self._link.require_time(type(command), timeout_s)
        metadata = (correlation_id, causation_id, headers)
        return await self._link.send(self._link.envelope(command, command_id, expected_version, *metadata, timeout_s))

    async def _run(self, started: asyncio.Future[None]) -> None:
        async with anyio.create_task_group() as tasks:
            await self._link.prepare()
            await self._link.start(tasks)
            started.set_result(None)
            await self._stop.wait()
            tasks.cancel_scope.cancel()
