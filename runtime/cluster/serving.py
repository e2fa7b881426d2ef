"""`Serving`: carries out the commands that other nodes send, and replies.

A frame may come twice, late, or in another order than it was sent. So attempts are known by their numbers: each is
carried out once, and not after a later one of the same command has arrived. An attempt that was chosen by an
older placement than the one by which this node serves its shard is not carried out either: its sender may have had an
answer from another owner in between. Nothing is carried out for a node that is gone.

Invariant: an attempt is in exactly one of `pending` (delivered, its reply is still to come), `_held` (its shard will be
served here soon) and neither.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from actorium.actors.commands import Ack
from actorium.actors.envelope import Envelope
from actorium.runtime.cluster.command_wire import CommandUnknown, CommandWire
from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.remote import RemoteCommands
from actorium.runtime.cluster.routed_dispatcher import PeerAttempt, RoutedDispatcher
from actorium.runtime.cluster.shards import shard_of
from actorium.runtime.commands.answer_batch import Answer
from actorium.runtime.messages.answers import answer_of
from actorium.runtime.messages.frames import AskMessage, MovedMessage, decode_frame, encode_message
from actorium.store.errors import ActoriumError, CommitUnknown, ConfigurationError, Fenced
from actorium.store.log import logger
from actorium.store.raised import error_text

log = logger("actorium.runtime")

ATTEMPTS_KNOWN = 16_384
"""How many attempts of one node are remembered; an older one that arrives is dropped, and its command is repeated."""
_HELD_S = 1.0
_HELD_MAX = 4_096


class _Attempts:
    """The attempts of one node that this node has seen, and those that it has not answered.

    The newest attempt is known of each command that may be attempted again. A fresh one has not been.
    """

    __slots__ = ("_floor", "_newest", "_order", "_seen", "pending")

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._order: deque[int] = deque()
        self._newest: dict[str, int] = {}  # by command id, in the order of arrival
        self._floor = 0
        self.pending: dict[int, PeerAttempt] = {}

    def is_newest(self, ask: AskMessage) -> bool:
        """Note an attempt; return whether neither it nor a later one of its command was seen before."""
        number = ask.number
        seen, newest = self._seen, self._newest
        if number in seen or number <= self._floor or (newest and number < newest.get(ask.command_id, 0)):
            return False
        seen.add(number)
        self._order.append(number)
        if len(seen) > ATTEMPTS_KNOWN:
            oldest = self._order.popleft()
            seen.discard(oldest)
            if oldest > self._floor:
                self._floor = oldest
        if not ask.fresh:
            self._newest.pop(ask.command_id, None)
            self._newest[ask.command_id] = number
            if len(self._newest) > ATTEMPTS_KNOWN:
                self._floor = max(self._floor, self._newest.pop(next(iter(self._newest))))
        return True


class _Held(msgspec.Struct, eq=False):
    """An attempt for a shard that this node does not serve yet."""

    peer: int
    ask: AskMessage
    until: float


class Serving:
    """Carries out commands of other nodes.

    send: adds an encoded message to the next frame for a node.
    look: asks for the placement to be read again soon.
    give_away: hands a shard over to a node whose code is newer; returns False if it is not.
    renew: asks for the nodes to be read again, because one is not known yet.
    doubt: told of a node that has sent a command again: its first attempt, or the reply, may be lost.
    """

    def __init__(
        self,
        directory: Directory,
        dispatcher: RoutedDispatcher,
        remote: RemoteCommands,
        wire: CommandWire,
        send: Callable[[int, bytes], None],
        look: Callable[[], None],
        doubt: Callable[[int], None],
        give_away: Callable[[int, int], bool],
        renew: Callable[[], None],
        *,
        message_bytes_max: int,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._time = loop.time
        self._directory = directory
        self._dispatcher = dispatcher
        self._remote = remote
        self._wire = wire
        self._send = send
        self._look = look
        self._doubt = doubt
        self._give_away = give_away
        self._renew = renew
        self._message_bytes_max = message_bytes_max
        self._peers: dict[int, _Attempts] = {}
        self._held: list[_Held] = []
        self.served = 0
        directory.listeners.append(self.changed)

    def take(self, frame: bytes) -> None:
        """Take a frame from another node."""
        try:
            decoded = decode_frame(frame)
            peer = int(decoded.sender)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("frame_unreadable", error=error_text(error))
            return
        asked, take_reply = self._asked, self._remote.take
        for message in decoded.messages:
            if isinstance(message, AskMessage):
                asked(peer, message)
            elif message.number:
                take_reply(message)
            else:  # a hint that the placement has changed
                self._look()
        self._dispatcher.forget_answered()

    # --- asks -----------------------------------------------------------------------------------------------------

    def _asked(self, peer: int, ask: AskMessage) -> None:
        attempts = self._peers.get(peer)
        if attempts is None:
            attempts = self._peers[peer] = _Attempts()
        if not attempts.is_newest(ask):
            return
        if ask.repeats:
            self._doubt(peer)
            self._held = [one for one in self._held if (one.peer, one.ask.command_id) != (peer, ask.command_id)]
            pending = attempts.pending.pop(ask.repeats, None)
            if pending is not None:
                pending.number = ask.number
                attempts.pending[ask.number] = pending
                return
        self._carry_out(peer, ask, self._loop.time() + _HELD_S)

    def _carry_out(self, peer: int, ask: AskMessage, held_until: float) -> None:
        if peer not in self._directory.members:
            # It has joined lately, and will be known soon. Or it is gone, and so is what is known of its attempts.
            if self._may_hold(held_until):
                self._held.append(_Held(peer, ask, held_until))
                self._renew()
            return
        try:
            more = self._directory.may_send_more(peer, ask.stream_type, ask.type)
            command, handler = self._wire.decode(ask.stream_type, ask.type, bytes(ask.fields), may_have_more=more)
        except CommandUnknown as unknown:
            if self._give_away(shard_of(ask.stream_type, _to_of(ask)), peer):
                self._reply_moved(peer, ask.number, 0)
            else:
                error = ConfigurationError(str(unknown))
                self._send(peer, encode_message(answer_of(ask.number, ask.stream_type, error)))
            return
        except ActoriumError as error:
            self._send(peer, encode_message(answer_of(ask.number, ask.stream_type, error)))
            return
        stream_type, to = ask.stream_type, command.to
        epoch = self._directory.epoch(stream_type, to)
        if not epoch or ask.epoch < epoch:
            self._carry_out_later(peer, ask, to, epoch, held_until)
            return
        attempts = self._peers[peer].pending
        attempts[ask.number] = pending = PeerAttempt(peer, ask.number, stream_type, attempts, self._moved_away)
        answer = Answer(loop=self._loop)
        answer.take, answer.context, answer.about = self._answered, None, pending
        answer.batch = self._dispatcher.answers
        left_s = ask.time_left_s
        envelope = Envelope(
            stream_type,
            to,
            command,
            handler,
            answer,
            ask.command_id,
            ask.fingerprint,
            ask.fresh,
            ask.correlation_id,
            ask.causation_id,
            ask.headers,
            ask.expected_version,
            0,
            left_s,
            self._time() + left_s,
        )
        self.served += 1
        self._dispatcher.ask_here(envelope, answer, self._not_delivered)

    def _carry_out_later(self, peer: int, ask: AskMessage, to: str, epoch: int, held_until: float) -> None:
        """Hold an attempt for a shard that this node is about to serve; tell the sender to look again for any other."""
        directory = self._directory
        owner = directory.owner(ask.stream_type, to)
        may_be_ours = not epoch and (owner == directory.me or ask.epoch > directory.placement.version)
        if may_be_ours and self._may_hold(held_until):
            self._held.append(_Held(peer, ask, held_until))
            self._look()
            return
        self._reply_moved(peer, ask.number, owner)

    def _may_hold(self, until: float) -> bool:
        return self._loop.time() < until and len(self._held) < _HELD_MAX

    def _reply_moved(self, peer: int, number: int, owner: int) -> None:
        self._send(peer, encode_message(MovedMessage(number, str(owner) if owner else "")))

    def _not_delivered(self, envelope: Envelope) -> None:
        answer: Any = envelope.future
        self._moved_away(answer.about)

    def _moved_away(self, pending: PeerAttempt) -> None:
        """Tell the sender that its command was not delivered, because the shard was handed over meanwhile."""
        pending.attempts.pop(pending.number, None)
        self._reply_moved(pending.peer, pending.number, 0)

    def _answered(self, answer: Answer) -> None:
        pending: PeerAttempt = answer.about
        pending.attempts.pop(pending.number, None)
        outcome: Any = answer.exception()
        if outcome is None:
            outcome = answer.result()
        elif isinstance(outcome, Fenced):  # this node wrote nothing: its successor carries the command out
            self._reply_moved(pending.peer, pending.number, 0)
            return
        message = encode_message(answer_of(pending.number, pending.stream_type, outcome))
        if len(message) > self._message_bytes_max and isinstance(outcome, Ack):
            unknown = CommitUnknown(
                f"the command took effect at position {outcome.position}, but its events take {len(message)} bytes, "
                f"too many for an answer between nodes (the limit is {self._message_bytes_max})"
            )
            message = encode_message(answer_of(pending.number, pending.stream_type, unknown))
        self._send(pending.peer, message)

    # --- changes --------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Look at what is held again, after the placement has changed or some time has passed."""
        members = self._directory.members
        held, self._held = self._held, []
        for one in held:
            if one.peer in self._peers:
                self._carry_out(one.peer, one.ask, one.until)
        awaited = {*members, *(one.peer for one in self._held)}
        for peer in [peer for peer, attempts in self._peers.items() if peer not in awaited and not attempts.pending]:
            del self._peers[peer]

    async def run(self) -> None:
        """Let what is held for too long go, until cancelled."""
        while True:
            await asyncio.sleep(_HELD_S / 2)
            if self._held:
                self.changed()


def _to_of(ask: AskMessage) -> str:
    """Return the id of a command's stream, whatever the command is."""
    return _decode_to(ask.fields).to


class _To(msgspec.Struct):
    to: str


_decode_to = msgspec.json.Decoder(_To).decode
