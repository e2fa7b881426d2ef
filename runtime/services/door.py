"""`Door`: takes commands of other services in, and answers them.

Everything that it refuses, it refuses before the command costs more than its decoding: a command that is not accepted
here, or not from that service, one over the service's rate or window, one whose time is over.

A command may arrive in several copies. While one is carried out, or if one was refused or had nothing to do, the others
are not carried out: its sender may have been told that nothing was done. One that took effect is known by its id. The
nodes of a cluster have a door each: its reply says that it is about the copies that arrived here.

Invariants: each command that is let in is answered once, or as often as it has arrived if nothing was done for lack of
room or time, or on a node, because its sender waits until every copy was answered; a service has at most
`max_in_flight` commands here at a time; an id that another runtime derived is stored with that service's name in it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from actorium.actors.commands import Ack, Command, checked_id, command_type_of
from actorium.actors.envelope import Envelope
from actorium.actors.errors import CommandFailed, NotAllowed
from actorium.actors.fingerprint import NOT_DONE
from actorium.runtime.bus.bus import Bus, BusMessage
from actorium.runtime.commands.answer_batch import Answer
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.errors import Overloaded
from actorium.runtime.messages.answers import answer_of
from actorium.runtime.messages.frames import (
    COPIES_MAX,
    AnswerMessage,
    AskMessage,
    BusyMessage,
    decode_frame,
    encode_message,
)
from actorium.runtime.messages.gathering import FrameSender
from actorium.runtime.services.rate_limit import RateLimit
from actorium.runtime.services.service import Service
from actorium.runtime.services.subjects import VOID, event_id_of_elsewhere, id_of_elsewhere, sender_of
from actorium.runtime.services.voided import VOIDED, VoidCommand, VoidedCommand
from actorium.store.errors import InvalidCommand, OutcomeUnknown, Unavailable
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through, text_of
from actorium.store.wording import counted

log = logger("actorium.services")

_ASKERS_MAX = 1_000
_GUESTS_MAX = 1_000
COPIES_KNOWN = 16_384
"""How many commands without an effect are remembered; a later copy of an older one is carried out again."""
_BUSY_S = 0.1
_COPY_BYTES = 16  # room for the number of the copy in a reply
# The rest of a command's time is for the way of its reply.
_PART_HERE = 0.9
_VOID_HANDLER = VoidedCommand.__definition__.handlers[VoidCommand]
_decode_reply = msgspec.json.Decoder(AnswerMessage | BusyMessage).decode
Deliver = Callable[[Envelope], Awaitable[Ack]]


class _Asker:
    """One process that asks: where its replies go."""

    def __init__(self, sender: FrameSender) -> None:
        self.sender = sender
        self.task = asyncio.get_running_loop().create_task(sender.run())


class _Guest:
    """One service that asks: its limits."""

    def __init__(self, rate: RateLimit | None, max_in_flight: int) -> None:
        self.rate = rate
        self.max_in_flight = max_in_flight
        self.in_flight = 0


class Door:
    """The way in for commands of other services.

    deliver: carries out an envelope through the middleware; None if there is none.
    is_on_node: whether other nodes of the service have doors, too.
    """

    def __init__(
        self, service: Service, bus: Bus, dispatcher: Dispatcher, deliver: Deliver | None, *, is_on_node: bool = False
    ) -> None:
        self._service = service
        self._bus = bus
        self._dispatcher = dispatcher
        self._deliver = deliver
        self._is_on_node = is_on_node
        self._loop = asyncio.get_running_loop()
        self._commands: dict[str, type[Command]] = {command_type_of(one): one for one in service.accepts}
        self._guests: dict[str, _Guest] = {}
        self._askers: OrderedDict[str, _Asker] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        # By the sender's address and number: the reply to a command without an effect, or which copies have arrived of
        # one that is carried out now, one bit for each.
        self._copies: OrderedDict[tuple[str, int], bytes | int] = OrderedDict()
        self._in_flight = 0
        self._idle: asyncio.Future[None] | None = None
        self.asked = self.refused = 0

    def take(self, message: BusMessage) -> None:
        """Take one frame in."""
        guest = sender_of(message.subject)
        try:
            frame = decode_frame(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("frame_unreadable", service=guest, error=text_of(error))
            return
        reply_to = message.reply.rpartition(".")[0]
        for ask in frame.messages:
            if isinstance(ask, AskMessage):
                self.asked += 1
                self._take(guest, ask, reply_to)

    def connected(self) -> None:
        """Send replies in messages that the bus takes."""
        for asker in self._askers.values():
            asker.sender.limit_frames(self._bus.largest_message)

    async def close(self) -> None:
        """Return when every command that was let in is answered."""
        while self._in_flight:
            self._idle = self._loop.create_future()
            await self._idle
        for asker in self._askers.values():
            await asker.sender.sent()

    @property
    def in_flight(self) -> dict[str, int]:
        """The number of commands that were let in and are not answered, by the service that sent them."""
        return {name: guest.in_flight for name, guest in self._guests.items()}

    def end(self) -> None:
        """Stop the tasks."""
        for task in [*self._tasks, *(asker.task for asker in self._askers.values())]:
            task.cancel()

    # --- one command ----------------------------------------------------------------------------------------------

    def _take(self, name: str, ask: AskMessage, reply_to: str) -> None:
        key = (reply_to, ask.number)
        known = self._copies.get(key)
        if known is not None:
            if isinstance(known, int):
                self._copies[key] = known | 1 << ask.copy - 1
            else:
                self._sender_to(reply_to).add(self._for_copy(known, ask.copy))
            return
        self._remember(key, 1 << ask.copy - 1)
        try:
            guest = self._guests.get(name) or self._new_guest(name)
            self._require_room(guest, name)
            envelope = self._void(name, ask) if ask.type == VOID else self._envelope(name, ask)
        except BaseException as raised:
            let_through(raised)
            self.refused += 1
            self._reply(ask, "", raised, reply_to)
            return
        guest.in_flight += 1
        self._in_flight += 1
        done = partial(self._done, guest, envelope.stream_type, ask, reply_to)
        if self._deliver is None or ask.type == VOID:
            try:
                self._dispatcher.admission.require_time(envelope.timeout_s)
                if self._dispatcher.ask_nowait(envelope, partial(_told, done)) is not None:
                    return
            except BaseException as raised:
                let_through(raised)
                done(raised)
                return
        task = self._loop.create_task(self._wait(envelope, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _new_guest(self, name: str) -> _Guest:
        """Note a service that asks for the first time; over the limit, forget those that have nothing under way."""
        if len(self._guests) >= _GUESTS_MAX:
            self._guests = {known: guest for known, guest in self._guests.items() if guest.in_flight}
        if len(self._guests) >= _GUESTS_MAX:
            raise Overloaded(f"{self._service.name} serves {_GUESTS_MAX} services already", retry_after_s=_BUSY_S)
        rate = self._service.rate_limit_of(name)
        guest = self._guests[name] = _Guest(
            None if rate is None else RateLimit(rate, self._loop.time), self._service.max_in_flight_of(name)
        )
        return guest

    def _require_room(self, guest: _Guest, name: str) -> None:
        if guest.in_flight >= guest.max_in_flight:
            raise Overloaded(
                f"{self._service.name} carries out {counted(guest.in_flight, 'command')} of {name} already (the limit "
                "max_in_flight)",
                retry_after_s=_BUSY_S,
            )
        rate = guest.rate
        wait_s = rate.wait_s() if rate is not None else 0.0
        if rate is not None and wait_s:
            raise Overloaded(
                f"{name} sends more than {rate.per_s:g} commands per second to {self._service.name} (the limit "
                "rate_limit)",
                retry_after_s=wait_s,
            )

    def _envelope(self, name: str, ask: AskMessage) -> Envelope:
        command_class = self._commands.get(ask.type)
        if command_class is None:
            raise NotAllowed(f"{self._service.name} does not accept {ask.type}: see Service(accepts=…)")
        senders = self._service.accepts[command_class]
        if senders is not None and name not in senders:
            raise NotAllowed(f"{self._service.name} does not accept {ask.type} from {name}: see Service(accepts=…)")
        try:
            command = msgspec.json.decode(ask.fields, type=command_class)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidCommand(f"{ask.type} of {name} does not fit {self._service.name}: {error}") from error
        return self._dispatcher.envelope(
            command,
            id_of_elsewhere(name, ask.command_id),
            ask.expected_version,
            ask.correlation_id or ask.command_id,
            event_id_of_elsewhere(name, ask.causation_id),
            ask.headers,
            ask.time_left_s * _PART_HERE,
        )

    def _void(self, name: str, ask: AskMessage) -> Envelope:
        """Return the envelope that takes a command's id, so that the command can no longer take effect."""
        id = str(id_of_elsewhere(name, checked_id(ask.command_id, "command_id")))
        return Envelope(
            VOIDED,
            id,
            VoidCommand(id, name),
            _VOID_HANDLER,
            command_id=id,
            known_fingerprint=NOT_DONE,
            fresh=False,
            correlation_id=ask.correlation_id,
            causation_id=event_id_of_elsewhere(name, ask.causation_id),
            timeout_s=ask.time_left_s * _PART_HERE,
        )

    async def _wait(self, envelope: Envelope, done: Callable[[Ack | BaseException], None]) -> None:
        """Carry a command out that must wait for room, or pass middleware."""
        deliver = self._deliver or self._dispatcher.ask
        outcome: Ack | BaseException = CommandFailed("the runtime ended before the command was carried out")
        try:
            outcome = await deliver(envelope)
        except BaseException as raised:
            outcome = raised
            let_through(raised)
        finally:
            done(outcome)

    def _done(
        self, guest: _Guest, stream_type: str, ask: AskMessage, reply_to: str, outcome: Ack | BaseException
    ) -> None:
        guest.in_flight -= 1
        self._in_flight -= 1
        if not self._in_flight and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._reply(ask, stream_type, outcome, reply_to)

    # --- replies --------------------------------------------------------------------------------------------------

    def _reply(self, ask: AskMessage, stream_type: str, outcome: Ack | BaseException, reply_to: str) -> None:
        if isinstance(outcome, asyncio.CancelledError) or not reply_to:
            self._copies.pop((reply_to, ask.number), None)
            return
        if isinstance(outcome, Ack) and outcome.command_id != ask.command_id:
            outcome = msgspec.structs.replace(outcome, command_id=ask.command_id)
        reply = answer_of(ask.number, stream_type, outcome, with_events=ask.with_events)
        sender = self._sender_to(reply_to)
        encoded = encode_message(reply)
        if len(encoded) + _COPY_BYTES > sender.largest_message:
            encoded = encode_message(_shortened(reply))
        key = (reply_to, ask.number)
        arrived = self._copies.pop(key, 1)
        if arrived == 1 or not isinstance(arrived, int):
            sender.add(encoded)
        else:
            copies = [copy for copy in range(1, COPIES_MAX + 1) if arrived >> copy - 1 & 1]
            for copy in copies if self._is_on_node or isinstance(outcome, Unavailable) else copies[-1:]:
                sender.add(self._for_copy(encoded, copy))
        if not (outcome.events if isinstance(outcome, Ack) else isinstance(outcome, OutcomeUnknown)):
            self._remember(key, encoded)

    def _for_copy(self, reply: bytes, copy: int) -> bytes:
        """Return an encoded reply as the one to a copy of its command."""
        answered = -copy if self._is_on_node else copy
        return encode_message(msgspec.structs.replace(_decode_reply(reply), copy=answered))

    def _remember(self, key: tuple[str, int], known: bytes | int) -> None:
        self._copies[key] = known
        if len(self._copies) > COPIES_KNOWN:
            self._copies.popitem(last=False)

    def _sender_to(self, reply_to: str) -> FrameSender:
        asker = self._askers.get(reply_to)
        if asker is None:
            sender = FrameSender(
                self._service.name, partial(self._bus.publish, reply_to), max_bytes=self._bus.largest_message
            )
            asker = self._askers[reply_to] = _Asker(sender)
            while len(self._askers) > _ASKERS_MAX:
                self._askers.popitem(last=False)[1].task.cancel()
        else:
            self._askers.move_to_end(reply_to)
        return asker.sender


def _told(done: Callable[[Ack | BaseException], None], answer: Answer) -> None:
    """Pass on the reply to a command that was delivered without a task."""
    if answer.cancelled():
        done(asyncio.CancelledError())
        return
    error = answer.exception()
    done(answer.result() if error is None else error)


def _shortened(reply: object) -> AnswerMessage:
    """Return a reply that fits into a frame: an acknowledgement without its events, an error without its fields."""
    assert isinstance(reply, AnswerMessage), "only an answer can be too large"
    if reply.ack is not None:
        return AnswerMessage(reply.number, ack=msgspec.structs.replace(reply.ack, events=()))
    assert reply.error is not None, "an answer holds an acknowledgement or an error"
    log.warning("answer_shortened", error=error_text(ValueError(reply.error.message[:100])))
    return AnswerMessage(
        reply.number, error=msgspec.structs.replace(reply.error, message=reply.error.message[:1_000], fields={})
    )
