"""`RemoteCommands`: the commands that this node sends to the owners of their streams, until each has its reply.

An attempt to send a command has a number of its own, and only the newest counts: the receiver drops every older one
that arrives later, and this node ignores a reply to it. So a command whose reply was a refusal cannot take effect
afterwards. It may have taken effect before, by an attempt without a reply: then a refusal for lack of room, time or the
store leaves the outcome unknown.

Invariants, true between any two awaits:
- a command is in `_open` until it has its reply or its caller has left; it then leaves its window once;
- of each command at most one attempt counts: that in `_sent`. Without one, it waits for an owner to be known;
- a first attempt may be fresh; a later one never is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from actorium.actors.envelope import Envelope
from actorium.runtime.cluster.command_wire import CommandWire
from actorium.runtime.cluster.directory import Directory
from actorium.runtime.commands.answer_batch import Answer, DoubtfulAnswer
from actorium.runtime.messages.answers import outcome_of
from actorium.runtime.messages.frames import AskMessage, MovedMessage, Reply, encode_message
from actorium.runtime.messages.window import Window
from actorium.store.codec import EventCodec
from actorium.store.errors import CommitUnknown, InvalidCommand
from actorium.store.events import as_json
from actorium.store.raised import let_through

PART_BEFORE_REPEAT = 1 / 3
"""The share of its time left after which a command without a reply is sent again at the latest."""
_REPEAT_S_MIN = 0.5
_REPEAT_S_USUAL = 0.75
# A busy node replies late, and repeats would only make it busier.
_REPLIES_BEFORE_REPEAT = 4
_REPLIES_AVERAGED = 16
_MOVED_S = 0.5
_LOOK_EVERY_S = 0.25
_MESSAGE_BYTES = 4_096  # more than the ids, names and numbers of a message usually take


class RemoteCommand(msgspec.Struct, eq=False):
    """A command without a reply.

    number: the attempt that counts; 0 if it was never sent.
    peer: the node that this attempt was sent to; 0 while no owner is known.
    epoch: the version of the placement by which it was sent.
    """

    envelope: Envelope
    answer: Answer
    name: str
    fields: bytes
    window: Window
    size_bytes: int
    number: int = 0
    peer: int = 0
    epoch: int = 0
    sent_at: float = 0.0
    repeat_at: float = 0.0


class RemoteCommands:
    """Sends commands to other nodes.

    send: adds an encoded message to the next frame for a node.
    message_bytes_max: the size that an encoded message may have.
    come_home: delivers a command whose stream belongs to this node now.
    look: asks for the placement to be read again soon, because it seems to be old.
    doubt: told of a node that has not replied in time.
    usual_s: how long to wait for a reply to a command without a deadline, before it is repeated, in seconds.
    """

    def __init__(
        self,
        directory: Directory,
        wire: CommandWire,
        codec: EventCodec,
        come_home: Callable[[Envelope, Answer], None],
        send: Callable[[int, bytes], None],
        look: Callable[[], None],
        doubt: Callable[[int], None],
        *,
        usual_s: float,
        message_bytes_max: int,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._time = loop.time
        self._directory = directory
        self._wire = wire
        self._codec = codec
        self._come_home = come_home
        self._usual_s = usual_s
        self._send_to, self._look, self._doubt = send, look, doubt
        self.message_bytes_max = message_bytes_max
        self._numbers = 0
        self._reply_s = 0.0  # how long replies took lately
        self._patience_s = _REPEAT_S_USUAL
        self._open: dict[int, RemoteCommand] = {}
        self._sent: dict[int, RemoteCommand] = {}
        self._windows: dict[int, Window] = {}
        self._ended: asyncio.Future[None] | None = None
        self.repeated = self.moved = self.asked = 0
        directory.listeners.append(self._placement_changed)

    def __len__(self) -> int:
        return len(self._open)

    # --- asking ---------------------------------------------------------------------------------------------------

    def begin(self, envelope: Envelope, answer: Answer) -> bool:
        """Send a command and let `answer` end with its reply; return False if there is no room in the window.

        Raises InvalidCommand if it is too large for a frame.
        """
        command = self.made(envelope, answer)
        if not command.window.try_enter(command.size_bytes):
            return False
        self.asked += 1  # `enter`, inlined: hot path
        self._open[id(command)] = command
        self._send(command)
        return True

    def made(self, envelope: Envelope, answer: Answer) -> RemoteCommand:
        """Return a command for the owner of its stream, before it has room in the window; raise InvalidCommand."""
        assert envelope.command is not None, "a read does not travel"
        name, fields = self._wire.encode(envelope.command, envelope.encoded)
        size_bytes = len(fields) + (len(as_json(envelope.headers)) if envelope.headers else 0) + _MESSAGE_BYTES
        if size_bytes > self.message_bytes_max:
            raise InvalidCommand(
                f"{name} was not sent to the node that owns {envelope.to!r}: it takes {size_bytes} bytes with its "
                f"metadata, but the limit is {self.message_bytes_max}"
            )
        owner = self._directory.owner(envelope.stream_type, envelope.to)
        window = self._windows.get(owner) or self._new_window(owner)
        return RemoteCommand(envelope, answer, name, fields, window, size_bytes)

    def _new_window(self, owner: int) -> Window:
        """Return a window for the commands to a node; 0: to nobody yet."""
        member = self._directory.members.get(owner)
        name = f"the node {member.name}" if member is not None else "a node that is not known yet"
        window = self._windows[owner] = Window(name)
        return window

    def enter(self, command: RemoteCommand) -> None:
        """Take a command that has room in its window."""
        self.asked += 1
        self._open[id(command)] = command
        self._send(command)

    def _send(self, command: RemoteCommand) -> None:
        """Send an attempt to the owner; without one, wait for the placement to change."""
        envelope, directory, replaced = command.envelope, self._directory, command.number
        if command.answer.done():
            self._leave(command)
            return
        if replaced and self._sent.pop(replaced, None) is not None:
            command.answer.__class__ = DoubtfulAnswer
        owner = directory.owner(envelope.stream_type, envelope.to)
        if owner == directory.me:
            if directory.serves(envelope.stream_type, envelope.to):
                self._leave(command)
                self._come_home(_again(envelope) if replaced else envelope, command.answer)
                return
            owner = 0
        command.sent_at = now = self._time()
        left_s = envelope.deadline - now if envelope.deadline else self._usual_s
        command.peer, command.epoch = owner, directory.placement.version
        wait_s, patience_s = left_s * PART_BEFORE_REPEAT, self._patience_s  # `min` and `max` cost more: hot path
        if wait_s > patience_s:
            wait_s = patience_s
        command.repeat_at = now + (wait_s if wait_s > _REPEAT_S_MIN else _REPEAT_S_MIN)
        if not owner:
            self._look()
            return
        self._numbers = command.number = self._numbers + 1
        self._sent[command.number] = command
        if replaced:
            self.repeated += 1
        self._send_to(owner, self._encoded(command, replaced, left_s if left_s > 0.0 else 0.0))

    def _encoded(self, command: RemoteCommand, replaced: int, left_s: float) -> bytes:
        envelope = command.envelope
        return encode_message(
            AskMessage(
                command.number,
                command.name,
                msgspec.Raw(command.fields),
                envelope.command_id,
                left_s,
                envelope.fingerprint,
                envelope.fresh and not replaced,
                envelope.correlation_id,
                envelope.causation_id,
                envelope.headers,
                envelope.expected_version,
                envelope.stream_type,
                replaced,
                command.epoch,
            )
        )

    # --- replies --------------------------------------------------------------------------------------------------

    def take(self, reply: Reply) -> None:
        """Take the reply to an attempt; ignore it unless that attempt counts."""
        command = self._sent.get(reply.number)
        if command is None:
            return
        if isinstance(reply, MovedMessage):
            self.moved += 1
            del self._sent[reply.number]  # this attempt did nothing
            if self._directory.placement.version > command.epoch:
                self._send(command)
            else:
                command.peer = 0  # it knows better: read the placement
                self._look()
            return
        self._leave(command)
        before_s = self._reply_s
        self._reply_s = reply_s = before_s + (self._time() - command.sent_at - before_s) / _REPLIES_AVERAGED
        patience_s = _REPLIES_BEFORE_REPEAT * reply_s
        self._patience_s = patience_s if patience_s > _REPEAT_S_USUAL else _REPEAT_S_USUAL
        answer = command.answer
        if answer.done():
            return
        try:
            ack = outcome_of(reply, self._codec)
        except BaseException as raised:
            let_through(raised)
            answer.set_exception(raised)
        else:
            answer.set_result(ack)

    def _leave(self, command: RemoteCommand) -> None:
        if self._open.pop(id(command), None) is None:
            return
        if self._sent.get(command.number) is command:
            del self._sent[command.number]
        command.window.leave(command.size_bytes)
        if self._ended is not None and not self._open and not self._ended.done():
            self._ended.set_result(None)

    # --- changes and time -----------------------------------------------------------------------------------------

    def _placement_changed(self) -> None:
        """Send on what waits for an owner, and what was sent to a node that is gone."""
        members = self._directory.members
        for command in [one for one in self._open.values() if not one.peer or one.peer not in members]:
            self._send(command)
        soon = self._loop.time() + _MOVED_S
        for command in self._open.values():
            if command.repeat_at > soon and self._has_moved(command):
                command.repeat_at = soon
        for owner in [owner for owner, window in self._windows.items() if owner not in members and not window.asks]:
            del self._windows[owner]

    def _has_moved(self, command: RemoteCommand) -> bool:
        """Return whether the stream belongs to another node now: the former owner has answered, or will not."""
        return self._directory.owner(command.envelope.stream_type, command.envelope.to) != command.peer

    async def run(self) -> None:
        """Repeat commands that have no reply, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = self._loop.time()
            for command in [*self._open.values()]:
                if command.answer.done():
                    self._leave(command)  # its caller has left
                elif command.repeat_at <= now:
                    if command.peer:
                        self._doubt(command.peer)
                    self._send(command)
                elif not command.peer:
                    self._look()

    def repeat(self, peer: int) -> None:
        """Send what a node has not answered again, because frames may be lost; 0: what any node has not answered."""
        for command in [one for one in self._open.values() if one.peer and peer in (0, one.peer)]:
            self._send(command)

    async def drained(self) -> None:
        """Return when every command has its reply."""
        while self._open:
            self._ended = self._loop.create_future()
            await asyncio.wait((self._ended,), timeout=_LOOK_EVERY_S)

    def close(self, error: Exception) -> None:
        """Fail everything, because the runtime ends; a command that was sent may have taken effect."""
        unknown = CommitUnknown(f"{error}; the command was sent to another node, and its outcome is not known")
        unknown.__cause__ = error
        for command in [*self._open.values()]:
            self._leave(command)
            if not command.answer.done():
                command.answer.set_exception(unknown if command.number else error)
        for window in self._windows.values():
            window.close(error)


def _again(envelope: Envelope) -> Envelope:
    """Return an envelope for a later attempt: an earlier one may have taken effect."""
    return msgspec.structs.replace(envelope, fresh=False, attempts=0)
