"""The hierarchy of Actorium's errors, and the errors of the log.

Each branch says what the caller can do about an error, so an `except` clause names one branch and never a list:
- `ConfigurationError`: fix the program;
- `InvalidCommand`: fix the input;
- `Refused`: accept the refusal;
- `LostRace`: read again and decide again;
- `HandlerFailed`: fix a handler; its error is chained;
- `Transient`: send again later with the same `command_id`. `Unavailable` means that nothing was done,
  `OutcomeUnknown` that the outcome is unknown;
- `DamagedLog`: stop and inspect the log.

Every error survives `pickle` and `copy`, and has a wire form (see `actorium.store.error_wire`). An error with more than
a message declares its other attributes as annotations of its class.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.raised import let_through, repr_of


class ActoriumError(Exception):
    """Base class of every error that Actorium raises on purpose; `http_status` is the matching HTTP status code."""

    http_status: ClassVar[int] = 500

    @property
    def message(self) -> str:
        """The message of the error."""
        return Exception.__str__(self)

    @classmethod
    def restored(cls, args: tuple[Any, ...], fields: dict[str, Any], cause: BaseException | None = None) -> Self:
        """Rebuild an error of this class from its arguments, attributes and cause."""
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
    except BaseException as raised:  # raised by the value's own code
        let_through(raised)
        return False
    return True


def _portable(value: Any) -> Any:
    """Return a value, with the parts that cannot be pickled replaced by text."""
    if _pickles(value):
        return value
    if isinstance(value, dict):
        return {name: _portable(one) for name, one in value.items()}
    return repr_of(value)


def _deep_copy(value: Any, memo: dict[int, Any]) -> Any:
    """Return a copy of a value, or the value itself if it cannot be copied."""
    if type(value) is dict:
        return {name: _deep_copy(one, memo) for name, one in value.items()}
    try:
        return copy.deepcopy(value, memo)
    except BaseException as raised:  # raised by the value's own code
        let_through(raised)
        return value


# --- what the caller can do -------------------------------------------------------------------------------------------


class ConfigurationError(ActoriumError):
    """Fix the program: a class, an option or a URL is wrong; the message names it and says how to fix it."""


class InvalidCommand(ActoriumError):
    """Fix the input: a field, an id or another argument is invalid; nothing was done."""

    http_status = 422


class Refused(ActoriumError):
    """Accept the refusal: the answer stays the same until the state changes; nothing was done."""

    http_status = 409


class LostRace(ActoriumError):
    """Read again and decide again: another writer was first; nothing was done."""

    http_status = 412


class HandlerFailed(ActoriumError):
    """Fix a handler: a method or an SQL statement of the application failed; the cause is chained."""


class Transient(ActoriumError):
    """Send again later with the same `command_id`: the command takes effect once, whatever happened before."""

    http_status = 503


class Unavailable(Transient):
    """Try again later: this call did nothing.

    retry_after_s: the shortest time to wait, in seconds; an estimate if the exact time is unknown.
    """

    retry_after_s: float = 5.0


class OutcomeUnknown(Transient):
    """Send again with the same `command_id`: the call may or may not have taken effect."""

    http_status = 504


class DamagedLog(ActoriumError):
    """Stop and inspect the log: some of its data is damaged, or this code cannot read it; the message says which."""


# --- what happens to a log --------------------------------------------------------------------------------------------


class StoreUnavailable(Unavailable):
    """The store could not be opened or read, or it rejected a commit and wrote none of it; the cause is chained."""


class StoreInUse(Unavailable):
    """Another process has the store open; `pid` is its process id, or None if it is not known."""

    pid: int | None

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class Fenced(StoreInUse):
    """Another runtime has taken over the log, so this one no longer writes to it: stop this runtime."""


class CommitUnknown(OutcomeUnknown):
    """A commit failed, or the runtime stopped waiting for it: its events may or may not be in the log.

    A full disk or an I/O error can have this effect even if the database wrote the commit. The cause is chained.
    """


class StoreHangs(OutcomeUnknown):
    """The store did not finish a commit, or did not close, within `Settings.close_s` seconds.

    command_ids: the commands of the commit. Their outcome is unknown until each is sent again with the same id.

    A thread that is stuck in the store does not keep the process alive.
    """

    command_ids: tuple[str, ...]

    def __init__(self, message: str, command_ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.command_ids = tuple(command_ids)


class UnsupportedSchema(ConfigurationError):
    """The store is not an Actorium log, comes from a newer version, or needs a migration but was opened read-only."""


class WrongExpectedVersion(LostRace):
    """An append expected one version of its stream and found another; none of its events were written."""

    stream: StreamName
    expected: int
    actual: int

    def __init__(self, stream: StreamName, *, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}: another writer was first; read it again")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class DuplicateCommand(Refused):
    """An append repeats a command that already took effect; `record` says where its events are."""

    record: CommandRecord

    def __init__(self, record: CommandRecord) -> None:
        super().__init__(
            f"command {record.command_id!r} already took effect: {record.stream} versions "
            f"{record.first_version}..{record.version}"
        )
        self.record = record


class StatementFailed(HandlerFailed):
    """An SQL statement or query on the store's tables failed; the cause is chained."""


