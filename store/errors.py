"""The tree of Actorium's errors, and the errors of the log.

Each branch stands for what the caller can do about an error, so that `except` needs a branch and never a list:

- `ConfigurationError`: fix the program;
- `InvalidCommand`: fix the input;
- `Refused`: accept the answer, it is no;
- `LostRace`: read again, decide again;
- `HandlerFailed`: fix a handler, its error is chained;
- `Transient`: send again later with the same `command_id`: as `Unavailable`, nothing was done; as `OutcomeUnknown`,
  nobody knows;
- `DamagedLog`: stop and look at the log.

Every error survives `pickle` and `copy`, and has a wire form (see `actorium.store.error_wire`). An error that is made
of more than its message declares the further attributes as annotations of its class.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.raised import let_through, repr_of


class ActoriumError(Exception):
    """Everything that Actorium raises on purpose; `http_status` is how an HTTP service answers it."""

    http_status: ClassVar[int] = 500

    @property
    def message(self) -> str:
        """The text that the error was made with."""
        return Exception.__str__(self)

    @classmethod
    def restored(cls, args: tuple[Any, ...], fields: dict[str, Any], cause: BaseException | None = None) -> Self:
        """Return an error of this class as it once was, from its arguments, attributes and cause."""
        error = Exception.__new__(cls, *args)
        error.__dict__.update(fields)
        if cause is not None:
            error.__cause__ = cause
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        cause = self.__cause__ if _pickles(self.__cause__) else None
        return type(self).restored, (tuple(map(_portable, self.args)), _portable(self.__dict__), cause)

    def __copy__(self) -> Self:
        return self.restored(self.args, self.__dict__, self.__cause__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        fields = {name: _deep_copy(value, memo) for name, value in self.__dict__.items()}
        return self.restored(tuple(_deep_copy(arg, memo) for arg in self.args), fields, self.__cause__)


def _pickles(value: Any) -> bool:
    try:
        pickle.loads(pickle.dumps(value))
    except BaseException as raised:  # by the value's own code
        let_through(raised)
        return False
    return True


def _portable(value: Any) -> Any:
    """Return a value, or as text what of it cannot be pickled."""
    if _pickles(value):
        return value
    if isinstance(value, dict):
        return {name: _portable(one) for name, one in value.items()}
    return repr_of(value)


def _deep_copy(value: Any, memo: dict[int, Any]) -> Any:
    """Return a copy of a value, or the value itself where it cannot be copied."""
    if type(value) is dict:
        return {name: _deep_copy(one, memo) for name, one in value.items()}
    try:
        return copy.deepcopy(value, memo)
    except BaseException as raised:  # by the value's own code
        let_through(raised)
        return value


# --- what the caller can do -------------------------------------------------------------------------------------------


class ConfigurationError(ActoriumError):
    """Fix the program: a class, an option or a URL cannot work; the message names it and says how to fix it."""


class InvalidCommand(ActoriumError):
    """Fix the input: a field, an id or another value of a call is wrong; nothing was done."""

    http_status = 422


class Refused(ActoriumError):
    """Accept it: the answer is no, and stays no for the state as it is; nothing was done."""

    http_status = 409


class LostRace(ActoriumError):
    """Read again and decide again: somebody else was there first; nothing was done."""

    http_status = 412


class HandlerFailed(ActoriumError):
    """Fix a handler: a method or a statement of the application failed; the cause is chained."""


class Transient(ActoriumError):
    """Send again later, with the same `command_id`: then the command takes effect once, whatever happened before."""

    http_status = 503


class Unavailable(Transient):
    """Try later: nothing was done by this call.

    `retry_after_s`: after how many seconds, at the least; a guess where nobody can tell.
    """

    retry_after_s: float = 5.0


class OutcomeUnknown(Transient):
    """Send again with the same `command_id`: whether the call took effect is not known, and sending again finds out."""

    http_status = 504


class DamagedLog(ActoriumError):
    """Stop and look: the log holds something that cannot be read, or not by this code; the message says what."""


# --- what happens to a log --------------------------------------------------------------------------------------------


class StoreUnavailable(Unavailable):
    """The store could not be opened or read, or refused a commit before it wrote any of it; the cause is chained."""


class StoreInUse(Unavailable):
    """Another process holds the store; `pid` is that process where the store knows it."""

    pid: int | None

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class CommitUnknown(OutcomeUnknown):
    """A commit failed, or was not awaited to its end: what of it is in the log is not known.

    A full disk and an input or output error end a commit like this: the database may have written it all the same.
    The cause is chained.
    """


class StoreHangs(OutcomeUnknown):
    """The store did not end a commit, or did not close, within the time that `stop` gives it (`Settings.close_s`).

    `command_ids` are the commands of the commit: whether they took effect is unknown until each is sent again with the
    same id. A thread that is stuck in the store does not keep the process alive.
    """

    command_ids: tuple[str, ...]

    def __init__(self, message: str, command_ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.command_ids = tuple(command_ids)


class UnsupportedSchema(ConfigurationError):
    """The store's file is no log, was written by a newer Actorium, or by an older one and may only be read."""


