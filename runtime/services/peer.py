"""`Peer`: another service as seen from here: commands go out to it, replies come back.

Invariants: while the bus is away, the circuit is open or the contracts do not fit, nothing is sent and the caller is
told so; a command has the same id in every copy; the outcome of each command counts for the circuit once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from actorium.actors.commands import Ack, command_type_of
from actorium.actors.envelope import Envelope
from actorium.actors.errors import CommandConflict, NotAllowed
from actorium.runtime.bus.bus import Bus
from actorium.runtime.errors import CommandTimeout, ServiceUnavailable
from actorium.runtime.messages.answers import outcome_of
from actorium.runtime.messages.asker import Asker, UnsettledReply
from actorium.runtime.messages.frames import AskMessage, MovedMessage, Reply, decode_frame
from actorium.runtime.messages.gathering import FrameSender
from actorium.runtime.messages.window import Window
from actorium.runtime.services.circuit import Circuit
from actorium.runtime.services.contracts import Misfit
from actorium.runtime.services.service import RemoteService
from actorium.runtime.services.statistics import PeerStatistics
from actorium.runtime.services.subjects import VOID, asks_to, replies_to
from actorium.store.codec import EventCodec
from actorium.store.errors import ActoriumError, CommitUnknown, ConfigurationError
from actorium.store.events import as_json
from actorium.store.log import logger
from actorium.store.raised import error_text

log = logger("actorium.services")

# Frames that may still be reported as undeliverable.
_FRAMES_KEPT = 32
_NOTHING = msgspec.Raw(b"null")


class Peer:
    """One other service.

    name: the name of this service, under which it asks.
    instance: tells the processes of this service apart.
    codec: reads the events of acknowledgements.
    """

    def __init__(self, remote: RemoteService, bus: Bus, name: str, instance: str, codec: EventCodec) -> None:
        loop = asyncio.get_running_loop()
        self.remote = remote
        self._bus = bus
        self._codec = codec
        self._asks_to = asks_to(remote.name, name)
        self._reply_to = replies_to(name, instance)
        self._frame_number = 0
        self._frames: OrderedDict[int, bytes] = OrderedDict()
        self._sender = FrameSender(name, self._send_frame, max_bytes=bus.largest_message)
        self.circuit = Circuit(remote.name, loop.time)
        self._window = Window(remote.name, max_asks=remote.max_unanswered)
        self.asker = Asker(remote.name, self._window, self._sender)
        self._is_known = False
        self._problems: dict[str, Misfit] = {}
        self._reads_events = bool(remote.events)

    async def run(self) -> None:
        """Send frames until cancelled."""
        await self._sender.run()

    def connected(self) -> None:
        """Send what may have been lost again, in messages that the bus takes."""
        self._sender.limit_frames(self._bus.largest_message)
        self.asker.repeat_all()

    # --- commands -------------------------------------------------------------------------------------------------

    def require_time(self, timeout_s: float) -> None:
        """Refuse a command that would be answered too late; raise Overloaded."""
        self._window.require_time(timeout_s)

    async def send(self, envelope: Envelope) -> Ack:
        """Send a command, and return its acknowledgement or raise its error.

        Raises ServiceUnavailable if nothing was sent, or if the message reached nobody.
        """
        assert envelope.command is not None, "only commands are sent to other services"
        name = command_type_of(type(envelope.command))
        if (problem := self._problems.get(name)) is not None:
            kind = NotAllowed if problem.is_refused else ConfigurationError
            advice = "see its Service(accepts=…)" if problem.is_refused else "change one of the two, and deploy it"
            raise kind(f"{name} was not sent to {self.remote.name}: {problem.reason}; {advice}")
        return await self._ask(
            AskMessage(
                self.asker.next_number(),
                name,
                msgspec.Raw(as_json(envelope.command)),
                envelope.command_id,
                envelope.timeout_s,
                fresh=envelope.fresh,
                correlation_id=envelope.correlation_id,
                causation_id=envelope.causation_id,
                headers=envelope.headers,
                expected_version=envelope.expected_version,
                with_events=self._reads_events,
            )
        )

    async def void(self, command_id: str, causation_id: str, timeout_s: float) -> bool:
        """Have it recorded there that a command did not happen; return False if it did.

        Raises the errors of `send`: then it is not known.
        """
        try:
            await self._ask(
                AskMessage(self.asker.next_number(), VOID, _NOTHING, command_id, timeout_s, causation_id=causation_id)
            )
        except CommandConflict:
            return False
        return True

    async def _ask(self, ask: AskMessage) -> Ack:
        if not self._bus.is_connected:
            raise ServiceUnavailable(
                f"{ask.type} was not sent to {self.remote.name}: the bus {self._bus.describe()} is not connected; "
                "start its server, or send again later",
                service=self.remote.name,
            )
        self.circuit.require_closed()
        try:
            reply = await self.asker.ask(ask)
        except UnsettledReply as unsettled:
            self.circuit.answered()
            return await self._settled(ask, unsettled)
        except CommandTimeout:
            self.circuit.failed()
            raise
        except BaseException:
            self.circuit.left()
            raise
        self.circuit.answered()
        assert not isinstance(reply, MovedMessage), "only nodes of one service redirect commands"
        return outcome_of(reply, self._codec)

    async def _settled(self, ask: AskMessage, unsettled: UnsettledReply) -> Ack:
        """Return or raise a reply that says that nothing was done, once no other message of it can take effect.

        An id that was generated here is taken in the log of the other service: nobody can send the command again. One
        that the caller has chosen stays free, because the command may be sent again under it, and may then succeed. So
        its outcome is unknown.
        """
        ack: Ack | None = None
        refusal: Exception | None = None
        try:
            ack = outcome_of(unsettled.reply, self._codec)
        except CommandConflict:
            raise  # the id is taken, so nothing can take effect under it
        except ActoriumError as error:
            refusal = error
        trouble = refusal
        if ask.fresh:
            try:
                is_void = await self.void(ask.command_id, ask.causation_id, _left_s(unsettled))
                if not is_void:  # another message took effect, and its reply is repeated
                    again = msgspec.structs.replace(ask, fresh=False, time_left_s=_left_s(unsettled))
                    return await self._ask(msgspec.structs.replace(again, number=self.asker.next_number()))
                if refusal is None and ack is not None:
                    return ack
            except ActoriumError as error:
                trouble = error
            else:
                assert refusal is not None, "a reply is an acknowledgement or an error"
                raise refusal
        said = "found nothing to do" if refusal is None else f"was refused ({error_text(refusal)})"
        raise CommitUnknown(
            f"{ask.type} to {self.remote.name} was sent more than once: one message {said}, but another may still take "
            f"effect; send it again with command_id={ask.command_id!r}"
        ) from trouble

    def take(self, reply: Reply) -> None:
        """Take a reply."""
        self.asker.take(reply)

    def undelivered(self, frame_number: int) -> None:
        """Fail the commands of a frame that reached nobody."""
        frame = self._frames.pop(frame_number, None)
        if frame is None:
            return
        numbers = [message.number for message in decode_frame(frame).messages]
        self.asker.undelivered(
            numbers,
            ServiceUnavailable(
                f"no process of {self.remote.name} is on the bus {self._bus.describe()}: start it, or correct the name",
                service=self.remote.name,
            ),
        )

    def close(self, error: ActoriumError) -> None:
        """Fail everything that waits."""
        self.asker.close(error)

    async def _send_frame(self, frame: bytes) -> None:
        self._frame_number = number = self._frame_number + 1
        self._frames[number] = frame
        if len(self._frames) > _FRAMES_KEPT:
            self._frames.popitem(last=False)
        await self._bus.publish(self._asks_to, frame, f"{self._reply_to}.{self.remote.name}.{number}")

    # --- contracts ------------------------------------------------------------------------------------------------

    def met(self, problems: Sequence[Misfit]) -> None:
        """Take the outcome of a comparison of contracts: commands that do not fit are no longer sent."""
        found = {one.message: one for one in problems}
        if problems and found != self._problems:
            log.error("contracts_differ", service=self.remote.name, problems=[one.reason for one in problems])
        elif self._problems and not problems:
            log.info("contracts_fit", service=self.remote.name)
        self._problems = found
        self._is_known = True

    def statistics(self) -> PeerStatistics:
        """Return its current state."""
        window = self._window
        return PeerStatistics(
            name=self.remote.name,
            is_known=self._is_known,
            circuit="open" if self.circuit.is_open else "closed",
            unanswered=window.asks,
            waiting=window.waiting,
            refused=window.refused,
            problems={name: one.reason for name, one in self._problems.items()},
        )


def _left_s(unsettled: UnsettledReply) -> float:
    """Return how long the sender of a command still waits."""
    return max(0.0, unsettled.until - asyncio.get_running_loop().time())
