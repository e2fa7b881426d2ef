"""What travels between processes: a message is encoded once, and comes out as it went in."""

import msgspec
import pytest
from support.bank import Account, AccountOpened, Deposit, Deposited, OpenAccount

from actorium import Ack, Command, Event, Rejected
from actorium.actors.commands import command_type_of
from actorium.errors import CommandFailed, Overloaded, error_to_wire
from actorium.runtime.messages.answers import answer_of, outcome_of
from actorium.runtime.messages.frames import (
    AnswerMessage,
    AskMessage,
    BusyMessage,
    Message,
    MovedMessage,
    decode_frame,
    encode_message,
    frame_bytes,
    frame_of,
)
from actorium.store.codec import EventCodec

CODEC = EventCodec(Account.__definition__.evolvers)
ACK = Ack("alice", 2, 7, (AccountOpened("Alice"), Deposited(5)), "c-1")


def ask(command: Command, number: int = 1) -> AskMessage:
    fields = msgspec.Raw(msgspec.json.encode(command))
    return AskMessage(number, command_type_of(type(command)), fields, "c-1", 2.5, headers={"user": "u-1"})


def travelled(*messages: Message) -> list[Message]:
    """What the receiver of a frame gets."""
    frame = frame_of("orders", [encode_message(one) for one in messages])
    received = decode_frame(frame)
    assert received.sender == "orders"
    return [*received.messages]


def test_a_frame_brings_every_message_in_order() -> None:
    messages = [
        ask(OpenAccount("alice", "Alice")),
        ask(Deposit("alice", 5), 2),
        AnswerMessage(3, error=error_to_wire(Rejected("overdrawn", balance=5))),
        answer_of(4, "Account", ACK),
        BusyMessage(5, "full", 0.5),
        MovedMessage(6, "node-b"),
    ]
    assert [encode_message(one) for one in travelled(*messages)] == [encode_message(one) for one in messages]


def test_the_size_of_a_frame_is_known_before_it_is_made() -> None:
    encoded = [encode_message(ask(OpenAccount("alice", "Älice"), number)) for number in range(3)]
    for messages in (encoded, encoded[:1], []):
        assert len(frame_of("ördérs", messages)) == frame_bytes("ördérs", messages)


def test_an_acknowledgement_comes_back_with_its_events() -> None:
    (answer,) = travelled(answer_of(1, "Account", ACK))
    assert isinstance(answer, AnswerMessage)
    assert outcome_of(answer, CODEC) == ACK


def test_events_that_the_receiver_does_not_know_are_left_out() -> None:
    (answer,) = travelled(answer_of(1, "Account", ACK))
    assert isinstance(answer, AnswerMessage)
    assert outcome_of(answer, EventCodec([AccountOpened])).events == (AccountOpened("Alice"),)
    nothing: list[type[Event]] = []
    assert outcome_of(answer, EventCodec(nothing)) == Ack("alice", 2, 7, (), "c-1")


def test_an_error_comes_back_as_the_same_class() -> None:
    (answer,) = travelled(answer_of(1, "Account", Rejected("overdrawn", balance=5)))
    assert isinstance(answer, AnswerMessage)
    with pytest.raises(Rejected, match="overdrawn") as caught:
        outcome_of(answer, CODEC)
    assert caught.value.details == {"balance": 5}


def test_overload_travels_as_busy_with_its_time() -> None:
    (busy,) = travelled(answer_of(1, "Account", Overloaded("no room", retry_after_s=1.5)))
    assert isinstance(busy, BusyMessage)
    with pytest.raises(Overloaded, match="no room") as caught:
        outcome_of(busy, CODEC)
    assert caught.value.retry_after_s == 1.5


def test_an_error_of_the_application_travels_as_text() -> None:
    (answer,) = travelled(answer_of(1, "Account", PermissionError("not your account")))
    assert isinstance(answer, AnswerMessage)
    with pytest.raises(CommandFailed, match="not your account"):
        outcome_of(answer, CODEC)


def test_a_reply_without_content_is_a_failure() -> None:
    with pytest.raises(CommandFailed, match="neither"):
        outcome_of(AnswerMessage(1), CODEC)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"sender":"a","messages":[["else",1]]}', b"\xff"])
def test_anything_else_is_not_a_frame(data: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_frame(data)


def test_a_field_that_is_missing_or_not_known_does_not_matter() -> None:
    short = b'["ask",1,"Reserve",{},"c-1",2.5]'
    long = b'["moved",2,"7","of a later version"]'
    first, second = decode_frame(frame_of("orders", [short, long])).messages
    assert isinstance(first, AskMessage)
    assert (first.headers, first.with_events, first.stream_type) == ({}, True, "")
    assert second == MovedMessage(2, "7")
