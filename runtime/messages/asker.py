"""`Asker`: the commands that one peer was asked to carry out, until each has its reply.

Invariants: a command keeps its id however often it is sent, so it takes effect once; it leaves the window once, when it
is answered, times out or is given up; a reply to a command that is no longer waited for is ignored.

A command may be sent in several messages, which may reach several processes. A reply that says that nothing was done is
its outcome only if no other message can take effect any more: each has been answered, or the process that answered has
the only door. A reply to the last message ends it in any case, as an `UnsettledReply` if another message is unanswered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from actorium.runtime.commands.answer_batch import Answer, AnswerBatch
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.errors import CommandTimeout
from actorium.runtime.messages.frames import (
    COPIES_MAX,
    AnswerMessage,
    AskMessage,
    BusyMessage,
    Reply,
    encode_message,
)
from actorium.runtime.messages.gathering import FrameSender
from actorium.runtime.messages.window import Window
from actorium.store.errors import ActoriumError, CommitUnknown, InvalidCommand, OutcomeUnknown, Unavailable

PART_BEFORE_REPEAT = 1 / 3
"""The share of its time left after which an unanswered command is sent again."""


class UnsettledReply(Exception):
    """The reply to the last message of a command says that nothing was done, but an earlier one may still take effect.

    until: the loop time at which the sender of the command stops waiting.
    """

    def __init__(self, reply: AnswerMessage | BusyMessage, until: float) -> None:
        super().__init__("another message may take effect")
        self.reply = reply
        self.until = until


class _Asked(msgspec.Struct, eq=False):
    """A command without a reply.

    deadline: the loop time at which something is to be done: to send it again, or to give up.
    until: the loop time at which its sender stops waiting.
    sent: how often it was sent.
    refused: the messages that were answered without an effect, one bit for each.
    """

    ask: AskMessage
    future: Answer
    deadline: float
    until: float
    timeout_s: float
    sent: int = 1
    refused: int = 0


class Asker:
    """Asks one peer, and matches its replies.

    peer: its name, for messages.
    sender: sends the messages to it.
    """

    def __init__(self, peer: str, window: Window, sender: FrameSender) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._peer = peer
        self.window = window
        self._sender = sender
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._deadlines: Deadlines[_Asked] = Deadlines(loop, self._due)
        self._answers = AnswerBatch(loop)
        self.repeated = 0

    def __len__(self) -> int:
        return len(self._asked)

    def next_number(self) -> int:
        """Return the number of the next command."""
        self._number = number = self._number + 1
        return number

    async def ask(self, ask: AskMessage) -> Reply:
        """Send a command with a number of `next_number`, and return its reply; `time_left_s` says how long to wait.

        Raises Overloaded if there is no room in the window or no time for a reply, CommandTimeout if no reply comes in
        time, InvalidCommand if the command is too large for a frame, the error of `undelivered`, CommitUnknown if the
        asker is closed, and UnsettledReply.
        """
        timeout_s = ask.time_left_s
        self.window.require_time(timeout_s)
        now = self._loop.time()
        until = now + timeout_s
        encoded = encode_message(ask)
        size_bytes = len(encoded)
        if size_bytes > self._sender.largest_message:
            raise InvalidCommand(
                f"{ask.type} was not sent to {self._peer}: with its metadata it takes {size_bytes} bytes, but a "
                f"message to it may take {self._sender.largest_message}"
            )
        if not self.window.try_enter(size_bytes):
            await self.window.enter(size_bytes, timeout_s)
            now = self._loop.time()
        answer = Answer(loop=self._loop)
        answer.take = answer.context = None
        answer.batch = self._answers
        number = ask.number
        repeat_at = now + timeout_s * PART_BEFORE_REPEAT
        one = self._asked[number] = _Asked(ask, answer, repeat_at if repeat_at < until else until, until, timeout_s)
        self._deadlines.add(one)
        self._sender.add(encoded)
        try:
            reply: Reply = await answer
            return reply
        finally:
            del self._asked[number]
            self.window.leave(size_bytes)
            self._deadlines.sweep()

    def take(self, reply: Reply) -> bool:
        """Pass a reply on to its sender; return False if nobody waits for it any more."""
        one = self._asked.get(reply.number)
        if one is None or one.future.done():
            return False
        if one.sent > 1 and isinstance(reply, AnswerMessage | BusyMessage):
            self._take_one_of_many(one, reply)
        else:
            one.future.set_result(reply)
        return True

    def _take_one_of_many(self, one: _Asked, reply: AnswerMessage | BusyMessage) -> None:
        """Take the reply to one of several messages, unless another one may be about to take effect."""
        is_refusal = _is_refusal(reply)
        if is_refusal or _is_without_effect(reply):
            copy = min(abs(reply.copy), one.sent)
            if copy == 1 and isinstance(reply, AnswerMessage) and reply.ack is not None and not one.ask.with_events:
                return  # it may have had events
            one.refused |= 1 << copy - 1 if is_refusal or reply.copy < 0 else (1 << copy) - 1
            if one.refused != (1 << one.sent) - 1:
                if copy == one.sent and not is_refusal:
                    one.future.set_exception(UnsettledReply(reply, one.until))
                return
        elif isinstance(reply, AnswerMessage) and reply.ack is not None and not one.ask.with_events:
            reply = msgspec.structs.replace(reply, ack=msgspec.structs.replace(reply.ack, events=()))
        one.future.set_result(reply)

    def undelivered(self, numbers: Iterable[int], error: Exception) -> None:
        """Fail commands that reached nobody; one that was sent before may have taken effect, and waits on."""
        for number in numbers:
            one = self._asked.get(number)
            if one is not None and one.sent == 1 and not one.future.done():
                one.future.set_exception(error)

    def repeat_all(self) -> None:
        """Send every unanswered command again: what was on its way may be lost."""
        for one in self._asked.values():
            if not one.future.done():
                self._repeat(one)

    def close(self, error: Exception) -> None:
        """Fail everything, because nothing is sent any more; a command that was sent may have taken effect."""
        unknown = CommitUnknown(f"{error}; the command was sent to {self._peer}, and its outcome is not known")
        unknown.__cause__ = error
        for one in self._asked.values():
            if not one.future.done():
                one.future.set_exception(unknown)
        self.window.close(error)
        self._deadlines.close()

    def _due(self, one: _Asked) -> None:
        now = self._loop.time()
        if now >= one.until:
            one.future.set_exception(self._timed_out(one))
            return
        self._repeat(one)
        one.deadline = min(one.until, now + max((one.until - now) * PART_BEFORE_REPEAT, one.timeout_s / 10))
        self._deadlines.add(one)

    def _repeat(self, one: _Asked) -> None:
        if one.sent == COPIES_MAX:
            return
        self.repeated += 1
        left_s = max(0.0, one.until - self._loop.time())
        # With its events, a reply tells whether the command took effect.
        again = msgspec.structs.replace(one.ask, fresh=False, time_left_s=left_s, with_events=True, copy=one.sent + 1)
        encoded = encode_message(again)
        if len(encoded) <= self._sender.largest_message:  # which may have become less
            one.sent += 1
            self._sender.add(encoded)

    def _timed_out(self, one: _Asked) -> CommandTimeout:
        command_id = one.ask.command_id
        return CommandTimeout(
            f"{one.ask.type} to {self._peer} had no reply within {one.timeout_s:g} s: its outcome is unknown; send it "
            f"again with command_id={command_id!r}",
            command_id=command_id,
        )


def _is_refusal(reply: AnswerMessage | BusyMessage) -> bool:
    """Return whether a reply says that nothing was done, and that this may be different for another message."""
    return isinstance(reply, BusyMessage) or _is_error(reply, Unavailable)


def _is_without_effect(reply: AnswerMessage | BusyMessage) -> bool:
    """Return whether a reply may say that its message had no effect; it may also be a refused one."""
    if isinstance(reply, BusyMessage) or reply.ack is None:
        return not _is_error(reply, OutcomeUnknown)
    return not (reply.ack.events or reply.ack.duplicate)


def _is_error(reply: AnswerMessage | BusyMessage, kind: type[ActoriumError]) -> bool:
    return isinstance(reply, AnswerMessage) and reply.error is not None and kind.__name__ in reply.error.lineage