class WrongExpectedVersion(LostRace):
    """An append expected its stream at one version and found it at another; nothing of that append was written."""

    stream: StreamName
    expected: int
    actual: int

    def __init__(self, stream: StreamName, *, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}: somebody else appended; read it again")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class DuplicateCommand(Refused):
    """An append carries a `command_id` that already took effect; `record` says where its events are."""

    record: CommandRecord

    def __init__(self, record: CommandRecord) -> None:
        super().__init__(
            f"command {record.command_id!r} already took effect: {record.stream} versions "
            f"{record.first_version}..{record.version}"
        )
        self.record = record


class StatementFailed(HandlerFailed):
    """A statement or a query over the store's tables failed; the cause is chained."""


class CorruptStore(DamagedLog):
    """The store itself is damaged, its tables or their definitions: repair it, or put back a copy."""


class CorruptRow(DamagedLog):
    """A checkpoint or a dead letter does not match its checksum: the disk or a hand changed it."""


class PositionBeyondLog(InvalidCommand):
    """A position lies behind the end of the log, which ends at `head`: it comes from a log that was longer.

    So it is after an older copy was put back. What follows the log may hold what came of events that are gone.
    """

    position: int
    head: int

    def __init__(self, message: str, position: int = 0, head: int = 0) -> None:
        super().__init__(message)
        self.position = position
        self.head = head


class UnreadableEvent(DamagedLog):
    """An event in the log cannot be given out as it was written; the stream, version and type say which."""

    stream: StreamName
    version: int
    event_type: str

    def __init__(self, reason: str, *, stream: StreamName, version: int, event_type: str) -> None:
        super().__init__(f"{event_type} at {stream} version {version}: {reason}")
        self.stream = stream
        self.version = version
        self.event_type = event_type


class CorruptEvent(UnreadableEvent):
    """The bytes of an event do not match their checksum, or are no JSON of its type: the disk or a hand changed it."""


class VersionGap(UnreadableEvent):
    """A stream's versions, or the log's positions, are not 1, 2, 3 …: an event was taken out of the log.

    `position` is that of the event behind a gap in the log; 0 for a gap in a stream.
    """

    position: int

    def __init__(self, reason: str, *, stream: StreamName, version: int, event_type: str, position: int = 0) -> None:
        super().__init__(reason, stream=stream, version=version, event_type=event_type)
        self.position = position


class UnreadableTypes(DamagedLog):
    """The log holds shapes of event that no registered class reads in full: `types`, each as it is stored and counted.

    No class has the name and schema version, or the class that has them has other fields by now.
    """

    types: tuple[StoredEventType, ...]

    def __init__(self, message: str, types: Sequence[StoredEventType]) -> None:
        super().__init__(message)
        self.types = tuple(types)


class UpcastFailed(UnreadableEvent):
    """An upcaster raised, or what it returned fits no event; the message names it, and the log is as it was."""


class UnknownEventType(UnreadableEvent):
    """The log holds an event type that no registered class reads."""