class CorruptStore(DamagedLog):
    """The store's tables or their definitions are damaged: repair the store, or restore a backup."""


class CorruptRow(DamagedLog):
    """A checkpoint or a dead letter does not match its checksum: a disk error or a manual edit changed it."""


class PositionBeyondLog(InvalidCommand):
    """A position is beyond the end of the log (`head`), so it must come from a longer log.

    This happens after an older backup was restored. Followers of the log may hold results of events that are missing
    now.
    """

    position: int
    head: int

    def __init__(self, message: str, position: int = 0, head: int = 0) -> None:
        super().__init__(message)
        self.position = position
        self.head = head


class UnreadableEvent(DamagedLog):
    """An event in the log cannot be read back as it was written; the message names its stream, version and type."""

    stream: StreamName
    version: int
    event_type: str

    def __init__(self, reason: str, *, stream: StreamName, version: int, event_type: str) -> None:
        super().__init__(f"{event_type} at {stream} version {version}: {reason}")
        self.stream = stream
        self.version = version
        self.event_type = event_type


class CorruptEvent(UnreadableEvent):
    """An event fails its checksum, or is not valid JSON for its type: a disk error or a manual edit changed it."""


class VersionGap(UnreadableEvent):
    """The versions of a stream, or the positions of the log, have a gap: an event was removed from the log.

    position: the position of the event after a gap in the log; 0 for a gap in a stream.
    """

    position: int

    def __init__(self, reason: str, *, stream: StreamName, version: int, event_type: str, position: int = 0) -> None:
        super().__init__(reason, stream=stream, version=version, event_type=event_type)
        self.position = position


class UnreadableTypes(DamagedLog):
    """The log holds events that no registered class can fully read; `types` lists each stored shape with its count.

    Either no class has the name and schema version, or the class that has them now has different fields.
    """

    types: tuple[StoredEventType, ...]

    def __init__(self, message: str, types: Sequence[StoredEventType]) -> None:
        super().__init__(message)
        self.types = tuple(types)


class UpcastFailed(UnreadableEvent):
    """An upcaster raised an error or returned an invalid event; the message names it, and the log is unchanged."""


class UnknownEventType(UnreadableEvent):
    """The log holds an event type that no registered class can read."""


@contextmanager
def from_extra(extra: str, user: str, *packages: str) -> Iterator[None]:
    """Around imports of packages: without one of them, raise ConfigurationError with the command that installs it.

    extra: the extra that installs the packages.
    user: what needs them, as the start of the message.
    packages: what their imports start with. Other missing modules raise ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in packages:
            raise
        raise ConfigurationError(f"{user} needs {package}: pip install 'actorium[{extra}]'") from missing
