"""Frames: the messages that carry commands to another process and replies back, as JSON.

A frame holds many messages, and each message is encoded once: a frame is put together from the encoded messages. The
command itself travels as the JSON of its fields under its stable name, so the two sides need not share code.

Messages are arrays: their field names would be half of a frame, and half of the cost of reading it. So fields can only
be added at the end; a receiver ignores those that it does not know, and uses the defaults of those that are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from actorium.store.error_wire import ErrorWire
from actorium.store.events import as_json

FRAME_BYTES_MAX = 1_000_000
"""The largest frame that is sent. NATS servers refuse messages over 1 MiB by default."""

COPIES_MAX = 64
"""How often a command is sent to another service at most."""
Copy = Annotated[int, msgspec.Meta(ge=1, le=COPIES_MAX)]
AnsweredCopy = Annotated[int, msgspec.Meta(ge=-COPIES_MAX, le=COPIES_MAX)]
"""The number of the message that a reply answers.

If nothing was done, the earlier messages of the command are answered with it, and are not carried out when they arrive;
not so if the number is negative: another node may hold one of them. A refusal for lack of room or time answers one
message in any case.
"""


class Message(msgspec.Struct, frozen=True, array_like=True, tag_field="is"):
    """Base class of what a frame holds.

    number: the number that the sender of a command gave it; the reply has the same.
    """

    number: int


class AskMessage(Message, frozen=True, gc=False, tag="ask"):
    """A command for another process.

    type: the stable name of the command.
    fields: the JSON of its fields.
    time_left_s: how long its sender still waits. Clocks may differ between machines, so this is not a time of day.
    fingerprint: the fingerprint of the command; 0 if the sender does not know its stream type.
    fresh: the id was created for this message, so it cannot be in the log already.
    with_events: the acknowledgement is to hold the events, which its sender can read.

    Between the nodes of a cluster it also has:

    stream_type: the type of its stream.
    repeats: the number of the message that this one replaces. No message with a smaller number and the same command id
        takes effect any more.
    epoch: the version of the placement by which its sender chose the receiver.

    Only between services:

    copy: the number of this message among those sent for the command, counted from 1.
    """

    type: str
    fields: msgspec.Raw
    command_id: str
    time_left_s: float
    fingerprint: int = 0
    fresh: bool = False
    correlation_id: str = ""
    causation_id: str = ""
    headers: dict[str, str] = {}
    expected_version: int | None = None
    stream_type: str = ""
    repeats: int = 0
    epoch: int = 0
    with_events: bool = True
    copy: Copy = 1


class EventWire(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event of an acknowledged command."""

    type: str
    schema_version: int
    payload: msgspec.Raw


class AckWire(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An acknowledgement; `stream_type` and `stream_id` name the stream of its events."""

    stream_type: str
    stream_id: str
    version: int
    position: int
    command_id: str
    events: tuple[EventWire, ...] = ()
    duplicate: bool = False


class AnswerMessage(Message, frozen=True, gc=False, tag="answer"):
    """The final reply to a command: an acknowledgement or an error."""

    ack: AckWire | None = None
    error: ErrorWire | None = None
    copy: AnsweredCopy = 1


class BusyMessage(Message, frozen=True, tag="busy"):
    """The command was refused because the receiver has no room; nothing was done for the message `copy`."""

    reason: str
    retry_after_s: float
    copy: AnsweredCopy = 1


class MovedMessage(Message, frozen=True, tag="moved"):
    """The receiver does not own the command's stream; `owner` does, or nobody if it is empty.

    The number 0 is a hint that the owners of streams have changed.
    """

    owner: str = ""


Reply = AnswerMessage | BusyMessage | MovedMessage


class Frame(msgspec.Struct, frozen=True):
    """What one process sends to another at once; `sender` is its name."""

    sender: str
    messages: tuple[AskMessage | AnswerMessage | BusyMessage | MovedMessage, ...]


encode_message = as_json
"""Returns one message as JSON, ready for a frame."""

decode_frame = msgspec.json.Decoder(Frame).decode
"""Returns a decoded frame; raises msgspec.DecodeError for anything else."""


def frame_of(sender: str, messages: Iterable[bytes]) -> bytes:
    """Return a frame with these encoded messages."""
    return b'{"sender":%b,"messages":[%b]}' % (as_json(sender), b",".join(messages))


def frame_bytes(sender: str, messages: Sequence[bytes]) -> int:
    """Return the size of a frame with these encoded messages."""
    return len(frame_of(sender, ())) + sum(map(len, messages)) + max(0, len(messages) - 1)
