"""The vocabulary of `EventStoreContract`: appends, reads, expectations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import msgspec

from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import (
    Append,
    AppendBatch,
    Appended,
    AppendOutcome,
    CommandMark,
    DeadLetter,
    EventStore,
    SaveCheckpoint,
    StreamRead,
)
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import CommandRecord, StreamName
from actorium.store.tables.own_rows import ReadDue

Suite = TypeVar("Suite")

ALICE = StreamName("Account", "alice")
BOB = StreamName("Account", "bob")


def in_a_loop(test: Callable[[Suite, EventStore], Awaitable[None]]) -> Callable[[Suite, EventStore], None]:
    """Turn an async test into a sync one, which runs in its own event loop and closes the store afterwards."""

    @wraps(test)
    def run(self: Suite, store: EventStore) -> None:
        async def with_store() -> None:
            try:
                await test(self, store)
            finally:
                await store.close()

        asyncio.run(with_store())

    return run


def opened(test: Callable[[Suite, EventStore], Awaitable[None]]) -> Callable[[Suite, EventStore], None]:
    """Do the same as `in_a_loop`, with the store opened before the test."""

    @wraps(test)
    async def open_first(self: Suite, store: EventStore) -> None:
        await store.open()
        await test(self, store)

    return in_a_loop(open_first)


@contextmanager
def raises(error_class: type[BaseException]) -> Iterator[None]:
    """Expect an error, without depending on pytest."""
    try:
        yield
    except error_class:
        return
    raise AssertionError(f"{error_class.__name__} was expected, but nothing was raised")


def expect(actual: Any, expected: Any) -> None:
    """Compare, and show both values if they differ; pytest does not rewrite asserts of an installed package."""
    if actual != expected:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")


def event(number: int = 0) -> EncodedEvent:
    """Return an event that is distinguished by its number."""
    return EncodedEvent("Deposited", 1, b'{"amount":%d}' % number, b'{"command_id":"c-%d"}' % number)


def append(stream: StreamName, expected_version: int, count: int = 1, command: str | None = None) -> Append:
    """Return an append of `count` events, with a command id if one is given."""
    mark = CommandMark(command, 7) if command is not None else None
    return Append(stream, expected_version, tuple(event(expected_version + n + 1) for n in range(count)), mark)


def linked(stream: StreamName, expected_version: int, **metadata: str) -> Append:
    """Return an append of one event with this metadata."""
    encoded = EncodedEvent("Deposited", 1, b"{}", msgspec.json.encode(metadata))
    return Append(stream, expected_version, (encoded,))


async def commit(store: EventStore, *appends: Append, at_us: int = 1_000) -> Sequence[AppendOutcome]:
    """Commit appends and return their outcomes."""
    return (await store.append(AppendBatch(at_us, appends))).outcomes


async def read(store: EventStore, stream: StreamName, after_version: int = 0, limit: int = 1000) -> list[EncodedRecord]:
    """Read one page of a stream."""
    return (await store.read_streams([StreamRead(stream, after_version, limit)]))[0].events


async def versions(store: EventStore, stream: StreamName) -> list[int]:
    """Read the versions of a short stream."""
    return [record.version for record in await read(store, stream)]


def expect_wrong_version(outcome: object, stream: StreamName, *, expected: int, actual: int) -> None:
    """Expect a WrongExpectedVersion with this stream and both versions."""
    if not isinstance(outcome, WrongExpectedVersion):
        raise AssertionError(f"WrongExpectedVersion was expected, got {outcome!r}")
    expect((outcome.stream, outcome.expected, outcome.actual), (stream, expected, actual))


def expect_duplicate(outcome: object, record: CommandRecord) -> None:
    """Expect a DuplicateCommand with the place of the first effect."""
    if not isinstance(outcome, DuplicateCommand):
        raise AssertionError(f"DuplicateCommand was expected, got {outcome!r}")
    expect(outcome.record, record)


def dead_letter(position: int, discarded: str = "") -> DeadLetter:
    """Return a dead letter of the processor `p`."""
    return DeadLetter("p", ALICE, 2, position, "Deposited", "ValueError: no", "Traceback …", 3, 77, discarded)


def calls_of(store: EventStore) -> list[Callable[[], Awaitable[Any]]]:
    """Return a call of each operation that needs an open store."""

    async def append_one() -> Appended:
        return await store.append(AppendBatch(1, [append(ALICE, 0)]))

    return [
        append_one,
        lambda: store.save([SaveCheckpoint("p", 1)]),
        lambda: store.read_streams([StreamRead(ALICE)]),
        lambda: store.read_log(0, 1),
        store.head,
        lambda: store.find_commands(["c"]),
        lambda: store.load_checkpoint("p"),
        lambda: store.dead_letters("p"),
        store.event_types,
        lambda: store.read_rows(ReadDue(0, 1)),
        lambda: store.query("SELECT 1", ()),
    ]
