"""The files of a backup's events: JSON lines compressed with gzip, one line per event.

Payloads and metadata are JSON in a string, so that they come back byte for byte.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from actorium.copying import DatedAppend
from actorium.store.codec import decode_metadata
from actorium.store.errors import DamagedLog
from actorium.store.event_store import Append, CommandMark
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import StreamName

_READ_BYTES = 1_048_576
_LEVEL = 6  # the default of the program gzip


class BackupLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event in a backup.

    fingerprint: that of the command, on its first event only.
    events: the number of events of that command.
    """

    position: int
    stream_type: str
    stream_id: str
    version: int
    recorded_us: int
    type: str
    schema_version: int
    payload: str
    metadata: str
    fingerprint: int | None = None
    events: int = 1


class SegmentWriter:
    """Writes appends to a new file.

    size_bytes: the number of bytes written so far, before compression.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._file = open(path, "wb")  # noqa: SIM115 - closed by `close`
        self._hashed = _Hashed(self._file)
        self._packed = gzip.GzipFile("", "wb", _LEVEL, self._hashed, mtime=0)

    def write(self, position: int, recorded: DatedAppend) -> None:
        """Write an append whose first event has this position."""
        for line in _lines(position, recorded):
            data = msgspec.json.encode(line) + b"\n"
            self._packed.write(data)
            self.size_bytes += len(data)

    def finish(self) -> str:
        """Write the end of the file to the disk; return the file's hash."""
        self._packed.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hashed.sha256.hexdigest()

    def discard(self) -> None:
        """Close and remove a file that is not finished."""
        self._hashed.is_discarded = True
        self._packed.close()
        try:
            self._file.close()
        except OSError:
            pass  # what was buffered does not fit on the disk
        self.path.unlink(missing_ok=True)


class _Hashed(io.RawIOBase):
    """A file whose content is hashed while it is written."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self.sha256 = sha256()
        self.is_discarded = False
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        if not self.is_discarded:
            self.sha256.update(view)
            self._file.write(view)
        return view.nbytes


def _lines(position: int, recorded: DatedAppend) -> Iterator[BackupLine]:
    append = recorded.append
    for n, event in enumerate(append.events):
        mark = append.command if n == 0 else None
        yield BackupLine(
            position + n,
            append.stream.type,
            append.stream.id,
            append.expected_version + 1 + n,
            recorded.recorded_us,
            event.type,
            event.schema_version,
            event.payload.decode(),
            event.metadata.decode(),
            None if mark is None else mark.fingerprint,
            1 if mark is None else len(append.events),
        )


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = sha256()
    with open(path, "rb") as file:
        while data := file.read(_READ_BYTES):
            found.update(data)
    return found.hexdigest()


def read_segment(path: Path, after: int, last: int) -> Iterator[DatedAppend]:
    """Yield the appends of a file that holds the events after one position up to another.

    Raises DamagedLog if it holds anything else.
    """
    position = after
    try:
        with gzip.open(path, "rb") as packed:
            lines = iter(packed)
            for line in lines:
                first = msgspec.json.decode(line, type=BackupLine)
                group = [first, *(msgspec.json.decode(next(lines), type=BackupLine) for _ in range(first.events - 1))]
                if [one.position for one in group] != [*range(position + 1, position + 1 + len(group))]:
                    raise DamagedLog(f"{path} is damaged: position {position + 1} is missing")
                position += len(group)
                yield _append(first, group)
    except (EOFError, gzip.BadGzipFile, zlib.error, msgspec.MsgspecError, UnicodeError, RuntimeError) as error:
        raise DamagedLog(f"{path} is damaged after position {position}: {error}") from error
    if position != last:
        raise DamagedLog(f"{path} is damaged: it ends at position {position}, not {last}")


def _append(first: BackupLine, group: list[BackupLine]) -> DatedAppend:
    events = tuple(
        EncodedEvent(one.type, one.schema_version, one.payload.encode(), one.metadata.encode()) for one in group
    )
    mark = None
    if first.fingerprint is not None:
        mark = CommandMark(decode_metadata(first.metadata).command_id, first.fingerprint)
    stream = StreamName(first.stream_type, first.stream_id)
    return DatedAppend(first.recorded_us, Append(stream, first.version - 1, events, mark))


def event_hash(record: EncodedRecord) -> str:
    """Return a hash over everything that the log holds about an event."""
    return sha256(msgspec.msgpack.encode(record)).hexdigest()
