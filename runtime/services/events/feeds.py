"""`ServiceFeeds`: the processors that publish a service's events, and that take other services' events in."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import anyio
import anyio.abc

from actorium.actors.aggregate import Aggregate
from actorium.runtime.cluster.followers import ProcessorFollower
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.component import Component
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import ServiceUnavailable
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.concurrent_delivery import ConcurrentDelivery
from actorium.runtime.processors.processor import Processor
from actorium.runtime.read_side import ReadSide
from actorium.runtime.services.events.inbox import Inbox, InboxCheckpoint
from actorium.runtime.services.events.inbox_reader import InboxReader
from actorium.runtime.services.events.publisher import Publisher
from actorium.runtime.services.service import RemoteService, Service
from actorium.store.errors import DamagedLog


class InboxFollower(ProcessorFollower):
    """An inbox that runs on one node at a time."""

    def __init__(self, inbox: Processor, reader: InboxReader, *, poll_s: float) -> None:
        super().__init__(inbox, None, poll_s=poll_s)
        self._reader = reader

    async def run(self) -> None:
        """Take events in until cancelled."""
        hints = await self._reader.open()
        try:
            await super().run()
        finally:
            with anyio.CancelScope(shield=True):
                await hints.cancel()


class ServiceFeeds(Component):
    """The events of a service, out and in; it starts once commands are accepted and the link is open.

    streams: the class of actors that keeps the events of each other service.
    """

    def __init__(
        self,
        service: Service,
        streams: Mapping[RemoteService, type[Aggregate]],
        dispatcher: Dispatcher,
        reads: ReadSide,
        environment: RuntimeEnvironment,
    ) -> None:
        self._service = service
        self._streams = streams
        self._dispatcher = dispatcher
        self._reads = reads
        self._environment = environment
        self._processors: list[Processor] = []
        self._readers: list[InboxReader] = []
        self._inboxes: list[Inbox] = []

    async def prepare(self) -> None:
        """Create the processors; on a node of a cluster, each runs on one node at a time."""
        reads = self._reads
        if self._service.publishes:
            publisher = self._publisher()
            reads.add(self._service, publisher)
            if not reads.place(publisher):
                reads.log_reader.log_tail.follow(publisher)
                self._processors.append(publisher)
        for remote, stream in self._streams.items():
            reader = InboxReader(remote.name, self._service.bus, self._environment.codec)
            inbox = self._inbox(remote, stream, reader)
            reads.add(remote, inbox)
            if reads.is_on_nodes:
                reads.place_follower(InboxFollower(inbox, reader, poll_s=self._environment.settings.poll_s))
            else:
                self._readers.append(reader)
                self._processors.append(inbox)

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the processors that do not belong to a cluster.

        When it returns, it is stored where the inboxes begin that are new here, unless the bus is away.
        """
        for reader in self._readers:
            await reader.open()
        for inbox in self._inboxes:
            with suppress(ServiceUnavailable, DamagedLog):  # its processor tries again, and reports it
                await inbox.save_start()
        for processor in self._processors:
            tasks.start_soon(processor.run)

    def _publisher(self) -> Processor:
        environment, name = self._environment, self._service.name
        checkpoint = Checkpoint(f"publish {name}", environment.store, self._reads.saving(f"publish {name}"))
        log_reader = self._reads.log_reader
        work = Publisher(self._service, self._service.bus, checkpoint, log_reader, environment.source)
        return Processor(work, work, checkpoint, self._reads.placed_reader, environment, plain_name=f"publish {name}")

    def _inbox(self, remote: RemoteService, stream: type[Aggregate], reader: InboxReader) -> Processor:
        environment, settings = self._environment, self._environment.settings
        name = f"inbox {remote.name}"
        checkpoint = InboxCheckpoint(name, environment.store, self._reads.saving(name))
        work = Inbox(
            remote,
            stream,
            reader,
            checkpoint,
            self._dispatcher,
            environment.store,
            environment.source,
            settings.default_timeout_s,
        )
        if not self._reads.is_on_nodes:
            self._inboxes.append(work)
        delivery = ConcurrentDelivery(
            work, checkpoint, settings.handler_retry, environment.source, environment.is_stopping
        )
        return Processor(work, delivery, checkpoint, reader, environment, plain_name=name, lane=work.lane)
