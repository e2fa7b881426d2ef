"""`ServiceFeeds`: the processors that publish a service's events, and that take other services' events in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import anyio
import anyio.abc

from actorium.actors.aggregate import Aggregate
from actorium.runtime.cluster.followers import FirstStart, ProcessorFollower
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
from actorium.store.log import logger
from actorium.store.raised import error_text

log = logger("actorium.services")


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
        self._inboxes_from_now: list[Inbox] = []
        self._late: set[str] = set()  # inboxes that begin when the bus is back

    async def prepare(self) -> None:
        """Create the processors, and store where inboxes begin that are new; the link has opened the bus.

        On a node of a cluster, each processor runs on one node at a time.
        """
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
        await self._save_starts()

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the processors that do not belong to a cluster."""
        for reader in self._readers:
            await reader.open()
        for processor in self._processors:
            tasks.start_soon(processor.run)

    async def _save_starts(self) -> None:
        """Store where inboxes begin that are new here and leave out what was published before now.

        A crash must not let them begin later, behind events that were published when this process served already. If
        the bus is away, the processor of the inbox stores it as soon as the bus is back.
        """
        starts = {
            inbox.name: FirstStart(partial(self._may_save, inbox), partial(self._save_start, inbox))
            for inbox in self._inboxes_from_now
        }
        first_starts = self._reads.first_starts
        if first_starts is None:
            for start in starts.values():
                if await start.is_new():
                    await start.save()
        elif starts:
            for name in await first_starts.save(starts):
                self._begins_late(name, "another node has the inbox and has not stored where it begins")

    async def _may_save(self, inbox: Inbox) -> bool:
        return inbox.name not in self._late and await inbox.is_new()

    async def _save_start(self, inbox: Inbox) -> None:
        try:
            await inbox.save_start()
        except (ServiceUnavailable, DamagedLog) as error:
            self._begins_late(inbox.name, error_text(error))

    def _begins_late(self, name: str, reason: str) -> None:
        self._late.add(name)
        log.warning(
            "inbox_begins_late",
            inbox=name,
            reason=reason,
            effect="it begins where the stream ends when its end can be read, and leaves out what is published by then",
        )

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
        if remote.start == "now":
            self._inboxes_from_now.append(work)
        delivery = ConcurrentDelivery(
            work, checkpoint, settings.handler_retry, environment.source, environment.is_stopping
        )
        return Processor(work, delivery, checkpoint, reader, environment, plain_name=name, lane=work.lane)
