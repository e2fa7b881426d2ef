"""`ServiceLink`: connects a runtime, or a client, with the other services on a bus.

It opens and closes the bus, tells others what this service offers and uses, and passes what comes in to where it
belongs: frames with commands to the door, replies to the peer that asked, contracts to the comparison. Questions about
logs go their own way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Sized

import anyio
import anyio.abc
import msgspec

from actorium.actors.commands import Ack, Command, CommandCodec, checked_headers, checked_text
from actorium.actors.envelope import Envelope
from actorium.runtime.arguments import checked_count
from actorium.runtime.bus.bus import Bus, BusMessage, BusSubscription
from actorium.runtime.commands.derived_ids import checked_command_id
from actorium.runtime.component import Component
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.messages.frames import AskMessage, decode_frame
from actorium.runtime.services.contracts import Contract, contract_of, problems_between
from actorium.runtime.services.door import Door
from actorium.runtime.services.namesakes import Meeting, Namesakes
from actorium.runtime.services.peer import Peer
from actorium.runtime.services.questions import Questions
from actorium.runtime.services.service import RemoteService, Service
from actorium.runtime.services.statistics import GuestStatistics, ServiceStatistics
from actorium.runtime.services.subjects import HELLO, asks_to, replies_to
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.events import as_json
from actorium.store.log import logger
from actorium.store.raised import text_of
from actorium.store.source import Source

log = logger("actorium.services")

LISTENERS_MAX = 1_000
"""So many services that take events of this one in are known at a time; others are not asked about their logs."""


class Hello(msgspec.Struct, frozen=True):
    """A service that says what it offers and uses; `asks` whether others are to do the same.

    has_log: whether it has a log, which a client does not.
    instance: the process.
    meeting: what it says about its log to another process with its name.
    """

    contract: Contract
    asks: bool
    has_log: bool = True
    instance: str = ""
    meeting: Meeting | None = None


_decode_hello = msgspec.json.Decoder(Hello).decode


class ServiceLink(Component):
    """The connection of one process to the other services.

    service: what this runtime offers; None for a client, which offers nothing.
    name: the name under which it asks.
    """

    def __init__(
        self,
        bus: Bus,
        service: Service | None,
        name: str,
        remotes: Sequence[RemoteService],
        codec: EventCodec,
        source: Source,
    ) -> None:
        self._bus = bus
        self._service = service
        self._name = name
        self._source = source
        self._instance = source.new_id()
        self._contract = contract_of(service, name, remotes)
        self._remotes = remotes
        self._codec = codec
        self._codecs = {
            command: (remote.name, CommandCodec(command, remote.name))
            for remote in remotes
            for command in remote.commands.values()
        }
        self._peers: dict[str, Peer] = {}
        self._by_command: dict[type[Command], Peer] = {}
        self._door: Door | None = None
        self._namesakes: Namesakes | None = None
        self._asks: BusSubscription | None = None
        self._ended = asyncio.Event()
        self._is_open = False
        self._problems: dict[str, list[str]] = {}
        self._listeners: dict[str, frozenset[str]] = {}
        self.questions = Questions(bus, name, self._instance, self._exchanges_with)

    def let_in(self, door: Door, store: EventStore) -> None:
        """Take commands of other services in through a door, from the start of this component on.

        store: the log, of which there is one under this service's name.
        """
        self._door = door
        now_us = self._source.now_us()
        self._namesakes = Namesakes(self._name, self._instance, store, now_us, self._meet, self._give_way)

    @property
    def service(self) -> Service:
        """What this runtime offers."""
        assert self._service is not None, "a client offers nothing"
        return self._service

    @property
    def peers(self) -> Mapping[str, Peer]:
        """The other services by name."""
        return self._peers

    @property
    def listeners(self) -> Mapping[str, frozenset[str]]:
        """The services that were on the bus and take events of this one in, with the types of these events."""
        return self._listeners

    def _exchanges_with(self, name: str) -> bool:
        """Return whether another service may cause anything here: by its events, or by a command."""
        if self._service is None:
            return False
        senders = self._service.accepts.values()
        return name in self._peers or any(names is None or name in names for names in senders)

    @property
    def commands(self) -> Mapping[str, type[Command]]:
        """The commands of other services by their stable names."""
        return {name: command for remote in self._remotes for name, command in remote.commands.items()}

    def service_of(self, command_type: str) -> str:
        """Return the name of the service that handles a command; empty if none of them does."""
        return next((remote.name for remote in self._remotes if command_type in remote.commands), "")

    def handles(self, command_class: type[Command]) -> bool:
        """Return whether another service handles a command."""
        return command_class in self._codecs

    def refuse_waiting(self, command: Command, wait_for: Sized) -> None:
        """Raise ConfigurationError if a sender wants to wait for projections, which are not those of the service."""
        if wait_for:
            raise ConfigurationError(
                f"send({type(command).__name__}, wait_for=…): another service handles it, whose events no projection "
                "here is waiting for; leave wait_for out"
            )

    def envelope(
        self,
        command: Command,
        command_id: str | None,
        expected_version: int | None,
        correlation_id: str,
        causation_id: str,
        headers: Mapping[str, str] | None,
        timeout_s: float,
    ) -> Envelope:
        """Return a checked copy of a command for another service in an envelope; its `stream_type` is the service.

        Raises InvalidCommand for a wrong value.
        """
        service, codec = self._codecs[type(command)]
        copy, encoded = codec.admit(command, self._bus.largest_message)
        if expected_version is not None:
            checked_count(expected_version, "expected_version", "a version, or 0 for an empty stream")
        return Envelope(
            service,
            copy.to,
            copy,
            None,
            command_id=self._source.new_id() if command_id is None else checked_command_id(command_id),
            known_fingerprint=codec.fingerprint(copy, encoded),
            fresh=command_id is None,
            correlation_id=checked_text(correlation_id, "correlation_id"),
            causation_id=checked_text(causation_id, "causation_id"),
            headers=checked_headers(headers),
            expected_version=expected_version,
            timeout_s=timeout_s,
        )

    def require_time(self, command_class: type[Command], timeout_s: float) -> None:
        """Refuse a command that would be answered too late, before it has cost anything; raise Overloaded."""
        self._by_command[command_class].require_time(timeout_s)

    # --- the phases of a component --------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Connect with the bus; return after a short wait if it is away."""
        for remote in self._remotes:
            peer = self._peers[remote.name] = Peer(remote, self._bus, self._name, self._instance, self._codec)
            self._by_command.update(dict.fromkeys(remote.commands.values(), peer))
        await self._bus.subscribe(f"{replies_to(self._name, self._instance)}.>", self._take_reply)
        await self._bus.subscribe(HELLO, self._take_hello)
        if self._service is not None:
            await self.questions.prepare()
        await self._bus.open(self._name, self)
        self._is_open = True
        self._greet(asks=True)

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Send and take commands from now on."""
        for peer in self._peers.values():
            tasks.start_soon(peer.run)
        tasks.start_soon(self._run)
        if self._door is not None and self._service is not None:
            self._asks = await self._bus.subscribe(asks_to(self._name, "*"), self._take_asks, group=self._name)
            await self.questions.start()
            if self._namesakes is not None and self._namesakes.gives_way:
                await self._give_way()

    async def stop(self) -> None:
        """Take no more commands, and answer those that were let in."""
        await self._give_way()
        if self._door is not None:
            await self._door.close()

    async def _give_way(self) -> None:
        """Take no more commands and questions of other services."""
        if self._asks is not None:
            await self._asks.cancel()
        await self.questions.stop()

    async def _run(self) -> None:
        """Close everything when the runtime ends."""
        try:
            await self._ended.wait()
        finally:
            closed = RuntimeClosed(f"{self._name} is stopping or has stopped")
            for peer in self._peers.values():
                peer.close(closed)
            if self._door is not None:
                self._door.end()
            self.questions.end()
            if self._namesakes is not None:
                self._namesakes.end()
            with anyio.CancelScope(shield=True):
                await self._bus.close()

    # --- commands to others ---------------------------------------------------------------------------------------

    async def send(self, envelope: Envelope) -> Ack:
        """Send a command to the service that handles it."""
        assert envelope.command is not None, "only commands are sent to other services"
        return await self._by_command[type(envelope.command)].send(envelope)

    async def void(self, service: str, command_id: str, causation_id: str, timeout_s: float) -> bool:
        """Have a service record that a command did not happen; return False if it did."""
        return await self._peers[service].void(command_id, causation_id, timeout_s)

    # --- what comes in --------------------------------------------------------------------------------------------

    def _take_asks(self, message: BusMessage) -> None:
        assert self._door is not None, "who subscribes has a door"
        if self._namesakes is not None and self._namesakes.is_undecided:
            self._namesakes.compare_again()
        self._door.take(message)

    def _take_reply(self, message: BusMessage) -> None:
        _, service, number = message.subject.rsplit(".", 2) if not message.data else ("", "", "")
        if not message.data:
            peer = self._peers.get(service)
            if peer is not None and number.isdecimal():
                peer.undelivered(int(number))
            return
        try:
            frame = decode_frame(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("frame_unreadable", subject=message.subject, error=text_of(error))
            return
        peer = self._peers.get(frame.sender)
        if peer is not None:
            for reply in frame.messages:
                if not isinstance(reply, AskMessage):
                    peer.take(reply)

    def connected(self) -> None:
        """Send what may have been lost again, and tell others what this service offers and uses."""
        for peer in self._peers.values():
            peer.connected()
        if self._door is not None:
            self._door.connected()
        if self._is_open:
            self._greet(asks=True)

    def disconnected(self) -> None:
        """Do nothing: commands are refused while the bus is away, and repeated once it is back."""

    def lost(self, what: str) -> None:
        """Send every unanswered command again: its reply may be among what was lost."""
        log.error("bus_messages_lost", service=self._name, reason=what)
        for peer in self._peers.values():
            peer.asker.repeat_all()

    # --- contracts ------------------------------------------------------------------------------------------------

    def _greet(self, *, asks: bool) -> None:
        if self._namesakes is not None and self._namesakes.gives_way:
            return  # so that the other application with this name can start again
        hello = Hello(self._contract, asks, self._service is not None, self._instance)
        task = asyncio.get_running_loop().create_task(self._publish_hello(hello))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _meet(self, meeting: Meeting) -> None:
        """Say something to another process with the name of this service."""
        await self._publish_hello(Hello(Contract(self._name), False, instance=self._instance, meeting=meeting))

    async def _publish_hello(self, hello: Hello) -> None:
        data = as_json(hello)
        largest = self._bus.largest_message
        if len(data) > largest:
            log.error(
                "contract_not_sent",
                service=self._name,
                reason=f"it takes {len(data)} bytes, but a message on {self._bus.describe()} may take {largest}",
                remedy="raise the limit of the bus; until then, contracts are not compared",
            )
            return
        await self._bus.publish(HELLO, data)

    def _take_hello(self, message: BusMessage) -> None:
        try:
            hello = _decode_hello(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("hello_unreadable", error=text_of(error))
            return
        other = hello.contract
        if other.service == self._name:
            if self._namesakes is not None and hello.has_log and (hello.asks or hello.meeting is not None):
                self._namesakes.heard(hello.instance, hello.meeting)
            return
        if hello.meeting is not None:
            return
        peer = self._peers.get(other.service)
        if peer is not None:
            peer.met(problems_between(self._contract, other))
        if self._name in other.uses:
            self._compared(other)
            self._listeners.pop(other.service, None)
            if hello.has_log and other.uses[self._name].events and len(self._listeners) < LISTENERS_MAX:
                self._listeners[other.service] = frozenset(other.uses[self._name].events)
        if hello.asks and (peer is not None or self._name in other.uses):
            self._greet(asks=False)

    def _compared(self, user: Contract) -> None:
        """Say what another service uses of this one that does not fit, once for each change of it."""
        reasons = [one.reason for one in problems_between(user, self._contract)]
        if reasons and reasons != self._problems.get(user.service):
            log.error("contracts_differ", service=user.service, problems=reasons)
        self._problems[user.service] = reasons

    def statistics(self) -> ServiceStatistics:
        """Return the current state of the connections."""
        in_flight = self._door.in_flight if self._door is not None else {}
        guests = [
            GuestStatistics(name=name, in_flight=in_flight.get(name, 0), problems=tuple(self._problems.get(name, ())))
            for name in sorted(in_flight.keys() | self._problems.keys())
        ]
        return ServiceStatistics(
            name=self._name,
            bus=self._bus.describe(),
            is_connected=self._bus.is_connected,
            asked=self._door.asked if self._door is not None else 0,
            refused=self._door.refused if self._door is not None else 0,
            peers=tuple(peer.statistics() for peer in self._peers.values()),
            guests=tuple(guests),
            problem=self._namesakes.problem if self._namesakes is not None else "",
        )


def linked(
    service: Service | None, remotes: Sequence[RemoteService], codec: EventCodec, source: Source
) -> ServiceLink | None:
    """Return the link of a runtime; None if it has nothing to do with other services.

    Raises ConfigurationError for other services without a bus that leads to them.
    """
    if service is not None:
        return ServiceLink(service.bus, service, service.name, remotes, codec, source)
    if remotes:
        raise ConfigurationError(
            f"{remotes[0]!r} is a part of a runtime without a service: add service=Service(…, bus=…) to Runtime(…)"
        )
    return None
