"""The root of every Actorium error, and the errors of the log.

Four branches, so that a caller can tell them apart without reading a message: misuse of the API
(`ConfigurationError`), a command that the domain refused (`actorium.actors.errors.Rejected` and its kin), a lost
race (`WrongExpectedVersion`, `DuplicateCommand`), and a store that is broken or away (`StoreError`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actorium.store.event_store import CommandRecord, StoredEventType
    from actorium.store.events import StreamName


class ActoriumError(Exception):
    """Everything that Actorium raises on purpose."""


class ConfigurationError(ActoriumError):
    """A class, an option or a URL that cannot work; the message names it and says how to mend it."""


class StoreError(ActoriumError):
    """The log could not do what was asked of it."""


class StoreUnavailable(StoreError):
    """The store could not be read or written: a full disk, a locked or read-only file, a closed connection.

    It never means "not written": the outcome of a command that fails with it is unknown until the command is sent
    again with the same `command_id`. The cause is chained.
    """


class StoreInUse(StoreError):
    """Another process holds the store; `pid` is that process where the store knows it."""

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class StoreHangs(StoreError):
    """The store did not end a commit, or did not close, within the time that `stop` gives it (`Settings.close_s`).

    `command_ids` are the commands of the commit: whether they took effect is unknown until each is sent again with the
    same id. A thread that is stuck in the store does not keep the process alive.
    """

    def __init__(self, message: str, command_ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.command_ids = tuple(command_ids)


class UnsupportedSchema(StoreError):
    """The store's file is no log, was written by a newer Actorium, or by an older one and may only be read."""


class WrongExpectedVersion(StoreError):
    """An append expected its stream at one version and found it at another; nothing of that append was written."""

    def __init__(self, stream: StreamName, *, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}: somebody else appended; read it again")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class DuplicateCommand(StoreError):
    """An append carries a `command_id` that already took effect; `record` says where its events are."""

    def __init__(self, record: CommandRecord) -> None:
        super().__init__(
            f"command {record.command_id!r} already took effect: {record.stream} versions "
            f"{record.first_version}..{record.version}"
        )
        self.record = record


class StatementFailed(StoreError):
    """A statement or a query over the store's tables failed; the cause is chained."""


class CorruptRow(StoreError):
    """A checkpoint or a dead letter does not match its checksum: the disk or a hand changed it."""


class UnreadableEvent(StoreError):
    """An event in the log cannot be given out as it was written; the stream, version and type say which."""

    def __init__(self, reason: str, *, stream: StreamName, version: int, event_type: str) -> None:
        super().__init__(f"{event_type} at {stream} version {version}: {reason}")
        self.stream = stream
        self.version = version
        self.event_type = event_type


class CorruptEvent(UnreadableEvent):
    """The bytes of an event do not match their checksum, or are no JSON of its type: the disk or a hand changed it."""


class VersionGap(UnreadableEvent):
    """A stream's versions are not 1, 2, 3 …: an event was taken out of the log."""


class UnreadableTypes(StoreError):
    """The log holds shapes of event that no registered class reads: `types`, each as it is stored and counted."""

    def __init__(self, message: str, types: Sequence[StoredEventType]) -> None:
        super().__init__(message)
        self.types = tuple(types)


class UpcastFailed(UnreadableEvent):
    """An upcaster raised, or what it returned fits no event; the message names it, and the log is as it was."""


class UnknownEventType(UnreadableEvent):
    """The log holds an event type that no registered class reads."""
