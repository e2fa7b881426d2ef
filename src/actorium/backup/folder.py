"""`BackupFolder`: the directory of a backup, in which a crash at any point leaves a usable backup.

Invariants: `manifest.json` is replaced as a whole, and names only files that are complete on the disk. A segment gets
its final name after the manifest names it, so a final name that the manifest does not know means that somebody put
back an older manifest. A file `….part` that the manifest does not know is what an interrupted backup left.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actorium.backup.manifest import Manifest, Segment, decode_manifest, encode_manifest
from actorium.backup.segments import file_hash
from actorium.store.errors import ConfigurationError, DamagedLog, StoreInUse

MANIFEST = "manifest.json"
_LOCK = "lock"
_SEGMENTS = "events-*.jsonl.gz"
_PART = ".part"


class BackupFolder:
    """A directory that holds a backup, or is to hold one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def read(self) -> Manifest:
        """Return the manifest.

        Raises ConfigurationError if there is no backup, DamagedLog if the manifest is damaged or older than the files.
        """
        found = self._read()
        if found is None:
            raise ConfigurationError(f"there is no backup in {self.path}")
        return found

    def read_or_begin(self) -> Manifest | None:
        """Return the manifest, or None for a directory that is empty; create the directory if there is none."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise ConfigurationError(f"{self.path} is a file: name a directory for the backup") from None
        found = self._read()
        if found is None:
            others = [one.name for one in self.path.iterdir() if one.name != _LOCK and not one.name.endswith(_PART)]
            if others:
                raise ConfigurationError(f"{self.path} holds other files, such as {min(others)}: name an empty one")
        return found

    def _read(self) -> Manifest | None:
        place = self.path / MANIFEST
        segments = {one.name for one in self.path.glob(_SEGMENTS)}
        try:
            data = place.read_bytes()
        except FileNotFoundError:
            if segments:
                raise DamagedLog(f"{place} is missing, but there are segments: restore it from a copy") from None
            return None
        manifest = decode_manifest(data, str(place))
        unknown = segments - {segment.file for segment in manifest.segments}
        if unknown:
            raise DamagedLog(f"{place} does not name {min(unknown)}: it is an older one, or belongs to another backup")
        return manifest

    def verify(self, manifest: Manifest) -> None:
        """Read the files of all segments; raise DamagedLog unless each is there and matches its hash."""
        for segment in manifest.segments:
            path = self.segment_path(segment)
            if file_hash(path) != segment.sha256:
                raise DamagedLog(
                    f"{path} is damaged: its content does not match its hash; it holds the events {segment.first} to "
                    f"{segment.last}"
                )

    def segment_path(self, segment: Segment) -> Path:
        """Return where the file of a segment is; raise DamagedLog if it is missing."""
        path = self.path / segment.file
        for candidate in (path, self.part_path(segment.file)):
            if candidate.is_file():
                return candidate
        raise DamagedLog(f"{path} is missing: it holds the events {segment.first} to {segment.last}")

    def part_path(self, name: str) -> Path:
        """Return where a file is written before it gets its name."""
        return self.path / f"{name}{_PART}"

    def replace_manifest(self, manifest: Manifest) -> None:
        """Make a manifest durable, then give the segments that it names their final names."""
        part = self.part_path(MANIFEST)
        with open(part, "wb") as file:
            file.write(encode_manifest(manifest))
            file.flush()
            os.fsync(file.fileno())
        self._sync()  # the names of the segments' files
        part.replace(self.path / MANIFEST)
        self._sync()
        self.name_segments(manifest)

    def name_segments(self, manifest: Manifest) -> None:
        """Give the segments of a manifest their final names, as far as a crash has left them without."""
        for segment in manifest.segments:
            path = self.path / segment.file
            if not path.exists() and self.part_path(segment.file).exists():
                self.part_path(segment.file).replace(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory; raise StoreInUse if another process writes a backup to it."""
        with open(self.path / _LOCK, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise StoreInUse(f"another process writes a backup to {self.path}") from None
            yield

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
